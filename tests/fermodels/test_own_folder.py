"""`prepare` neither removes nor replaces what it has not written, and ends with one line whatever happens."""

import os
import signal
from pathlib import Path

import pytest
from kill_prepare import after_kills, ended, log_of, started
from test_faces_prepare import OneFace, job, lfw

from fermodels.faces import prepare as command
from fermodels.faces.own_folder import MARKER
from fermodels.faces.prepare import main, prepare


@pytest.fixture
def spec(tmp_path: Path) -> str:
    return f"lfw:{lfw(tmp_path / 'lfw')}"


@pytest.mark.parametrize("theirs", ["parts/letter.txt", "sheet.png", "train/images.u8", ".hidden"])
def test_a_folder_with_files_of_others_is_refused_untouched(theirs: str, spec: str, tmp_path: Path):
    (tmp_path / "out" / theirs).parent.mkdir(parents=True)
    (tmp_path / "out" / theirs).write_text("mine")
    with pytest.raises(ValueError, match="holds files that this tool has not written; name a new or an empty folder"):
        prepare(spec, tmp_path / "out", job(OneFace()))
    assert [p.read_text() for p in (tmp_path / "out").rglob("*") if p.is_file()] == ["mine"]


def test_what_others_lay_into_a_folder_of_ours_stays(spec: str, tmp_path: Path):
    out = tmp_path / "out"
    prepare(spec, out, job(OneFace()))
    for theirs in ("parts/letter.txt", "notes.txt"):
        (out / theirs).parent.mkdir(exist_ok=True)
        (out / theirs).write_text("mine")
    prepare(spec, out, job(OneFace()))
    assert (out / "parts/letter.txt").read_text() == (out / "notes.txt").read_text() == "mine"
    assert [path.name for path in (out / "parts").iterdir()] == ["letter.txt"]


@pytest.mark.parametrize("out", ["lfw", "lfw/faces", "."])
def test_the_source_is_no_result(out: str, spec: str, tmp_path: Path):
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(ValueError, match="is the folder of the photographs, lies in it or around it"):
        prepare(spec, tmp_path / out, job(OneFace()))
    assert sorted(tmp_path.rglob("*")) == before


def test_faces_of_other_photographs_are_not_replaced(spec: str, tmp_path: Path):
    prepare(spec, tmp_path / "out", job(OneFace()))
    other = f"lfw:{lfw(tmp_path / 'other')}"
    with pytest.raises(ValueError, match=r"holds faces of lfw:.*/lfw, asked for are those of lfw:.*/other"):
        prepare(other, tmp_path / "out", job(OneFace()))
    (tmp_path / "out" / MARKER).unlink()  # as an earlier version has left it
    prepare(spec, tmp_path / "out", job(OneFace()))


def test_a_damaged_marker_is_a_sentence(spec: str, tmp_path: Path):
    prepare(spec, tmp_path / "out", job(OneFace()))
    for content in ("", "[1]", '{"spec": 3}', "[" * 100_000):
        (tmp_path / "out" / MARKER).write_text(content)
        with pytest.raises(ValueError, match="no marker of"):
            prepare(spec, tmp_path / "out", job(OneFace()))


def test_what_cannot_be_written_is_told_before_the_work(spec: str, tmp_path: Path, monkeypatch, capsys):
    monkeypatch.setattr(command, "aligned_split", lambda *_: pytest.fail("it has begun"))
    monkeypatch.setattr(command, "open_detector", lambda *_, **__: OneFace())
    (tmp_path / "file").write_text("mine")
    assert main([spec, "--out", str(tmp_path / "file")]) == 2
    assert main([spec, "--out", str(tmp_path / "file/below")]) == 2
    assert main([spec, "--out", "/proc/none"]) == 2
    monkeypatch.setattr("fermodels.faces.own_folder.disk_usage", lambda _: type("Usage", (), {"free": 10})())
    assert main([spec, "--out", str(tmp_path / "out")]) == 2
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 4 and all(line.startswith("prepare: ") for line in told)
    assert "is a file" in told[0] and "free are 0 MB" in told[3]


@pytest.mark.parametrize(("sent", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_run_says_in_one_line_what_is_kept(sent: signal.Signals, status: int, spec: str, tmp_path: Path):
    process, reading = running = started(spec, tmp_path / "out")
    for _ in range(5):
        os.read(reading, 1)
    assert process.pid is not None
    os.kill(process.pid, sent)
    assert ended(running) == status
    assert log_of(tmp_path / "out").read_text().splitlines() == [f"prepare: stopped; {command.KEPT}"]


def test_killed_at_any_moment_the_next_run_ends_in_the_same_faces(spec: str, tmp_path: Path):
    """Three kills, the last two in the middle of a write; `python -m tests.kill_prepare --kills 20` does the whole."""
    after_kills(spec, tmp_path, [(3, 0.0), (10, 0.01), (30, 0.01)])  # asserts that the faces are the same
    assert (tmp_path / "out" / "prepared.json").is_file()
