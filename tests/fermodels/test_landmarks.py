"""Sources of landmarks: the scheme's symmetry, frames, the shipped network's laws, other models' answers."""

import json
from importlib.resources import as_file, files
from pathlib import Path

import numpy as np
import pytest
import torch
from fake_landmarkers import MIRRORED, Brightest, Hill, noise

from compress.typed_json import read_json
from fermodels.data.base import Split
from fermodels.data.synthetic import Faces, render
from fermodels.data.synthetic.actions import MIRROR
from fermodels.faces import landmark_fan, landmark_onnx, regions
from fermodels.faces.landmark_base import FLIP, FacePoints, Landmarker, as_pixels, as_shares
from fermodels.faces.landmark_errors import nme
from fermodels.faces.landmark_net import WEIGHTS, LandmarkNet, centre_of, places, seen, weights_of
from fermodels.faces.landmarks import LANDMARKS, OwnLandmarks, landmarker, with_landmarks
from fermodels.faces.train_landmarks import ACCOUNT, Account
from fermodels.training.views import ViewConfig, Views


@pytest.fixture(scope="module")
def faces() -> Faces:
    return render(range(2**31 + 5000, 2**31 + 5040), size=64, seed=0, occluders=0.4)


@pytest.fixture(scope="module")
def own() -> Landmarker:
    return landmarker("own")


def mirror(found: FacePoints, width: int) -> FacePoints:
    points = found.points[:, MIRRORED] * np.float32((-1, 1)) + np.float32((width, 0))
    return FacePoints(points, found.confidence[:, MIRRORED])


# The scheme


def test_mirroring_twice_changes_nothing_and_only_the_middle_line_stays():
    assert sorted(FLIP) == list(range(68))
    assert [FLIP[FLIP[i]] for i in range(68)] == list(range(68))
    assert [i for i in range(68) if FLIP[i] == i] == [8, 27, 28, 29, 30, 33, 51, 57, 62, 66]


def test_mirroring_is_the_renderers():
    assert MIRROR.tolist() == MIRRORED


def test_shares_and_pixels_are_inverse_on_crops_of_unequal_sides():
    crops, shares = noise(1, 20, 50), np.full((1, 68, 2), 0.5, np.float32)
    assert as_pixels(shares, crops)[0, 0].tolist() == [25, 10]
    assert np.allclose(as_shares(as_pixels(shares, crops), crops), shares)


# The network


def test_soft_argmax_is_the_mean_place():
    share = torch.zeros(1, 1, 4, 8)
    share[0, 0, 1, 2], share[0, 0, 3, 6] = 0.25, 0.75
    assert centre_of(share)[0, 0].tolist() == pytest.approx(
        [(2.5 * 0.25 + 6.5 * 0.75) / 8, (1.5 * 0.25 + 3.5 * 0.75) / 4]
    )
    assert places(4).tolist() == [0.125, 0.375, 0.625, 0.875]


def test_the_architecture_itself_is_symmetric():
    """Mirrored kernels see the mirrored face alike: no layer is off the middle."""
    torch.manual_seed(0)
    net, twin = LandmarkNet().eval(), LandmarkNet().eval()
    state = {name: t.flip(3) if t.ndim == 4 else t for name, t in net.state_dict().items()}
    twin.load_state_dict(state)
    view = torch.randn(2, 1, 64, 64)
    with torch.no_grad():
        plain, other = net(view), twin(view.flip(3))
    assert torch.allclose(other.heat.flip(3), plain.heat, atol=1e-4)
    assert torch.allclose(other.visible, plain.visible, atol=1e-4)


def test_brightness_scale_and_offset_do_not_matter():
    crops = torch.from_numpy(noise()) // 4
    assert torch.allclose(seen(crops), seen(crops * 2 + 60), atol=1e-4)
    assert seen(torch.full((1, 40, 40, 3), 7, dtype=torch.uint8)).abs().max() < 1e-3


def test_the_shipped_weights_are_small_and_accounted_for():
    folder = files("fermodels.faces")
    assert len(folder.joinpath(WEIGHTS).read_bytes()) < 500_000
    with as_file(folder.joinpath(ACCOUNT)) as path:
        told = read_json(path, Account, what="account of landmarks", mend="Train them again.")
    nme_there = told.test["nme"]
    assert told.settings.seed == 0 and isinstance(nme_there, float) and 0 < nme_there < 0.06


@pytest.mark.parametrize(
    ("key", "value"), [("seconds", "long"), ("settings", {"faces": -1}), ("test", {"nme": "small"})]
)
def test_an_account_of_other_types_is_refused(key: str, value: object, tmp_path: Path):
    told = json.loads(files("fermodels.faces").joinpath(ACCOUNT).read_text())
    (tmp_path / ACCOUNT).write_text(json.dumps(told | {key: value}))
    with pytest.raises(ValueError, match="is no account"):
        read_json(tmp_path / ACCOUNT, Account, what="account", mend="Train them again.")


def test_own_is_near_the_drawn_points(own: Landmarker, faces: Faces):
    found = own(faces.images)
    assert nme(as_shares(found.points, faces.images), faces.landmarks) < 0.06
    visible = faces.visibility > 0.5
    assert found.confidence[visible].mean() > found.confidence[~visible].mean() + 0.2
    assert found.confidence.min() >= 0 and found.confidence.max() <= 1


def test_own_follows_a_mirrored_face(own: Landmarker, faces: Faces):
    plain, flipped = own(faces.images), own(faces.images[:, :, ::-1])
    back = mirror(flipped, 64)
    assert nme(back.points, plain.points) < 0.05
    assert np.abs(back.confidence - plain.confidence).mean() < 0.1


