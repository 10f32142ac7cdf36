"""From a picture to rows: what holds for every batch, order, colour order and size, and what the command says."""

import csv
import json
import os
import pickle
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from io import BytesIO, StringIO, TextIOWrapper
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from test_classifier import SAID, mean_colour
from test_pictures import video
from tiny_nets import ABOUT, CONFIG, STORED, tiny_checkpoint
from tiny_sets import noise, save

import fermodels
from compress.files import plain
from fermodels.data.lfw import source
from fermodels.data.rows import Skips
from fermodels.faces.align import moved, template
from fermodels.faces.detect import Detector
from fermodels.predict import checkpoint_classifier
from fermodels.predict import predictor as predicting
from fermodels.predict.__main__ import main
from fermodels.predict.models import open_model
from fermodels.predict.pictures import Frame, Photograph, photograph_of
from fermodels.predict.predictor import FRAMES_AT_ONCE, FaceExpression, Predictor, predictions
from fermodels.predict.rows import columns, rows
from fermodels.predict.shipped import DEFAULT, SHIPPED, trust

REAL = Path(os.environ.get("FER_DATA", Path(__file__).resolve().parents[2] / "../shared/data"))
LFW, YUNET = REAL / "lfw_emotion.tar", REAL / "detectors/yunet_n_dynamic.onnx"


class Counted:
    """Sees as many faces in a photograph as the red of its first pixel says, modulo 3, each larger than the next."""

    version = "1"

    def find(self, photographs: np.ndarray):
        side = min(photographs.shape[1:3])
        found = []
        for photograph in photographs:
            shares = np.array([0.8, 0.6, 0.5][: int(photograph[0, 0, 0]) % 3])
            boxes = np.stack([np.array([0.1, 0.05, 0.1 + s, 0.05 + s]) * side for s in shares] or [np.empty(4)])
            points = np.stack([template(side * s) + np.array([0.1, 0.05]) * side for s in shares] or [np.empty((5, 2))])
            found.append((boxes[: len(shares)], points[: len(shares)], 1 - shares / 10))
        return found


def detector() -> Detector:
    return Detector(name="counted", smallest=12, backend=Counted())


def pictures(count: int = 7) -> list[np.ndarray]:
    """Of three sizes, with 0, 1 or 2 faces."""
    made = [noise(seed, 60 + 20 * (seed % 3), 3)[: 50 + 5 * (seed % 2)].copy() for seed in range(count)]
    for seed, pixels in enumerate(made):
        pixels[0, 0, 0] = seed + 1
    return made


