"""From files to rows: what the command says of pictures, videos and cameras, and which network answers."""

import csv
import json
import os
import re
import subprocess
import sys
from importlib.util import find_spec
from io import StringIO
from pathlib import Path

import pytest
from counted_faces import detector, folder, pictures
from PIL import Image
from test_classifier import SAID, mean_colour
from test_pictures import video
from tiny_nets import tiny_checkpoint
from tiny_sets import noise, save

from fermodels.data.lfw import source
from fermodels.data.rows import Skips
from fermodels.predict import predictor as predicting
from fermodels.predict.__main__ import main
from fermodels.predict.models import open_model
from fermodels.predict.pictures import Frame, photograph_of
from fermodels.predict.predictor import FRAMES_AT_ONCE, Predictor
from fermodels.predict.rows import columns, rows
from fermodels.predict.shipped import DEFAULT, SHIPPED, trust

REAL = Path(os.environ.get("FER_DATA", Path(__file__).resolve().parents[2] / "../shared/data"))
LFW, YUNET = REAL / "lfw_emotion.tar", REAL / "detectors/yunet_n_dynamic.onnx"


@pytest.fixture
def checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A checkpoint; and whatever detector is asked for, `Counted` is there."""
    monkeypatch.setattr(predicting, "open_detector", lambda spec, smallest: detector())
    return str(tiny_checkpoint("mrf", tmp_path / "net"))


def test_every_row_has_the_same_keys():
    broken = Frame(file="a", picture="it is broken")
    blind = Frame(file="b", frame=3, time_s=0.12, picture=photograph_of(Image.new("RGB", (9, 9))))
    found = [*rows(broken, [], 2), *rows(blind, [], 2)]
    assert [list(row) for row in found] == [columns(2)] * 2
    assert [row["status"] for row in found] == ["unreadable: it is broken", "no face"]
    assert (found[1]["frame"], found[1]["time_s"], found[1]["expression_2"]) == (3, 0.12, None)


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


def test_cropped_pictures_need_no_detector(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    net = tiny_checkpoint("mrf", tmp_path / "net")
    paths = [str(save(tmp_path / f"{side}.png", noise(1, side, 3))) for side in (1, 48)]
    assert main([*paths, "--model", str(net), "--cropped", "--detector", "none", "--json"]) == 0
    tiny, whole = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert tiny["status"].startswith("unreadable: 1x1 pixels")
    assert whole["box"] == [0, 0, 48, 48] and whole["detection"] is None


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
    assert f"{DEFAULT} answers: trained on real faces" in told and "it misses" in told


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
