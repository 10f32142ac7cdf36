"""Detectors: what every one of them promises, by a backend that is known and on real photographs where they lie."""

import builtins
import os
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_sets import OneFace

from fermodels.data.lfw import source
from fermodels.data.rows import Skips
from fermodels.faces import mtcnn
from fermodels.faces.detect import DETECTORS, Detector, open_detector
from fermodels.faces.mtcnn import suppressed

REAL = Path(os.environ.get("FER_DATA", Path(__file__).resolve().parents[2] / "../shared/data"))
LFW, YUNET = REAL / "lfw_emotion.tar", REAL / "detectors/yunet_n_dynamic.onnx"
SPECS = {"mtcnn": "mtcnn", "yunet": f"yunet:{YUNET}"}
LIBRARIES = {"mtcnn": "facenet_pytorch", "yunet": "cv2"}


class Several:
    version = "1"

    def find(self, photographs: np.ndarray):
        boxes = np.array([[0, 0, 20, 20], [30, 0, 80, 50], [0, 60, 30, 90], [0, 0, 5, 5]], np.float32)
        points = np.zeros((4, 5, 2), np.float32)
        return [(boxes + p[0, 0, 0], points, np.array([0.9, 0.8, 1.0000001, 1])) for p in photographs]


def known(smallest: float = 12) -> Detector:
    return Detector(name="known", smallest=smallest, backend=Several())


def test_faces_come_largest_first_and_none_below_the_smallest():
    faces = known().detect([np.zeros((100, 100, 3), np.uint8)])[0]
    assert [face.area for face in faces] == [2500, 900, 400]
    assert faces[0].centre == (55, 25) and all(0 <= face.probability <= 1 for face in faces)
    assert len(known(25).detect([np.zeros((100, 100, 3), np.uint8)])[0]) == 2


def test_photographs_of_mixed_sizes_keep_their_order_and_bgr_is_turned():
    photographs = [np.full((40 + 10 * (i % 3), 50, 3), (i, 7, 100 + i), np.uint8) for i in range(7)]
    for color, first in (("rgb", 0), ("bgr", 100)):
        found = known().detect(photographs, color=color)
        assert [faces[0].box[0] - 30 for faces in found] == [first + i for i in range(7)]
    assert known().detect([]) == []


@pytest.mark.parametrize(
    ("array", "sentence"),
    [
        (np.zeros((9, 9), np.uint8), "photograph 0 is grey"),
        (np.zeros((9, 9, 1), np.uint8), "photograph 0 is grey"),
        (np.zeros((9, 9, 4), np.uint8), "without alpha"),
        (np.zeros((9, 9, 3), np.float32), "is float32: give a uint8 array"),
        ([[1, 2, 3]], "is list: give a uint8 array"),
    ],
)
def test_what_is_no_rgb_photograph_is_named(array, sentence: str):
    with pytest.raises(ValueError, match=sentence):
        known().detect([array])


def test_an_unknown_colour_order_or_detector_is_answered_with_the_known():
    with pytest.raises(ValueError, match='"rgb" and "bgr"'):
        known().detect([], color="hsv")
    with pytest.raises(ValueError, match="mtcnn, yunet"):
        open_detector("haar")
    with pytest.raises(ValueError, match="12 or more"):
        open_detector("mtcnn", smallest=3)


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [("yunet", "needs its model"), ("yunet:nowhere.onnx", "no such file"), ("mtcnn:x", "come with its library")],
)
def test_a_missing_model_is_a_sentence(spec: str, sentence: str):
    with pytest.raises(ValueError, match=sentence):
        open_detector(spec)


@pytest.mark.parametrize("name", sorted(DETECTORS))
def test_a_missing_library_names_the_extra(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    (tmp_path / "model.onnx").write_bytes(b"")
    real = builtins.__import__

    def without(module: str, *rest, **named):
        if module.partition(".")[0] == LIBRARIES[name]:
            raise ImportError(f"No module named {module}")
        return real(module, *rest, **named)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ValueError, match=r"fermodels\[faces\]"):
        open_detector(name if name == "mtcnn" else f"{name}:{tmp_path / 'model.onnx'}")


