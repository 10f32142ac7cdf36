"""Sources of landmarks: the scheme's symmetry, frames, the shipped network's laws, other models' answers."""

import hashlib
import json
import os
import sys
import types
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
import torch

from fermodels.data.base import Split
from fermodels.data.synthetic import Faces, render
from fermodels.data.synthetic.actions import MIRROR
from fermodels.faces import landmark_fan, landmark_onnx, regions
from fermodels.faces.landmark_base import FLIP, FacePoints, Landmarker, as_pixels, as_shares
from fermodels.faces.landmark_errors import nme
from fermodels.faces.landmark_net import WEIGHTS, LandmarkNet, centre_of, places, seen, weights_of
from fermodels.faces.landmarks import LANDMARKS, OwnLandmarks, landmarker, with_landmarks
from fermodels.views import ViewConfig, Views

REPOSITORY = Path(__file__).resolve().parents[2]
REAL = Path(os.environ.get("FER_DATA", REPOSITORY / "../shared/data")) / "detectors/pfld68_cunjian.onnx"
MIRRORED = list(FLIP)


@pytest.fixture(scope="module")
def faces() -> Faces:
    return render(range(2**31 + 5000, 2**31 + 5040), size=64, seed=0, occluders=0.4)


@pytest.fixture(scope="module")
def own() -> Landmarker:
    return landmarker("own")


def noise(n: int = 2, height: int = 40, width: int = 40) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (n, height, width, 3), dtype=np.uint8)


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
    told = json.loads(folder.joinpath("landmarks.json").read_text())
    assert {"commit", "data", "settings", "training", "test"} <= told.keys()
    assert told["settings"]["seed"] == 0 and told["test"]["nme"] < 0.06


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


class Brightest:
    """Stands in for a session: all points at the centre of brightness, which moves with the picture."""

    def __init__(self, sees: bool = True, *, batch: int | str = "b", scale: float = 1.0, outputs: int = 136) -> None:
        self.sees, self.batch, self.scale, self.outputs, self.calls = sees, batch, scale, outputs, []

    def get_inputs(self):
        return [types.SimpleNamespace(name="x", shape=[self.batch, 3, 100, 100])]

    def run(self, _, fed):
        (pictures,) = fed.values()
        self.calls.append(len(pictures))
        weight = pictures.mean(1)
        total = weight.sum((1, 2))
        middle = (np.arange(100) + 0.5) / 100
        x, y = (weight.sum(1) * middle).sum(1) / total, (weight.sum(2) * middle).sum(1) / total
        place = np.stack((x, y), -1)[:, None] if self.sees else np.full((len(pictures), 1, 2), 0.5)
        offset = np.linspace(-0.2, 0.2, 68)[:, None] * (1, 0)
        symmetric = (offset - offset[MIRRORED]) / 2
        if self.outputs == 204:
            answer = np.concatenate(((place + symmetric) * self.scale, np.full((len(pictures), 68, 1), 0.7)), 2)
            return [answer.reshape(len(pictures), -1)]
        return [((place + symmetric) * self.scale).reshape(len(pictures), -1)[:, : self.outputs].astype(np.float32)]


class InTwo(Brightest):
    """The same with the confidence in an output of its own."""

    def run(self, _, fed):
        (points,) = super().run(_, fed)
        return [np.full((len(points), 68), 0.7, np.float32), points]


def spot(n: int = 3) -> np.ndarray:
    crops = np.zeros((n, 100, 100, 3), np.uint8)
    for i in range(n):
        crops[i, 40 + 5 * i : 50 + 5 * i, 60:64] = 200
    return crops


class Hill(torch.nn.Module):
    """Stands in for FAN: heat maps that are the picture itself."""

    def __init__(self, modules: int = 4) -> None:
        super().__init__()
        self.gain = torch.nn.Parameter(torch.ones(()))

    def forward(self, pictures):
        heat = torch.nn.functional.avg_pool2d(pictures.mean(1, keepdim=True), 4) * self.gain
        return [heat, heat.expand(-1, 68, -1, -1)]


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


# ONNX models


def test_an_onnx_models_points_come_back_to_the_crop():
    crops = spot()
    found = landmark_onnx.OnnxLandmarks(Brightest(), "x.onnx")(crops)
    assert np.allclose(found.points[:, 8], [(62, 45), (62, 50), (62, 55)], atol=0.05)
    # Jaw ends: half the difference of their offsets, 16 steps of 0.4 / 67 of a side of 100 px.
    assert np.allclose(found.points[0, [0, 16], 0] - 62, np.array([-8, 8]) * 40 / 67, atol=0.05)


def test_answers_that_move_with_the_picture_are_trusted_and_others_are_not():
    sure = landmark_onnx.OnnxLandmarks(Brightest(), "x.onnx")(spot()).confidence
    blind = landmark_onnx.OnnxLandmarks(Brightest(sees=False), "x.onnx")(spot()).confidence
    assert sure.min() > 0.9 > 0.5 > blind.max()


def test_agreement_by_hand():
    """Two views, eye corners 10 apart, one point told 1 to the left and 1 to the right of its mean."""
    answers = np.zeros((2, 1, 68, 2), np.float32)
    answers[:, :, 45, 0] = 10
    answers[0, :, 30, 0], answers[1, :, 30, 0] = -1, 1
    confidence = landmark_onnx.agreement(answers)
    assert confidence[0, 30] == pytest.approx(1 / (1 + (0.1 / landmark_onnx.DOUBT) ** landmark_onnx.SLOPE))
    assert confidence[0, 0] == 1


