"""Mistakes, damage and interruptions of the command: a sentence each, and nothing is lost or overwritten."""

import csv
import json
import os
import re
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO, StringIO, TextIOWrapper
from pathlib import Path

import numpy as np
import pytest
import torch
from counted_faces import detector, folder, pictures
from tiny_nets import ABOUT, CONFIG, tiny_checkpoint
from tiny_sets import noise, save

import fermodels
from compress.files import plain
from compress.locks import locked
from fermodels.predict import checkpoint_classifier, spread
from fermodels.predict import predictor as predicting
from fermodels.predict.__main__ import main
from fermodels.predict.predictor import Predictor


@pytest.fixture
def checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A checkpoint; and whatever detector is asked for, `Counted` is there."""
    monkeypatch.setattr(predicting, "open_detector", lambda spec, smallest: detector())
    return str(tiny_checkpoint("mrf", tmp_path / "net"))


def test_nothing_readable_is_status_1(checkpoint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "empty").mkdir()
    assert main([str(tmp_path / "empty"), str(tmp_path / "gone.png"), "--model", checkpoint]) == 1
    assert "unreadable: there is no such file" in capsys.readouterr().out


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


@pytest.mark.parametrize("place", [".", "new/deep", "../other/../photos/sub", "../link"])
def test_annotated_pictures_never_lie_among_those_that_are_read(
    place: str, checkpoint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    photos = folder(tmp_path)
    (tmp_path / "link").symlink_to(photos)
    before = sorted(tmp_path.rglob("*"))
    assert main([str(photos), "--model", checkpoint, "--annotate", str(photos / place)]) == 2
    assert "whose pictures are read" in capsys.readouterr().err and sorted(tmp_path.rglob("*")) == before


STRANGERS = [
    (".csv", b"my,own,notes"),
    (".csv", b"file,frame,mine\n1,2,3\n"),
    (".csv", b"\xff\xfe\x00\n"),
    (".jsonl", b'{"mine": 1}'),
    (".jsonl", b"null\n"),
    (".jsonl", b"[1]\n{bad\n"),
    (".jsonl", b"[" * 3000 + b"\n"),
]


@pytest.mark.parametrize(("suffix", "content"), STRANGERS)
def test_files_of_others_are_neither_replaced_nor_continued(
    suffix: str, content: bytes, checkpoint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    out = tmp_path / f"rows{suffix}"
    out.write_bytes(content)
    assert main([str(folder(tmp_path)), "--model", checkpoint, "--out", str(out)]) == 2
    assert "holds no rows of this command" in capsys.readouterr().err and out.read_bytes() == content


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_rows_are_continued_wherever_they_end_and_never_with_other_settings(
    suffix: str, checkpoint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    photos, out = folder(tmp_path), tmp_path / f"rows{suffix}"
    save(photos / "\N{SNOWMAN}.png", pictures()[1])
    words = [str(photos), "--model", checkpoint, "--out", str(out)]
    assert main(words) == 0
    whole = out.read_bytes()
    for end in (0, 3, whole.rfind(b"\xe2") + 1, len(whole) - 30):
        out.write_bytes(whole[:end])
        assert main(words) == 0 and out.read_bytes() == whole
    (tmp_path / "link.csv").with_suffix(suffix).symlink_to(out)
    assert main([*words[:-1], str((tmp_path / "link.csv").with_suffix(suffix))]) == 0
    assert out.read_bytes() == whole and not out.is_symlink()
    other = str(tiny_checkpoint("vggnet", tmp_path / "other"))
    for more in (["--model", other], ["--smallest", "50"]):
        assert main([*words, *more]) == 2 and "has rows of another" in capsys.readouterr().err
    assert out.read_bytes() == whole
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_two_processes_that_write_one_file_take_turns(checkpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    out, read, kept = tmp_path / "rows.csv", threading.Event(), spread._kept
    words = [str(folder(tmp_path)), "--model", checkpoint, "--out", str(out)]
    assert main(words) == 0
    whole = out.read_bytes()
    out.unlink()
    with ThreadPoolExecutor(1) as pool:
        with locked(tmp_path / ".rows.csv.lock", "the other"):
            monkeypatch.setattr(spread, "_kept", lambda *given: read.set() or kept(*given))
            second = pool.submit(main, words)
            assert not read.wait(0.5) and not out.exists()
        assert second.result() == 0
    assert read.is_set() and out.read_bytes() == whole


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
