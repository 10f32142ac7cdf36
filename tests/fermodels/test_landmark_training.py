"""Training of the landmark network: views move their points, errors are what they say, a run repeats and resumes."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from fermodels.data.synthetic import render
from fermodels.faces import check_landmarks, landmark_batches, train_landmarks
from fermodels.faces.landmark_base import FLIP, FacePoints
from fermodels.faces.landmark_batches import PointBatch, PointBatches, widened
from fermodels.faces.landmark_errors import account, ece, nme, point_errors, reliability, separation
from fermodels.faces.landmark_net import CELLS, SIDE, LandmarkNet, Sight, weights_of
from fermodels.faces.landmarks import OwnLandmarks

RANDOM = np.random.default_rng(0)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# Errors and calibration


def test_the_error_is_a_share_of_the_distance_of_the_eye_corners():
    true = RANDOM.uniform(0, 100, (2, 68, 2))
    true[:, 36], true[:, 45] = (10, 20), (40, 60)  # 50 apart
    found = true.copy()
    found[0, 5] += (3, 4)
    expected = np.zeros((2, 68))
    expected[0, 5] = 5 / 50
    assert np.allclose(point_errors(found, true), expected)
    assert nme(found, true) == pytest.approx(0.1 / 136)


def test_calibration_against_loops():
    confidence, visible = RANDOM.uniform(0, 1, 500).round(2), RANDOM.random(500) < 0.6
    confidence[:2] = 0.0, 1.0
    total = 0.0
    for number in range(10):
        rows = [i for i in range(500) if min(int(confidence[i] * 10), 9) == number]
        total += abs(sum(confidence[i] for i in rows) - sum(bool(visible[i]) for i in rows)) / 500
    assert ece(confidence, visible) == pytest.approx(total)
    pairs = [(a > b) + 0.5 * (a == b) for a in confidence[visible] for b in confidence[~visible]]
    assert separation(confidence, visible) == pytest.approx(np.mean(pairs))


def test_bins_without_points_are_none_and_perfect_confidence_has_no_error():
    confidence, visible = np.array([0.0, 0.0, 1.0, 1.0]), np.array([False, False, True, True])
    bins = reliability(confidence, visible)
    assert [one is None for one in bins] == [False, *[True] * 8, False] and bins[9] == (2, 1.0, 1.0)
    assert ece(confidence, visible) == 0 and separation(confidence, visible) == 1


def test_the_account_tells_visible_from_hidden():
    true = RANDOM.uniform(0, 64, (4, 68, 2))
    visible = RANDOM.random((4, 68)) < 0.5
    unit = np.linalg.norm(true[:, 36] - true[:, 45], axis=-1)[:, None, None]
    found = true + np.where(visible[..., None], 0.0, (0.1, 0)) * unit
    told = account(FacePoints(found, visible.astype(np.float32)), true, visible)
    assert told["nme_visible"] == 0 and told["nme_hidden"] == pytest.approx(0.1) and told["ece"] == 0
    assert isinstance(told["reliability"], list) and len(told["reliability"]) == 10


# Views


def test_a_view_moves_its_points_with_its_pixels(monkeypatch: pytest.MonkeyPatch):
    """A white square on black is followed to where its point says it went; films and light left as they are."""
    for name in ("_softened", "_lit"):
        monkeypatch.setattr(landmark_batches, name, lambda view, random: view)
    monkeypatch.setattr(landmark_batches, "COVERED", 0.0)
    n, size = 32, landmark_batches.STORED
    images, places = np.zeros((n, size, size, 3), np.uint8), RANDOM.uniform(0.35, 0.65, (n, 2))
    for i, (x, y) in enumerate((places * size).astype(int)):
        images[i, y - 1 : y + 2, x - 1 : x + 2] = 255
    centres = ((places * size).astype(int) + 0.5) / size
    points = torch.tensor(centres, dtype=torch.float32)[:, None].expand(n, 68, 2).clone()
    batch = widened(torch.from_numpy(images), points, torch.ones(n, 68, dtype=torch.bool), generator())
    brightest = batch.views[0].flatten(1).argmax(1)
    found = torch.stack((brightest % SIDE, brightest // SIDE), 1) + 0.5
    clear = batch.labels[:, 0].sub(0.5).abs().amax(1) < 0.45
    # Noise may move the brightest pixel within the square, of about three pixels a side.
    assert clear.sum() > 20 and (found - batch.labels[:, 0] * SIDE).abs().amax(1)[clear].quantile(0.9) < 2.5


def test_mirrored_views_rename_their_points():
    """The left jaw stays left of the right one in every view, mirrored or not."""
    faces = render(range(64), size=landmark_batches.STORED)
    images, points = torch.from_numpy(faces.images), torch.from_numpy(faces.landmarks)
    batch = widened(images, points, torch.from_numpy(faces.visibility) > 0.5, generator())
    assert (batch.labels[:, 0, 0] < batch.labels[:, 16, 0]).all() and (
        batch.labels[:, 36, 0] < batch.labels[:, 45, 0]
    ).all()
    assert batch.labels[:, FLIP[8]].shape == (64, 2)


def test_points_outside_or_under_a_rectangle_are_hidden():
    faces = render(range(64), size=landmark_batches.STORED)
    visible = torch.ones(64, 68, dtype=torch.bool)
    batch = widened(torch.from_numpy(faces.images), torch.from_numpy(faces.landmarks), visible, generator(1))
    outside = ((batch.labels < 0) | (batch.labels > 1)).any(-1)
    assert outside.any() and not batch.visible[outside].any()
    assert 0.02 < (~batch.visible & ~outside).float().mean() < 0.3


def test_a_view_is_standardised_and_an_epoch_repeats():
    faces = render(range(20), size=landmark_batches.STORED)
    batches = PointBatches(faces, 8, seed=3)
    first, again, other = (list(batches.epoch(epoch)) for epoch in (0, 0, 1))
    assert [len(b.labels) for b in first] == [8, 8, 4] and len(batches) == 3
    assert all(torch.equal(a.views[0], b.views[0]) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[0].labels, other[0].labels)
    view = first[0].views[0]
    assert view.mean((1, 2, 3)).abs().max() < 1e-4 and (view.std((1, 2, 3)) - 1).abs().max() < 0.01


def test_lenses_keep_a_flat_picture_flat():
    flat = torch.full((1, SIDE), 3.0)
    for lens in landmark_batches._lenses():
        assert torch.allclose(flat @ lens.T, flat, atol=1e-4)


# The loss


def test_the_loss_is_least_where_map_and_visibility_are_right():
    where = torch.full((1, 68, 2), 0.5 + 0.5 / CELLS)
    batch = PointBatch((torch.zeros(1, 1, SIDE, SIDE),), where, torch.ones(1, 68, dtype=torch.bool))
    middle = CELLS // 2

    def loss(row: int, logit: float) -> float:
        heat = torch.full((1, 68, CELLS, CELLS), -20.0)
        heat[:, :, row, middle] = 0.0
        points = torch.full((1, 68, 2), (middle + 0.5) / CELLS)
        points[..., 1] = (row + 0.5) / CELLS
        return sum(train_landmarks.objective(Sight(points, torch.full((1, 68), logit), heat), batch).values()).item()

    right = loss(middle, 5.0)
    assert all(right < loss(row, logit) for row, logit in ((middle + 1, 5.0), (middle, -5.0), (0, 5.0)))


def test_a_hidden_points_distance_counts_less():
    true, found = torch.full((1, 68, 2), 0.5), torch.full((1, 68, 2), 0.5)
    found[0, 0] += 0.1
    visible = torch.ones(1, 68, dtype=torch.bool)
    visible[0, 0] = False
    sight = Sight(found, torch.zeros(1, 68), torch.zeros(1, 68, CELLS, CELLS))
    terms = train_landmarks.objective(sight, PointBatch((torch.zeros(1),), true, visible))
    weight = train_landmarks.HIDDEN_WEIGHT
    assert terms["distance"].item() == pytest.approx(20 * weight * 0.2 / (67 + weight), rel=1e-4)
    assert terms["heat"].item() == pytest.approx(0.1 * math.log(CELLS**2), rel=1e-4)


def test_calibration_recovers_a_known_slope_and_offset():
    logits = torch.linspace(-4, 4, 4001, dtype=torch.float64)
    expected = (0.6 * logits - 0.5).sigmoid()  # shares instead of draws: the likeliest fit is then exact
    assert train_landmarks.platt(logits, expected) == pytest.approx((0.6, -0.5), abs=1e-5)


def test_calibration_leaves_points_alone_and_meets_the_share_of_visible_points():
    torch.manual_seed(0)
    net, faces = LandmarkNet().eval(), render(range(30), occluders=0.5)
    before = OwnLandmarks(net)(faces.images)
    train_landmarks.calibrate(net, faces)
    after = OwnLandmarks(net)(faces.images)
    assert np.array_equal(after.points, before.points)
    assert after.confidence.mean() == pytest.approx(faces.visibility.mean(), abs=0.01)


# The commands


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setattr(train_landmarks, "TESTED", 30)
    monkeypatch.setattr(train_landmarks, "VALIDATED", 10)
    return ["--faces", "20", "--epochs", "2", "--out"]


def test_a_training_repeats_byte_for_byte_and_resumes(small: list[str], tmp_path: Path, monkeypatch, capsys):
    assert train_landmarks.main([*small, str(tmp_path / "a")]) == 0
    said = json.loads(capsys.readouterr().out.splitlines()[-1])
    weights = (tmp_path / "a/landmarks.safetensors").read_bytes()
    assert said["test"]["faces"] == 30 and json.loads((tmp_path / "a/landmarks.json").read_text())["chosen_epoch"] in (
        0,
        1,
    )

    class Interrupted(Exception): ...

    def dying(self: PointBatches, epoch: int):
        if epoch == 1:
            raise Interrupted
        return whole(self, epoch)

    whole = PointBatches.epoch
    monkeypatch.setattr(PointBatches, "epoch", dying)
    with pytest.raises(Interrupted):
        train_landmarks.main([*small, str(tmp_path / "b")])
    assert not (tmp_path / "b/landmarks.safetensors").exists()
    monkeypatch.setattr(PointBatches, "epoch", whole)
    assert train_landmarks.main([*small, str(tmp_path / "b")]) == 0
    assert (tmp_path / "b/landmarks.safetensors").read_bytes() == weights


def test_a_setting_that_cannot_be_is_a_sentence(small: list[str], tmp_path: Path, capsys):
    assert train_landmarks.main(["--faces", "10", "--epochs", "0", "--out", str(tmp_path)]) == 2
    assert "epochs=0" in capsys.readouterr().err
    assert train_landmarks.main(["--faces", "0", "--epochs", "1", "--out", str(tmp_path)]) == 2
    assert "faces=0: at least one" in capsys.readouterr().err


def test_a_place_that_cannot_be_written_is_a_sentence_before_the_training(small: list[str], tmp_path: Path, capsys):
    (tmp_path / "file").write_text("mine")
    assert train_landmarks.main([*small, str(tmp_path / "file")]) == 2
    said = capsys.readouterr().err
    assert said.startswith("train_landmarks: ") and said.count("\n") == 1
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize(
    ("raised", "status", "sentence"),
    [(KeyboardInterrupt(), 130, "finished epochs stay"), (FloatingPointError("the loss is nan"), 2, "the loss is nan")],
)
def test_a_training_that_ends_early_says_so_in_one_line(
    raised: BaseException, status: int, sentence: str, tmp_path: Path, monkeypatch, capsys
):
    def broken(*_: object) -> None:
        raise raised

    before = torch.get_num_threads()
    monkeypatch.setattr(train_landmarks, "train", broken)
    assert train_landmarks.main(["--out", str(tmp_path)]) == status
    said = capsys.readouterr().err
    assert sentence in said and said.count("\n") == 1 and torch.get_num_threads() == before


def test_checking_measures_compares_and_draws(tmp_path: Path, capsys):
    torch.manual_seed(0)
    weights = tmp_path / "w.safetensors"
    weights.write_bytes(weights_of(LandmarkNet()))
    photos = tmp_path / "photos"
    photos.mkdir()
    for i in range(3):
        Image.fromarray(RANDOM.integers(0, 256, (60, 90, 3), dtype=np.uint8)).save(photos / f"{i}.png")
    command = [f"own:{weights}", "--drawn", "20", "--photos", str(photos), "--sheet", str(tmp_path / "sheet.png")]
    assert check_landmarks.main([*command, "--against", f"own:{weights}", "--count", "2"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["against"]["photos"] == 2 and said["against"]["nme"] == 0 and said["drawn"]["nme"] > 0
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.size == (8 * check_landmarks.CELL, 3 * check_landmarks.CELL)
    (tmp_path / "empty").mkdir()
    assert check_landmarks.main([*command[:3], "--photos", str(tmp_path / "empty"), "--against", "own"]) == 2
    assert "holds no .jpg" in capsys.readouterr().err


def test_the_central_square_of_a_photograph(tmp_path: Path):
    picture = np.zeros((100, 200, 3), np.uint8)
    picture[25:75, 75:125] = 255
    Image.fromarray(picture).save(tmp_path / "p.png")
    crops, names = check_landmarks.photographs(tmp_path, 5, 0.5)
    assert names == ["p.png"] and crops.shape == (1, 128, 128, 3) and crops.min() == 255