@pytest.fixture(scope="module", params=["mrf", "vggnet"])
def predictor(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    torch.set_num_threads(1)
    return Predictor(tiny_checkpoint(request.param, tmp_path_factory.mktemp("net") / request.param), detector())


@pytest.fixture
def checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A checkpoint; and whatever detector is asked for, `Counted` is there."""
    monkeypatch.setattr(predicting, "open_detector", lambda spec, smallest: detector())
    return str(tiny_checkpoint("mrf", tmp_path / "net"))


def assert_same(a: list[FaceExpression], b: list[FaceExpression]) -> None:
    """Asserts it, field by field."""
    assert len(a) == len(b)
    for one, other in zip(a, b, strict=True):
        assert (one.box, one.detection, one.expression) == (other.box, other.detection, other.expression)
        assert one.probabilities == pytest.approx(other.probabilities, abs=1e-5)
        np.testing.assert_array_equal(one.matrix, other.matrix)
        assert (one.attention is None) == (other.attention is None)
        if one.attention is not None and other.attention is not None:
            np.testing.assert_allclose(one.attention, other.attention, atol=1e-5)


def test_a_batch_gives_what_each_picture_gives(predictor: Predictor):
    together = predictor.predict(pictures())
    assert [len(faces) for faces in together] == [1, 2, 0, 1, 2, 0, 1]
    for picture, faces in zip(pictures(), together, strict=True):
        assert_same(faces, predictor.predict(picture))


def test_the_order_of_the_pictures_changes_nothing(predictor: Predictor):
    order = np.random.default_rng(0).permutation(7).tolist()
    forward = predictor.predict(pictures())
    for index, faces in zip(order, predictor.predict([pictures()[i] for i in order]), strict=True):
        assert_same(faces, forward[index])


def test_the_same_pictures_give_the_same_rows(predictor: Predictor):
    def all_rows() -> list[dict]:
        stream = (Frame(file=str(i), picture=photograph_of(Image.fromarray(p))) for i, p in enumerate(pictures(20)))
        return [row for frame, faces in predictions(predictor, stream) for row in rows(frame, faces, 7)]

    first = all_rows()
    assert first == all_rows() and len(first) == 7 * 1 + 7 * 2 + 6


def test_every_form_of_a_picture_gives_the_same(predictor: Predictor):
    rgb = pictures()[1]
    expected = predictor.predict(rgb)
    assert_same(predictor.predict(rgb[..., ::-1], color="bgr"), expected)
    assert_same(predictor.predict(Image.fromarray(rgb)), expected)
    exif = Image.Exif()
    exif[0x0112] = 3  # the camera was upside down
    turned = Image.fromarray(np.ascontiguousarray(rgb[::-1, ::-1]))
    turned.info["exif"] = exif.tobytes()
    assert_same(predictor.predict(turned), expected)


def test_a_region_is_a_picture_of_its_own_whose_boxes_lie_in_the_whole(predictor: Predictor):
    whole = np.zeros((90, 120, 3), np.uint8)
    part = pictures()[1]
    height, width = part.shape[:2]
    whole[7 : 7 + height, 11 : 11 + width] = part
    part_of_it = Predictor(predictor.model, detector(), roi=(11, 7, width, height))
    found, wanted = part_of_it.predict(whole), predictor.predict(part)
    assert len(found) == len(wanted) == 2
    for one, other in zip(found, wanted, strict=True):
        assert one.box == pytest.approx(np.add(other.box, (11, 7, 11, 7)))
        if one.box[2] < 11 + width and one.box[3] < 7 + height:  # nothing beyond the part is seen
            assert one.probabilities == pytest.approx(other.probabilities, abs=1e-5)
    cropped = Predictor(predictor.model, None, roi=(11, 7, width, height))
    assert_same_answers(cropped.predict(whole), Predictor(predictor.model, None).predict(part))


def assert_same_answers(found: list[FaceExpression], wanted: list[FaceExpression]) -> None:
    for one, other in zip(found, wanted, strict=True):
        assert one.probabilities == pytest.approx(other.probabilities, abs=1e-5)


def test_a_region_is_in_pixels_of_the_file_and_must_meet_the_picture(predictor: Predictor):
    drafted = Photograph(pixels=pictures()[1], scale=8.0)  # of a JPEG file eight times as large
    height, width = drafted.pixels.shape[:2]
    everything = Predictor(predictor.model, detector(), roi=(0, 0, 8 * width, 8 * height))
    assert_same(everything.faces([drafted])[0], predictor.faces([drafted])[0])
    beside = Predictor(predictor.model, detector(), roi=(500, 0, 10, 10))
    with pytest.raises(ValueError, match=r"\(500, 0, 10, 10\).*lies beside this picture of 80 x 55"):
        beside.predict(pictures()[1])
    with pytest.raises(ValueError, match="at least 1"):
        Predictor(predictor.model, detector(), roi=(0, 0, 0, 5))


def test_probabilities_are_those_of_the_network_on_the_aligned_face(tmp_path: Path):
    """By hand: a photograph that is an aligned face, whose pixels need no resampling, and the network as it is."""
    net, _ = fermodels.load(tiny_checkpoint("vggnet", tmp_path / "net"))
    pixels, corner = noise(5, STORED, 3), (STORED - CONFIG.size) // 2
    crop = torch.from_numpy(pixels[corner : -corner or None, corner : -corner or None]).permute(2, 0, 1)[None]
    with torch.inference_mode():
        logits = net((crop.float() / 255 - CONFIG.mean) / CONFIG.std).logits[0, 0]
    (face,) = Predictor(tmp_path / "net", None).predict(pixels)
    assert list(face.probabilities.values()) == pytest.approx(logits.softmax(0).tolist(), abs=1e-5)
    assert tuple(face.probabilities) == fermodels.EXPRESSIONS and face.detection is None
    assert face.probability == max(face.probabilities.values()) == face.ranked()[0][1]
    assert sum(face.probabilities.values()) == pytest.approx(1)


def test_the_map_leads_from_the_photograph_to_what_the_network_sees(predictor: Predictor):
    """The five points lie on the template; of the aligned face the network sees the centre, 56 of 64 pixels."""
    pixels = pictures()[0]
    (face,) = predictor.predict(pixels)
    side = min(pixels.shape[:2])
    points = template(0.8 * side) + np.array([0.1, 0.05]) * side
    expected = (template(STORED) - (STORED - CONFIG.size) / 2) / CONFIG.size
    np.testing.assert_allclose(moved(face.matrix, points), expected, atol=1e-9)
    assert face.box == pytest.approx([0.1 * side, 0.05 * side, 0.9 * side, 0.85 * side], rel=1e-5)


def test_a_face_in_a_drafted_photograph_is_told_in_the_pixels_of_the_file(predictor: Predictor):
    small, repeats = pictures()[0], 8
    ((face,),) = predictor.faces([Photograph(pixels=small, scale=repeats)])
    (expected,) = predictor.predict(small)
    assert face.box == pytest.approx([repeats * value for value in expected.box], rel=1e-6)
    corners = np.array([[0.0, 0], [1, 0.5]]) * small.shape[:2]
    np.testing.assert_allclose(moved(face.matrix, repeats * corners), moved(expected.matrix, corners), atol=0.05)


def test_no_face_is_an_empty_list(predictor: Predictor):
    assert predictor.predict(pictures()[2]) == [] and predictor.predict([]) == []


@pytest.mark.parametrize(
    ("image", "color", "sentence"),
    [
        (None, "rgb", "image 0 is NoneType: give a path, a Pillow image, or an array"),
        ([None], "rgb", "image 0 is NoneType"),
        (7, "rgb", "image 0 is int"),
        ([[1, 2], [3, 4]], "rgb", "image 0 is list"),
        (b"bytes", "rgb", "image 0 is bytes"),
        (Path("gone.jpg"), "rgb", r"gone\.jpg: there is no such file"),
        (np.zeros((0, 0, 3), np.uint8), "rgb", r"of shape \(0, 0, 3\) has no pixels"),
        (np.zeros((0, 0), np.uint8), "rgb", "has no pixels"),
        (np.zeros((9, 9, 4), np.uint8), "rgb", "without alpha"),
        (np.zeros(9, np.uint8), "rgb", "no picture in colour or grey"),
        (np.full((9, 9, 3), 1.5), "rgb", "is float64 with values from 1.5 to 1.5: give uint8, or 0 to 1"),
        (np.full((9, 9, 3), np.nan), "rgb", "values from nan"),
        (np.zeros((9, 9, 3), np.uint16), "rgb", "is uint16"),
        (np.zeros((9, 9, 3), np.uint8), "hsv", '"rgb" and "bgr"'),
    ],
)
def test_what_is_no_picture_is_named(predictor: Predictor, image: object, color: str, sentence: str):
    with pytest.raises(ValueError, match=sentence):
        predictor.predict(image, color)


def test_a_cropped_face_that_is_too_small_is_refused(predictor: Predictor):
    with pytest.raises(ValueError, match="1x1 pixels are too few"):
        Predictor(predictor.model, None).predict(np.zeros((1, 1, 3), np.uint8))


def test_of_a_cropped_picture_the_central_square_is_taken(predictor: Predictor):
    cropped = Predictor(predictor.model, None)
    square = noise(4, 40, 3)
    wide = np.concatenate((noise(1, 40, 3)[:, :10], square, noise(2, 40, 3)[:, :10]), 1)
    (face,), (expected,) = cropped.predict(wide), cropped.predict(square)
    assert face.box == (10, 0, 50, 40) and face.probabilities == pytest.approx(expected.probabilities, abs=1e-6)
    np.testing.assert_allclose(moved(face.matrix, [[30, 20]]), [[0.5, 0.5]], atol=1e-12)


def test_frames_are_read_a_batch_at_a_time(predictor: Predictor):
    pulled = []

    def endless():
        while True:
            pulled.append(1)
            yield Frame(file="f", picture=photograph_of(Image.fromarray(pictures()[0])))

    stream = predictions(predictor, endless())
    for number in range(1, 2 * FRAMES_AT_ONCE + 2):
        next(stream)
        assert len(pulled) == FRAMES_AT_ONCE * -(-number // FRAMES_AT_ONCE)


def test_every_row_has_the_same_keys():
    broken = Frame(file="a", picture="it is broken")
    blind = Frame(file="b", frame=3, time_s=0.12, picture=photograph_of(Image.new("RGB", (9, 9))))
    found = [*rows(broken, [], 2), *rows(blind, [], 2)]
    assert [list(row) for row in found] == [columns(2)] * 2
    assert [row["status"] for row in found] == ["unreadable: it is broken", "no face"]
    assert (found[1]["frame"], found[1]["time_s"], found[1]["expression_2"]) == (3, 0.12, None)


def folder(root: Path) -> Path:
    """One picture with two faces, one without, one broken."""
    save(root / "photos/a.png", pictures()[1])
    save(root / "photos/b.png", pictures()[2])
    (root / "photos/c.jpg").write_bytes(b"no picture")
    return root / "photos"


def test_json_rows_are_the_predictors_answers(checkpoint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main([str(folder(tmp_path)), "--model", checkpoint, "--json", "--top", "7"]) == 0
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(Path(row["file"]).name, row["face_id"], row["status"].partition(" (")[0]) for row in found] == [
        ("a.png", 0, "ok"),
        ("a.png", 1, "ok"),
        ("b.png", None, "no face"),
        ("c.jpg", None, "unreadable: it is no picture in a known format"),
    ]
    for row, face in zip(found, Predictor(checkpoint, "any").predict(pictures()[1]), strict=False):
        assert row["box"] == [round(value, 1) for value in face.box]
        assert (row["expression"], row["expression_7"]) == (face.ranked()[0][0], face.ranked()[-1][0])
        assert row["probability"] == pytest.approx(face.probability, abs=1e-4)


def test_csv_is_a_table(checkpoint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main([str(folder(tmp_path)), "--model", checkpoint, "--csv", "--top", "2"]) == 0
    table = list(csv.DictReader(StringIO(capsys.readouterr().out)))
    assert list(table[0]) == columns(2) and len(table) == 4
    assert len(table[0]["box"].split()) == 4 and table[2]["box"] == table[2]["probability"] == ""


def test_text_ends_with_the_counts(checkpoint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main([str(folder(tmp_path)), "--model", checkpoint]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "a.png: face 0 [" in lines[0] and lines[2].endswith("b.png: no face")
    assert json.loads(lines[-1]) == {"faces": 2, "no_face": 1, "unreadable": 1}


def test_a_video_has_a_row_for_every_frame(checkpoint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    path = video(tmp_path / "clip.avi", count=FRAMES_AT_ONCE + 3)
    main([str(path), "--model", checkpoint, "--json"])
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert sorted({row["frame"] for row in found}) == list(range(FRAMES_AT_ONCE + 3))
    assert [row["time_s"] for row in found] == pytest.approx([row["frame"] / 10 for row in found], abs=2e-3)


class Camera:
    """Three frames, then somebody presses Ctrl-C."""

    def __init__(self, number: int) -> None:
        self.left = 3 if number == 0 else 0

    def grab(self):
        if self.left == 0:
            return False
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt
        return True

    def retrieve(self):
        return True, pictures()[1][..., ::-1]

    def get(self, what: int) -> float:
        return 0.0

    def release(self) -> None:
        self.left = -1


def test_a_camera_is_watched_until_it_is_enough(
    checkpoint: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    cv2 = pytest.importorskip("cv2")
    monkeypatch.setattr(cv2, "VideoCapture", Camera)
    assert main(["--webcam", "--model", checkpoint, "--json"]) == 0
    told = capsys.readouterr()
    found = [json.loads(line) for line in told.out.splitlines()]
    assert [row["frame"] for row in found] == [0, 0, 1, 1] and {row["file"] for row in found} == {"webcam 0"}
    assert all(row["time_s"] >= 0 and row["status"] == "ok" for row in found)
    assert json.loads(told.err.splitlines()[-1])["faces"] == 4
    assert main(["--webcam", "3", "--model", checkpoint]) == 1
    assert "webcam 3: unreadable: there is no such camera" in capsys.readouterr().out


def test_nothing_readable_is_status_1(checkpoint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "empty").mkdir()
    assert main([str(tmp_path / "empty"), str(tmp_path / "gone.png"), "--model", checkpoint]) == 1
    assert "unreadable: there is no such file" in capsys.readouterr().out


def test_cropped_pictures_need_no_detector(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    net = tiny_checkpoint("mrf", tmp_path / "net")
    paths = [str(save(tmp_path / f"{side}.png", noise(1, side, 3))) for side in (1, 48)]
    assert main([*paths, "--model", str(net), "--cropped", "--detector", "none", "--json"]) == 0
    tiny, whole = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert tiny["status"].startswith("unreadable: 1x1 pixels")
    assert whole["box"] == [0, 0, 48, 48] and whole["detection"] is None


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--top", "8"], "--top 8: the model knows 7 expressions"),
        (["--model", "nowhere"], "there is no model nowhere"),
        (["--annotate", "one.png"], "name a folder"),
    ],
)
def test_a_mistake_is_a_sentence(
    words: list[str], sentence: str, checkpoint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert main([str(folder(tmp_path)), "--model", checkpoint, *words]) == 2
    assert sentence in capsys.readouterr().err


def test_a_network_that_ships_answers_by_its_name_and_says_how_far_to_trust_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    face = str(save(tmp_path / "face.png", noise(1, 48, 3)))
    told = []
    for words in (["--model", "demo"], ["--model", str(SHIPPED["demo"])]):
        assert main([face, "--cropped", "--json", *words]) == 0
        out, err = capsys.readouterr()
        told.append(out)
        assert "answers: trained on drawn faces only, it shows the way; do not trust it on photographs" in err
    assert told[0] == told[1]


def test_the_network_that_answers_unasked_was_trained_on_real_faces_and_says_where_it_fails(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    face = str(save(tmp_path / "face.png", noise(1, 48, 3)))
    assert main([face, "--cropped"]) == 0
    told = capsys.readouterr().err
    assert f"{DEFAULT} answers: trained on real faces" in told and "mostly misses" in told


@pytest.mark.parametrize(
    ("about", "sentence"),
    [
        ({"trust": "on Sundays"}, "on Sundays"),
        (
            {"data": "fer2013", "split": "test", "n": 3589, "accuracy": {"overall": 0.665, "interval": [0.65, 0.68]}},
            r"66\.5% right \(95 %: 65\.0% to 68\.0%\) on the 3,589 faces of fer2013 \(test\)",
        ),
        ({"accuracy": None}, "does not say how often"),
        ({"accuracy": "high"}, "does not say how often"),
    ],
)
def test_trust_is_what_a_network_claims(about: dict, sentence: str):
    assert re.search(sentence, trust(about))


def test_an_exported_network_predicts_without_pytorch(tmp_path: Path):
    """In a process of its own, through the command, also with YuNet where its model lies."""
    pytest.importorskip("onnxruntime")
    net = mean_colour(tmp_path / "net.onnx", SAID)
    photo = save(tmp_path / "face.png", noise(1, 48, 3))
    ways = [["--cropped"], *([["--detector", f"yunet:{YUNET}"]] if YUNET.is_file() and find_spec("cv2") else [])]
    for way in ways:
        code = (
            "import sys; from fermodels.predict.__main__ import main\n"
            f"status = main([{str(photo)!r}, '--json', '--model', {str(net)!r}, *{way!r}])\n"
            "assert status == 0 and 'torch' not in sys.modules, sorted(sys.modules)"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["status"] in ("ok", "no face")


def test_what_is_plainly_a_picture_is_taken(predictor: Predictor, tmp_path: Path):
    """By the path of a file, in real numbers, in whole ones, as a tensor with its colours first or last, in grey."""
    rgb = pictures()[1]
    expected = predictor.predict(rgb)
    path = save(tmp_path / "a.png", rgb)
    tensor = torch.from_numpy(rgb)
    forms = (path, str(path), rgb.astype(np.int64), rgb / 255, (rgb / 255).astype(np.float32))
    for form in (*forms, tensor, tensor.permute(2, 0, 1), tensor.float() / 255):
        assert_same(predictor.predict(form), expected)
    for several in (np.stack([rgb, rgb]), torch.stack([tensor, tensor]), [path, rgb], (tensor, Image.fromarray(rgb))):
        assert [len(faces) for faces in predictor.predict(several)] == [2, 2]
    grey = np.ascontiguousarray(rgb[..., 1])
    as_colour = predictor.predict(np.repeat(grey[..., None], 3, 2))
    for form in (grey, grey[..., None], torch.from_numpy(grey), Image.fromarray(grey)):
        assert_same(predictor.predict(form), as_colour)


def test_a_predictor_is_shared_by_threads_and_can_be_pickled(predictor: Predictor):
    given = [noise(seed, 60 + 10 * (seed % 4), 3) for seed in range(30)]
    alone = [predictor.predict(picture) for picture in given]
    again: Predictor = pickle.loads(pickle.dumps(predictor))
    with ThreadPoolExecutor(4) as pool:
        runs = list(pool.map(lambda one: [one.predict(picture) for picture in given], [predictor, again] * 2))
    for run in runs:
        for found, wanted in zip(run, alone, strict=True):
            assert_same(found, wanted)


class Upright:
    """Sees one face where the upper left corner is red: a photograph that stands as it should."""

    version = "1"

    def find(self, photographs: np.ndarray):
        found = []
        for photograph in photographs:
            seen, side = int(photograph[0, 0, 0] > 200), 0.5 * min(photograph.shape[:2])
            box, points = np.array([[5, 3, 5 + side, 3 + side]]), template(side)[None] + (5, 3)
            found.append((box[:seen], points[:seen], np.ones(seen)))
        return found


@pytest.mark.parametrize("quarters", [0, 1, 2, 3])
def test_a_turned_photograph_is_tried_in_other_turns(predictor: Predictor, quarters: int):
    upright = noise(1, 80, 3)[:60].copy()
    upright[..., 0] = 0
    upright[0, 0, 0] = 255
    turned = np.ascontiguousarray(np.rot90(upright, quarters))
    seeing = Detector(name="upright", smallest=12, backend=Upright())
    assert bool(Predictor(predictor.model, seeing).predict(turned)) == (quarters == 0)
    trying = Predictor(predictor.model, seeing, turns=True)
    (face,), (expected,) = trying.predict(turned), trying.predict(upright)
    assert face.probabilities == pytest.approx(expected.probabilities, abs=0.02)  # resampled once more
    x0, y0, x1, y1 = (round(value) for value in face.box)
    pixels = np.zeros((60, 80), bool)
    pixels[3:33, 5:35] = True
    wanted = np.flatnonzero(np.rot90(pixels, quarters).any(0)), np.flatnonzero(np.rot90(pixels, quarters).any(1))
    assert (x0, y0, x1, y1) == (wanted[0][0], wanted[1][0], wanted[0][-1] + 1, wanted[1][-1] + 1)


def test_inputs_and_results_are_not_overwritten(checkpoint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    photo = save(tmp_path / "p.png", pictures()[1])
    before = photo.read_bytes()
    words = [str(photo), "--model", checkpoint, "--annotate"]
    assert main([*words, str(photo)]) == main([*words, str(photo), "--overwrite"]) == 2
    assert "never overwritten" in capsys.readouterr().err and photo.read_bytes() == before
    assert main([*words, str(tmp_path / "out")]) == 0
    assert main([*words, str(tmp_path / "out")]) == 2
    assert "exist already: give --overwrite" in capsys.readouterr().err
    assert main([*words, str(tmp_path / "out"), "--overwrite"]) == 0
    (tmp_path / "file").write_text("")
    assert main([*words, str(tmp_path / "file/out")]) == 2 and "cannot be written" in capsys.readouterr().err


def test_cells_that_a_spreadsheet_computes_and_escapes_of_terminals_are_text(
    checkpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(tmp_path)
    names = ["=1+1.png", "+a.png", "@b.png", "\x1b[31mred.png"]
    for name in names:
        save(Path(name), pictures()[0])
    assert main([*names, "--model", checkpoint, "--csv"]) == 0
    table = list(csv.DictReader(StringIO(capsys.readouterr().out)))
    assert [row["file"] for row in table] == ["'=1+1.png", "'+a.png", "'@b.png", "\\x1b[31mred.png"]
    assert all(float(row["box"].split()[0]) >= 0 for row in table)
    assert main([names[-1], "--model", checkpoint]) == 0
    assert "\x1b" not in capsys.readouterr().out


def test_rows_go_on_where_the_output_is_not_utf8(checkpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    paths = [str(save(tmp_path / name, pictures()[0])) for name in ("\N{SNOWMAN}.png", "b.png")]
    written = BytesIO()
    monkeypatch.setattr(sys, "stdout", TextIOWrapper(written, "ascii"))
    assert main([*paths, "--model", checkpoint, "--csv"]) == 0
    sys.stdout.flush()
    rows_of = written.getvalue().decode("ascii").splitlines()
    assert "\\u2603.png" in rows_of[1] and "b.png" in rows_of[2]


def test_nothing_that_a_file_holds_ends_the_run(checkpoint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """What README promises. Single bits of an AVIF file, whose decoder raises RuntimeError, and names of every kind."""
    chance, photos = np.random.default_rng(0), tmp_path / "photos"
    save(photos / "a.avif", pictures()[1])
    data = (photos / "a.avif").read_bytes()
    for number in range(60):
        broken = bytearray(data)
        broken[chance.integers(len(data))] ^= 1 << int(chance.integers(8))
        (photos / f"{number:02}.avif").write_bytes(broken)
    os.mkfifo(photos / "pipe.jpg")
    (photos / "gone.png").symlink_to(tmp_path / "nowhere")
    save(photos / "z.png", pictures()[1])
    assert main([f"{'a' * 300}.jpg", str(photos), "--model", checkpoint, "--json"]) == 0
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {Path(row["file"]).name for row in found} == {f"{'a' * 300}.jpg", *os.listdir(photos)}
    assert [row["status"] for row in found[-2:]] == ["ok", "ok"]
    assert sum(row["status"].startswith("unreadable") for row in found) >= 3


def test_a_network_of_no_numbers_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    net = fermodels.build("vggnet", widths={"face": (8,) * 13}, size=CONFIG.size, pools=3)
    for parameter in net.parameters():
        parameter.data.fill_(torch.nan)
    photo = save(tmp_path / "a.png", noise(1, 48, 3))
    monkeypatch.setattr(checkpoint_classifier.checkpoint, "load", lambda folder: (net.eval(), plain(ABOUT)))
    assert main([str(photo), "--cropped", "--json", "--model", str(tiny_checkpoint("vggnet", tmp_path / "net"))]) == 2
    told = capsys.readouterr()
    assert "nan" not in told.out and "NaN" not in told.out and "predict: " in told.err


def test_interrupted_it_says_so_in_a_line(
    checkpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    def interrupted(self, photographs):
        raise KeyboardInterrupt

    monkeypatch.setattr(Predictor, "faces", interrupted)
    assert main([str(save(tmp_path / "a.png", pictures()[0])), "--model", checkpoint]) == 130
    assert capsys.readouterr().err.splitlines()[-1].startswith("predict: stopped")


OPTIONS = (
    "annotate any-order cropped csv detector device every executor help json model out overwrite precision ray-address "
    "roi runtime smallest top turns"
)


def test_the_options_of_the_command_are_these(capsys: pytest.CaptureFixture[str]):
    """They are what scripts of other people rely on."""
    with pytest.raises(SystemExit):
        main(["--help"])
    found = set(re.findall(r"--([a-z]+(?:-[a-z]+)*)", capsys.readouterr().out))
    assert found == {*OPTIONS.split(), "webcam"}


@pytest.mark.parametrize("option", ["--model", "--detector", "--annotate"])
@pytest.mark.parametrize("place", ["missing/a/b", "file/a", "file", "empty", "a" * 300, "nul\0byte"])
def test_every_option_that_takes_a_path_ends_in_an_answer_or_a_sentence(
    option: str, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("no model")
    Path("empty").mkdir()
    save(Path("p.png"), noise(1, 48, 3))
    cropped = [] if option == "--detector" else ["--cropped"]
    words = [option, f"yunet:{place}" if option == "--detector" else place]
    status = main(["p.png", "--model", str(tiny_checkpoint("vggnet", tmp_path / "net")), *cropped, *words])
    told = capsys.readouterr()
    assert status in (0, 2) and (status == 0) == (option == "--annotate" and place in ("empty", "missing/a/b"))
    assert status == 0 or told.err.splitlines()[-1].startswith("predict: ")


@pytest.mark.parametrize("words", ["--smallest 3", "--smallest inf", "--smallest nan", "--device cuda:99"])
def test_numbers_and_devices_that_cannot_be_are_sentences(
    words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    photo = save(tmp_path / "p.png", noise(1, 48, 3))
    assert main([str(photo), "--model", str(tiny_checkpoint("vggnet", tmp_path / "net")), *words.split()]) == 2
    assert "give" in capsys.readouterr().err


def test_a_photograph_of_a_person_through_mtcnn(tmp_path: Path):
    if find_spec("facenet_pytorch") is None:  # importing it here would be before its torchvision is mended
        pytest.skip("facenet-pytorch is not installed")
    if not LFW.is_file():
        pytest.skip(f"no photographs at {LFW}")
    read = source(str(LFW), Skips(allowed=False), whole=True).test.read
    photographs = [read(0).convert("RGB"), read(40).convert("RGB")]
    predictor = Predictor(open_model(tiny_checkpoint("mrf", tmp_path / "net")), "mtcnn")
    for photograph, faces in zip(photographs, predictor.predict(photographs), strict=True):
        (alone, *_) = predictor.predict(photograph)
        near = [f for f in faces if abs((f.box[0] + f.box[2]) / 2 - 125) < 40]
        assert near and alone.expression == faces[0].expression
        assert alone.box == pytest.approx(faces[0].box, abs=0.05)
        assert alone.probabilities == pytest.approx(faces[0].probabilities, abs=5e-3)


def test_a_face_whose_points_lie_in_one_place_is_none(predictor: Predictor):
    class OnePlace:
        version = "1"

        def find(self, photographs: np.ndarray):
            return [(np.array([[0.0, 0, 40, 40]]), np.full((1, 5, 2), 7.0), np.ones(1))] * len(photographs)

    blind = Predictor(predictor.model, Detector(name="one place", smallest=12, backend=OnePlace()))
    assert blind.predict(pictures()[0]) == []