def test_pixels_and_shares_are_told_apart_and_confidence_is_taken_as_given():
    shares, pixels = (landmark_onnx.OnnxLandmarks(Brightest(scale=s), "x.onnx")(spot()).points for s in (1.0, 100.0))
    assert np.allclose(shares, pixels, atol=1e-3)
    for session in (Brightest(outputs=204), InTwo()):
        told = landmark_onnx.OnnxLandmarks(session, "x.onnx")(spot())
        assert np.allclose(told.confidence, 0.7) and np.allclose(told.points[:, 8, 0], 62, atol=0.05)


def test_a_fixed_batch_is_filled_up():
    session = Brightest(batch=2)
    found = landmark_onnx.OnnxLandmarks(session, "x.onnx")(spot())
    assert set(session.calls) == {2} and np.allclose(found.points[:, 8, 1], (45, 50, 55), atol=0.05)


def test_a_model_of_other_points_is_refused():
    with pytest.raises(ValueError, match="answers with 10 numbers a face; a 68-point model gives 136"):
        landmark_onnx.OnnxLandmarks(Brightest(outputs=10), "x.onnx")


def test_a_real_onnx_file_is_opened(tmp_path: Path):
    onnx = pytest.importorskip("onnx")
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    middle = helper.make_tensor("middle", kind, [1, 136], np.full(136, 0.5, np.float32).tolist())
    zero = helper.make_tensor("zero", kind, [3, 136], np.zeros(408, np.float32).tolist())
    nodes = [
        helper.make_node("ReduceMean", ["x"], ["colour"], axes=[2, 3], keepdims=0),
        helper.make_node("MatMul", ["colour", "zero"], ["nothing"]),
        helper.make_node("Add", ["nothing", "middle"], ["points"]),
    ]
    graph = helper.make_graph(
        nodes,
        "middle",
        [helper.make_tensor_value_info("x", kind, ["b", 3, 32, 32])],
        [helper.make_tensor_value_info("points", kind, ["b", 136])],
        [middle, zero],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    file = tmp_path / "middle.onnx"
    onnx.save(model, file)
    assert np.allclose(landmarker(f"onnx:{file}")(noise(2, 30, 60)).points, (30, 15), atol=1e-4)
    file.write_bytes(b"not a model")
    with pytest.raises(ValueError, match="cannot open"):
        landmarker(f"onnx:{file}")


@pytest.mark.slow
@pytest.mark.skipif(
    not REAL.is_file(), reason="pfld68_cunjian.onnx is not here; FER_DATA names the folder of detectors"
)
def test_a_published_model_finds_the_eyes_and_the_mouth(faces: Faces):
    found = landmarker(f"onnx:{REAL}")(faces.images[:2])
    assert nme(as_shares(found.points, faces.images[:2]), faces.landmarks[:2]) < 0.25


# FAN


def test_fan_sees_the_crop_where_it_is_laid_and_answers_in_the_crops_pixels():
    crops = np.zeros((2, 82, 164, 3), np.uint8)
    crops[0, 38:42, 80:88] = 255
    crops[1, 18:22, 80:88] = 255
    found = landmark_fan.FanLandmarks(Hill())(crops)
    assert np.allclose(found.points[:, 0], [(84, 40), (84, 20)], atol=1.0)
    assert found.confidence.min() > 0.5


def test_peaks_are_found_between_cells():
    heat = torch.zeros(1, 1, 64, 64)
    heat[0, 0, 10, 20], heat[0, 0, 10, 21], heat[0, 0, 40, 40] = 0.9, 0.3, 0.8
    place, top = landmark_fan.peaks(heat)
    assert (place[0, 0] * 64).tolist() == pytest.approx([20.5 + 0.25, 10.5]) and top.item() == pytest.approx(0.9)


def library(monkeypatch: pytest.MonkeyPatch) -> None:
    models = types.ModuleType("face_alignment.models")
    models.FAN = Hill  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "face_alignment", types.ModuleType("face_alignment"))
    monkeypatch.setitem(sys.modules, "face_alignment.models", models)


def test_fan_without_the_library_is_a_sentence(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "face_alignment", None)
    monkeypatch.setitem(sys.modules, "face_alignment.models", None)
    with pytest.raises(ValueError, match=r"pip install 'fermodels\[faces\]'"):
        landmarker("fan")


def test_fan_offline_is_a_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    def refused(*_: object, **__: object) -> None:
        raise OSError("no network")

    library(monkeypatch)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", refused)
    with pytest.raises(ValueError, match=r"cannot be fetched \(no network\).*put the file at"):
        landmarker("fan")


def test_fans_weights_are_read_only_after_their_digest_was_checked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    library(monkeypatch)
    file = tmp_path / "fan.pth.tar"
    torch.save(Hill().state_dict(), file)
    with pytest.raises(ValueError, match="begin with 11f355bf06"):
        landmarker(f"fan:{file}")
    monkeypatch.setattr(landmark_fan, "DIGEST", hashlib.sha256(file.read_bytes()).hexdigest()[:10])
    assert landmarker(f"fan:{file}")(noise()).points.shape == (2, 68, 2)
    with pytest.raises(ValueError, match="no such file"):
        landmarker(f"fan:{tmp_path / 'nowhere'}")