def test_suppression_against_a_double_loop():
    chance = np.random.default_rng(1)
    corners = chance.uniform(0, 60, (80, 2))
    boxes, scores = np.concatenate((corners, corners + chance.uniform(5, 40, (80, 2))), 1), chance.uniform(0, 1, 80)
    kept: list[int] = []
    for i in sorted(range(80), key=lambda i: -scores[i]):
        for j in kept:
            w = min(boxes[i, 2], boxes[j, 2]) - max(boxes[i, 0], boxes[j, 0])
            h = min(boxes[i, 3], boxes[j, 3]) - max(boxes[i, 1], boxes[j, 1])
            areas = [float(np.prod(boxes[k, 2:] - boxes[k, :2])) for k in (i, j)]
            shared = max(w, 0) * max(h, 0)
            if shared / (sum(areas) - shared) > 0.4:
                break
        else:
            kept.append(i)
    assert suppressed(boxes, scores, 0.4).tolist() == kept and 5 < len(kept) < 75


@pytest.fixture(scope="module")
def photographs() -> list[np.ndarray]:
    if not (LFW.is_file() and YUNET.is_file()):
        pytest.skip(f"no photographs or no YuNet model under {REAL}")
    rows = source(str(LFW), Skips(allowed=False)).test
    return [np.asarray(rows.read(i).convert("RGB")) for i in range(0, 60, 10)]


@pytest.fixture(scope="module", params=sorted(DETECTORS))
def detector(request: pytest.FixtureRequest) -> Detector:
    torch.set_num_threads(1)
    if find_spec(LIBRARIES[request.param]) is None:  # imported by itself, facenet-pytorch would want torchvision
        pytest.skip(f"{LIBRARIES[request.param]} is not installed")
    if request.param == "yunet" and not YUNET.is_file():
        pytest.skip(f"no YuNet model under {REAL}")
    return open_detector(SPECS[request.param], smallest=40)


def test_torchvision_is_neither_needed_nor_left_behind():
    if find_spec("facenet_pytorch") is None:
        pytest.skip("facenet_pytorch is not installed")
    open_detector("mtcnn", smallest=40)
    from facenet_pytorch.models.utils import detect_face

    assert detect_face.batched_nms is mtcnn._batched_nms
    left = {name: module for name, module in sys.modules.items() if name.partition(".")[0] == "torchvision"}
    assert all(module.__spec__ is not None for module in left.values()), left  # a stand-in has none


def test_every_photograph_of_a_person_has_a_face_in_its_middle(detector: Detector, photographs: list[np.ndarray]):
    for faces in detector.detect(photographs):
        near = [face for face in faces if np.hypot(face.centre[0] - 125, face.centre[1] - 125) < 40]
        assert near and 60 < near[0].box[2] - near[0].box[0] < 160
        left, right, nose, *corners = near[0].points
        assert left[0] < right[0] and max(left[1], right[1]) < nose[1] < min(corner[1] for corner in corners)


def test_a_batch_gives_what_each_photograph_gives(detector: Detector, photographs: list[np.ndarray]):
    mixed = [photographs[0], photographs[1][:200], photographs[2]]
    for photograph, together in zip(mixed, detector.detect(mixed), strict=True):
        alone = detector.detect([photograph])[0]
        assert len(alone) == len(together)
        for a, b in zip(alone, together, strict=True):
            np.testing.assert_allclose(a.box, b.box, atol=0.05)
            np.testing.assert_allclose(a.points, b.points, atol=0.05)


def test_no_face_is_an_empty_list(detector: Detector):
    noise = np.random.default_rng(0).integers(0, 256, (120, 90, 3), np.uint8)
    nothing = [np.zeros((90, 120, 3), np.uint8), noise, np.zeros((1, 1, 3), np.uint8), np.zeros((300, 8, 3), np.uint8)]
    assert detector.detect(nothing) == [[], [], [], []]
    assert detector.version


def test_a_backend_is_asked_for_every_photograph_once():
    backend = OneFace()
    found = Detector(name="one", smallest=12, backend=backend).detect([np.zeros((64, 64, 3), np.uint8)] * 600)
    assert backend.searched == 600 and all(len(faces) == 1 for faces in found)
