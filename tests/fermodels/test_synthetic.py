"""The embedded data set: deterministic, symmetric at rest, muscles that move the right points, honest visibility."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import fermodels
from fermodels.data.base import LoadOptions
from fermodels.data.synthetic import Faces, load, render, sheet
from fermodels.data.synthetic.actions import CANONICAL, MIRROR, RECIPES, UNITS, actions_of, draw_labels
from fermodels.data.synthetic.anatomy import shape_of
from fermodels.data.synthetic.chance import Chance, noise_bank
from fermodels.data.synthetic.drawing import paint_scene
from fermodels.data.synthetic.loader import selection_of
from fermodels.data.synthetic.looks import Scene, scene_of
from fermodels.data.synthetic.occluders import KINDS, distance, draw_occluder


def at_rest(**intensity: float) -> Scene:
    """The average face, frontal, without nuisance, making these action units."""
    chance = Chance(0, np.zeros(1, np.int64), quiet=True)
    return scene_of(chance, np.array([6]), actions_of(1, **intensity))


def points_of(**intensity: float) -> np.ndarray:
    return at_rest(**intensity).shape.landmarks[0]


@pytest.fixture(scope="module")
def faces() -> Faces:
    return render(range(40))


def test_classes_are_the_projects():
    assert CANONICAL == fermodels.EXPRESSIONS
    assert set(RECIPES) == set(CANONICAL)
    assert {unit for recipe in RECIPES.values() for unit in recipe} <= set(UNITS)


def test_a_face_depends_on_its_number_only(faces: Faces):
    alone = render([17])
    some = render([30, 17, 3])
    for whole, one, part in zip(faces, alone, some, strict=True):
        assert np.array_equal(whole[17], one[0])
        assert np.array_equal(whole[[30, 17, 3]], part)


def test_seeds_and_numbers_give_other_faces(faces: Faces):
    other = render(range(4), seed=1)
    assert (other.images != faces.images[:4]).mean() > 0.5
    assert len(np.unique(faces.images.reshape(40, -1), axis=0)) == 40


def test_labels_are_in_range_and_roughly_balanced():
    labels = draw_labels(Chance(0, np.arange(7000)))
    counts = np.bincount(labels, minlength=7)
    assert len(counts) == 7
    # Binomial(7000, 1/7): mean 1000, deviation 29; five deviations, but not exactly equal.
    assert np.abs(counts - 1000).max() < 147 and len(set(counts.tolist())) > 1


def test_types_and_ranges(faces: Faces):
    assert faces.images.shape == (40, 64, 64, 3) and faces.images.dtype == np.uint8
    assert faces.landmarks.dtype == faces.visibility.dtype == np.float32 and faces.labels.dtype == np.int64
    assert faces.landmarks.min() > -0.2 and faces.landmarks.max() < 1.2
    assert set(np.unique(faces.visibility)) <= {0.0, 1.0}
    eyes, mouth = faces.landmarks[:, 36:48].mean(1), faces.landmarks[:, 48:68].mean(1)
    assert (eyes[:, 1] < mouth[:, 1]).all()
    assert (faces.landmarks[:, 36, 0] < faces.landmarks[:, 45, 0]).all()


def test_the_neutral_frontal_face_is_its_own_mirror_image():
    scene = at_rest()
    mirrored = scene.shape.landmarks[0][MIRROR] * (-1, 1) + (1, 0)
    assert np.allclose(mirrored, scene.shape.landmarks[0], atol=1e-5)
    image = paint_scene(scene, 64)[0, :, 8:56].astype(int)  # the walls and the glints of the eyes may differ
    difference = np.abs(image - image[:, ::-1])
    assert np.median(difference) <= 3 and (difference > 40).mean() < 0.02


@pytest.mark.parametrize(
    ("unit", "point", "axis", "sign"),
    [
        ("AU1", 21, 1, -1),
        ("AU1", 22, 1, -1),
        ("AU2", 18, 1, -1),
        ("AU4", 21, 1, 1),
        ("AU4", 22, 0, -1),
        ("AU5", 37, 1, -1),
        ("AU6", 41, 1, -1),
        ("AU7", 46, 1, -1),
        ("AU9", 33, 1, -1),
        ("AU10", 51, 1, -1),
        ("AU12", 48, 1, -1),
        ("AU12", 54, 1, -1),
        ("AU12", 54, 0, 1),
        ("AU15", 48, 1, 1),
        ("AU16", 57, 1, 1),
        ("AU17", 57, 1, -1),
        ("AU20", 48, 0, -1),
        ("AU23", 48, 0, 1),
        ("AU26", 8, 1, 1),
        ("AU43", 44, 1, 1),
    ],
)
def test_action_units_move_their_points(unit: str, point: int, axis: int, sign: int):
    moved = points_of(**{unit: 1.0})[point, axis] - points_of()[point, axis]
    assert sign * moved > 0.005


@pytest.mark.parametrize("unit", ["AU25", "AU26"])
def test_mouths_open(unit: str):
    rest, opened = points_of(), points_of(**{unit: 1.0})
    assert opened[66, 1] - opened[62, 1] > rest[66, 1] - rest[62, 1] + 0.015


def test_lids_never_cross():
    closed = points_of(AU43=1.2, AU7=1.2, AU6=1.2, AU9=1.2)
    assert (closed[[41, 40, 47, 46], 1] > closed[[37, 38, 43, 44], 1]).all()


def test_yaw_hides_the_far_side_only():
    scene = at_rest()
    assert (scene.shape.visibility == 1).all()
    turned = shape_of(scene.who, scene.actions, scene.pose._replace(yaw=np.array([0.6], np.float32)))
    assert (turned.visibility[0, 14:17] == 0).all() and (turned.visibility[0, 0:9] == 1).all()
    assert turned.landmarks[0, 30, 0] > scene.shape.landmarks[0, 30, 0] + 0.05  # yaw > 0: the nose goes right


def test_expressions_change_pixels_where_the_muscles_are():
    rest, smile = (paint_scene(at_rest(**units), 64)[0].astype(int) for units in ({}, {"AU12": 1.0}))
    changed = np.abs(smile - rest).max(-1) > 20
    assert changed[42:60].sum() > 60 and changed[:30].sum() == 0


def test_occluders_hide_exactly_the_covered_points():
    indices = np.arange(60)
    free, covered = render(indices), render(indices, occluders=1.0)
    assert np.array_equal(free.landmarks, covered.landmarks) and np.array_equal(free.labels, covered.labels)
    chance = Chance(0, indices)
    scene, thing = scene_of(chance), draw_occluder(chance, 1.0)
    assert set(thing.kind.tolist()) == set(range(len(KINDS)))
    under = distance(scene, thing, free.landmarks[..., 0], free.landmarks[..., 1]) < 0
    assert np.array_equal(covered.visibility, np.where(under, 0, free.visibility))
    assert under.any(1).mean() > 0.8 and not under.all(1).any()
    # A point deep under an occluder has a changed pixel; a face's pixels far from it are as they were.
    deep = distance(scene, thing, free.landmarks[..., 0], free.landmarks[..., 1]) < -0.04
    clean = (scene.camera.coarse == 0)[:, None] & deep & (np.abs(free.landmarks - 0.5) < 0.48).all(-1)
    face, point = np.nonzero(clean)
    x, y = (free.landmarks[face, point] * 64).astype(int).T
    change = np.abs(covered.images[face, y, x].astype(int) - free.images[face, y, x]).max(-1)
    assert len(face) > 50 and (change > 4).mean() > 0.9


def test_mask_and_sunglasses_hide_what_they_are_for():
    chance = Chance(0, np.arange(400))
    scene, thing = scene_of(chance), draw_occluder(chance, 1.0)
    under = distance(scene, thing, scene.shape.landmarks[..., 0], scene.shape.landmarks[..., 1]) < 0
    mask, glasses = thing.kind == KINDS.index("mask"), thing.kind == KINDS.index("sunglasses")
    assert under[mask][:, 48:68].mean() > 0.95 and under[mask][:, 36:48].mean() < 0.05
    assert under[glasses][:, 36:48].mean() > 0.95 and under[glasses][:, 48:68].mean() == 0


def test_share_of_occluders():
    assert draw_occluder(Chance(0, np.arange(50)), 0.0).kind.max() == -1
    share = (draw_occluder(Chance(0, np.arange(4000)), 0.3).kind >= 0).mean()
    assert abs(share - 0.3) < 0.03


def test_sensor_noise_is_standard_normal():
    strip = noise_bank(100_000)
    assert abs(strip.mean()) < 0.015 and abs(strip.std() - 1) < 0.01
    assert abs((np.abs(strip) < 1).mean() - 0.6827) < 0.006


def test_load_renders_once_and_maps(tmp_path: Path):
    options = LoadOptions(size=48, cache=tmp_path)
    first = load("train=12,validation=5,test=7,seed=3", options)
    stamps = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.npy")}
    again = load("train=12,validation=5,test=7,seed=3", options)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.npy")} == stamps and len(stamps) == 12
    assert [len(split) for split in first.splits.values()] == [12, 5, 7]
    for name, split in first.splits.items():
        other = again.splits[name]
        assert isinstance(split.images, np.memmap) and not split.images.flags.writeable
        assert np.array_equal(split.images, other.images) and np.array_equal(split.labels, other.labels)
        assert split.landmarks is not None and split.landmarks.shape == (len(split), 68, 2)
        assert len(set(split.names)) == len(split)
    assert not [path for path in tmp_path.rglob(".*") if path.is_file()]
    assert "synthetic" in first.notes[0].lower() and first.classes == CANONICAL


def test_splits_are_disjoint_and_do_not_depend_on_counts(tmp_path: Path):
    options = LoadOptions(size=48, cache=tmp_path)
    small, large = load("train=4,validation=3,test=3", options), load("train=9,validation=3,test=6", options)
    assert np.array_equal(small.train.images, large.train.images[:4])
    assert np.array_equal(small.test.images, large.test.images[:3])
    everything = np.concatenate([split.images for split in large.splits.values()])
    assert len(np.unique(everything.reshape(len(everything), -1), axis=0)) == len(everything)


def test_a_torn_cache_is_rendered_again(tmp_path: Path):
    options = LoadOptions(size=48, cache=tmp_path)
    before = load("train=4,validation=3,test=3", options).train.images[:].copy()
    torn = next(path for path in tmp_path.rglob("images.npy") if "train" in path.parent.name)
    torn.write_bytes(torn.read_bytes()[:500])
    assert np.array_equal(load("train=4,validation=3,test=3", options).train.images, before)


@pytest.mark.parametrize(
    "path", ["faces.csv", "train=many", "train=0", "size=64", "train=5,train=6", "train=5,", "seed=-1"]
)
def test_a_bad_specification_is_a_sentence(path: str):
    with pytest.raises(ValueError, match=r"^synthetic:.*(train=|give between)"):
        selection_of(path)


def test_default_counts():
    chosen = selection_of(None)
    assert (chosen.train, chosen.validation, chosen.test, chosen.seed) == (1600, 300, 800, 0)
    assert selection_of("test=9").test == 9 and selection_of("test=9").train == 1600


@pytest.mark.parametrize(
    ("arguments", "word"), [({"size": 16}, "size"), ({"occluders": 1.5}, "share"), ({"indices": [-1]}, "negative")]
)
def test_bad_arguments_are_sentences(arguments: dict, word: str):
    with pytest.raises(ValueError, match=word):
        render(**{"indices": [0], **arguments})


@pytest.mark.slow
def test_pixels_alone_are_not_enough():
    """A linear probe learns something (chance is 1/7), but far from what a small convolutional net learns."""
    train, test = render(range(1500)), render(range(10**6, 10**6 + 500))

    def design(faces: Faces) -> np.ndarray:
        grey = faces.images.mean(-1).reshape(-1, 32, 2, 32, 2).mean((2, 4)).reshape(len(faces.images), -1)
        return (grey - grey.mean(1, keepdims=True)) / grey.std(1, keepdims=True)

    x, target = design(train), np.eye(7)[train.labels] - 1 / 7
    weights = np.linalg.solve(x.T @ x + 300 * np.eye(x.shape[1]), x.T @ target)
    accuracy = (np.argmax(design(test) @ weights, 1) == test.labels).mean()
    assert 0.25 < accuracy < 0.72


def test_the_sheet_is_written_or_a_sentence_says_why_not(tmp_path: Path, monkeypatch, capsys):
    monkeypatch.setattr(sheet, "draw_sheet", lambda _: Image.new("RGB", (32, 32)))
    assert sheet.main(["--sheet", str(tmp_path / "sheet.png")]) == 0
    assert json.loads(capsys.readouterr().out)["bytes"] == (tmp_path / "sheet.png").stat().st_size
    assert sheet.main(["--sheet", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert said.startswith("synthetic: ") and said.count("\n") == 1