def test_own_does_not_depend_on_the_crops_size(own: Landmarker):
    large, small = (render(range(2**31, 2**31 + 8), size=size) for size in (128, 64))
    found = [as_shares(own(some.images).points, some.images) for some in (large, small)]
    assert nme(found[0], found[1]) < 0.05


def test_other_weights_are_read_from_a_file_and_anything_else_refused(tmp_path: Path, faces: Faces):
    torch.manual_seed(3)
    file = tmp_path / "mine.safetensors"
    net = LandmarkNet().eval()
    file.write_bytes(weights_of(net))
    found, expected = landmarker(f"own:{file}")(faces.images[:2]), OwnLandmarks(net)(faces.images[:2])
    assert np.allclose(found.points, expected.points, atol=0.05)
    file.write_bytes(file.read_bytes()[:999])
    with pytest.raises(ValueError, match="no weights of the landmark network"):
        landmarker(f"own:{file}")


# Every source


def sources(own: Landmarker) -> dict[str, Landmarker]:
    return {
        "own": own,
        "onnx": landmark_onnx.OnnxLandmarks(Brightest(), "x.onnx"),
        "fan": landmark_fan.FanLandmarks(Hill()),
        "given": landmarker("given"),
    }


@pytest.mark.parametrize("name", LANDMARKS)
def test_shapes_ranges_and_batch_equals_single(name: str, own: Landmarker, faces: Faces):
    find, crops = sources(own)[name], faces.images[:5]
    given = FacePoints(as_pixels(faces.landmarks[:5], crops), faces.visibility[:5])
    assert isinstance(find, Landmarker)
    whole, again = find(crops, given), find(crops.copy(), given)
    assert whole.points.shape == (5, 68, 2) and whole.confidence.shape == (5, 68)
    assert whole.points.dtype == whole.confidence.dtype == np.float32
    assert whole.confidence.min() >= 0 and whole.confidence.max() <= 1
    assert all(np.array_equal(a, b) for a, b in zip(whole, again, strict=True))
    for i in range(5):
        one = find(crops[i : i + 1], FacePoints(given.points[i : i + 1], given.confidence[i : i + 1]))
        assert np.allclose(one.points[0], whole.points[i], atol=1e-3)
        assert np.allclose(one.confidence[0], whole.confidence[i], atol=1e-4)


@pytest.mark.parametrize("name", LANDMARKS)
def test_no_crops_give_no_points(name: str, own: Landmarker):
    given = FacePoints(np.empty((0, 68, 2), np.float32), np.empty((0, 68), np.float32))
    found = sources(own)[name](np.empty((0, 64, 64, 3), np.uint8), given)
    assert found.points.shape == (0, 68, 2) and found.confidence.shape == (0, 68)


@pytest.mark.parametrize("name", LANDMARKS)
@pytest.mark.parametrize("crops", [noise()[0], noise()[..., :1], noise().astype(np.float32)])
def test_wrong_crops_are_refused_by_shape(name: str, crops: np.ndarray, own: Landmarker):
    given = FacePoints(np.zeros((len(crops), 68, 2), np.float32), np.ones((len(crops), 68), np.float32))
    with pytest.raises(ValueError, match=r"RGB crops of shape \(b, h, w, 3\) uint8"):
        sources(own)[name](crops, given)


@pytest.mark.parametrize("name", LANDMARKS)
def test_points_become_regions_and_masks(name: str, own: Landmarker, faces: Faces):
    split = Split(
        images=faces.images, labels=faces.labels, names=[str(i) for i in range(40)], landmarks=faces.landmarks
    )
    located = with_landmarks(split, sources(own)[name])
    views = Views(located, ViewConfig(size=56, local_size=16), ("face", "eyes", "mouth"))
    (batch,) = views.evaluation(40)
    assert [view.shape[-1] for view in batch.views] == [56, 16, 16] and batch.mask.shape == (40, 1, 7, 7)
    assert located.landmarks is not None and np.array_equal(
        views.boxes.numpy(), regions.region_boxes(np.asarray(located.landmarks))
    )
    if name == "given":
        assert np.allclose(located.landmarks, faces.landmarks, atol=1e-6)
    if name == "own":
        assert 4 <= batch.mask.sum((1, 2, 3)).median() <= 25


@pytest.mark.parametrize("name", LANDMARKS)
def test_crops_may_be_read_only(name: str, own: Landmarker, faces: Faces):
    crops = faces.images[:1].copy()
    crops.flags.writeable = False
    given = FacePoints(as_pixels(faces.landmarks[:1], crops), faces.visibility[:1])
    assert np.isfinite(sources(own)[name](crops, given).points).all()


def test_grey_faces_are_located_too(own: Landmarker, faces: Faces):
    grey = faces.images.mean(3, keepdims=True).astype(np.uint8)
    located = with_landmarks(Split(images=grey, labels=faces.labels, names=[""] * 40), own)
    assert located.landmarks is not None and nme(located.landmarks, faces.landmarks) < 0.09


def test_given_without_points_is_a_sentence():
    with pytest.raises(ValueError, match=r"came without points.*own"):
        landmarker("given")(noise())


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        ("dlib", "NAME one of own, onnx, fan, given"),
        ("own:nowhere.safetensors", "nowhere.safetensors is no file"),
        ("onnx", "name a 68-point ONNX model"),
        ("onnx:nowhere.onnx", "no such file"),
        ("given:points.npy", 'write "given"'),
    ],
)
def test_a_wrong_specification_is_a_sentence(spec: str, sentence: str):
    with pytest.raises(ValueError, match=sentence):
        landmarker(spec)
