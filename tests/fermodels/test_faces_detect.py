"""Detectors: what every one of them promises, by a backend that is known and on real photographs where they lie."""

import builtins
import os
import pickle
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_sets import OneFace

from fermodels.data.lfw import source
from fermodels.data.rows import Skips
from fermodels.faces import mtcnn, tiles
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


def assert_found(found: list, wanted: list) -> None:
    """Asserts that faces are the same."""
    assert len(found) == len(wanted)
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_allclose(one.box, other.box, atol=0.05)
        np.testing.assert_allclose(one.points, other.points, atol=0.05)


def test_a_detector_is_shared_by_threads_and_can_be_pickled(detector: Detector, photographs: list[np.ndarray]):
    sizes = (125, 90, 110)
    given = [np.ascontiguousarray(photographs[i % 6][::2, ::2][: sizes[i % 3], : sizes[i % 2]]) for i in range(30)]
    alone = [detector.detect([one])[0] for one in given]
    again: Detector = pickle.loads(pickle.dumps(detector))
    with ThreadPoolExecutor(4) as pool:
        runs = list(pool.map(lambda one: [one.detect([photo])[0] for photo in given], [detector, again] * 2))
    for run in runs:
        for found, wanted in zip(run, alone, strict=True):
            assert_found(found, wanted)


@pytest.mark.parametrize("width", [1600, 1601, 3300])
def test_small_faces_are_found_in_photographs_of_every_size(
    detector: Detector, photographs: list[np.ndarray], width: int
):
    """Twelve faces of some 50 px on a grey wall."""
    wall, places = np.full((round(0.75 * width), width, 3), 120, np.uint8), []
    for number in range(12):
        whole = Image.fromarray(photographs[number % 6]).resize((112, 112), Image.Resampling.LANCZOS)
        x, y = 40 + number % 4 * (width - 200) // 3, 60 + number // 4 * (wall.shape[0] - 250) // 2
        wall[y : y + 112, x : x + 112] = np.asarray(whole)
        places.append((x + 56, y + 56))
    (faces,) = detector.detect([wall])
    found = [min(np.hypot(f.centre[0] - x, f.centre[1] - y) for f in faces) < 20 for x, y in places]
    assert all(found) and len(faces) <= 14, (found, len(faces))


DISCS = (((600, 700), 1000), ((1300, 1448), 30), ((1448, 2100), 200), ((2300, 2700), 40), ((1900, 800), 900))


def test_a_face_is_found_once_whatever_its_size_and_place_in_a_large_photograph():
    """By a detector that sees bright discs: of 30 to 1,000 px, across the borders of tiles, near each other."""
    photograph, discs = np.zeros((2400, 2800, 3), np.uint8), []
    y, x = np.ogrid[:2400, :2800]
    for centre, side in DISCS:
        photograph[(y - centre[0]) ** 2 + (x - centre[1]) ** 2 <= (side / 2) ** 2] = 255
        discs.append((centre[1], centre[0], side))
    (faces,) = Detector(name="discs", smallest=20, backend=Discs()).detect([photograph])
    assert len(faces) == 5
    for x, y, side in discs:
        (face,) = (f for f in faces if np.hypot(f.centre[0] - x, f.centre[1] - y) < 6)
        assert max(face.box[2] - face.box[0], face.box[3] - face.box[1]) == pytest.approx(side, abs=8)


class Discs:
    """A detector's backend that sees what is bright and connected."""

    version = "1"

    def find(self, photographs: np.ndarray):
        assert photographs[..., 0].size <= tiles.WHOLE, "memory has a bound"
        return [self._one(photograph) for photograph in photographs]

    def _one(self, photograph: np.ndarray):
        cv2 = pytest.importorskip("cv2")
        _, _, stats, centres = cv2.connectedComponentsWithStats((photograph[..., 0] > 127).astype(np.uint8))
        boxes = np.array([(x, y, x + w, y + h) for x, y, w, h, _ in stats[1:]], np.float32).reshape(-1, 4)
        points = np.stack([centres[1:]] * 5, 1).astype(np.float32) + np.arange(5, dtype=np.float32)[:, None]
        return boxes, points, np.full(len(boxes), 0.9, np.float32)


def test_faces_without_a_place_are_left_out():
    """Points or a box that are no numbers."""

    class Odd:
        version = "1"

        def find(self, photographs: np.ndarray):
            boxes, points = np.full((4, 4), (0.0, 0, 50, 50)), np.arange(10.0).reshape(5, 2)[None].repeat(4, 0)
            boxes[1, 2], points[2], points[3, 0, 0] = np.nan, np.nan, np.inf
            return [(boxes, points, np.ones(4))] * len(photographs)

    assert len(Detector(name="odd", smallest=12, backend=Odd()).detect([np.zeros((60, 60, 3), np.uint8)])[0]) == 1


def test_where_only_large_faces_are_asked_for_the_photograph_is_made_smaller():
    seen = []

    class Watched(Discs):
        def find(self, photographs: np.ndarray):
            seen.append(photographs.shape)
            return super().find(photographs)

    photograph = np.zeros((600, 900, 3), np.uint8)
    photograph[100:300, 200:500] = 255
    photograph[400:450, 400:450] = 255
    ((face,),) = Detector(name="discs", smallest=200, backend=Watched()).detect([photograph])
    assert seen == [(1, 150, 225, 3)] and face.box == pytest.approx((200, 100, 500, 300), abs=4)
