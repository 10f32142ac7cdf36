"""Every command with every path it takes set to what it cannot use: status 2, one sentence, nothing written."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

import pytest
from commands import modules, options
from tiny_sets import fer_csv, fer_rows

from fermodels.predict.shipped import SHIPPED

RECORDS = Path(__file__).parents[1] / "reports/records/ocl-length/synthetic/cpu"
SMALL = str(SHIPPED["small"])
LIMIT_S = 120
"""After which a command hangs, on a busy machine too."""
FOLDER, FILE, READ = "results go into this folder", "results go into this file", "read"
GOOD: dict[str, dict[str, str]] = {
    "bench.criteria": {"checkpoint": SMALL, "--data": "synthetic", "--runs": "TMP/runs"},
    "bench.gate": {"old": str(RECORDS), "new": str(RECORDS)},
    "bench.publish": {"--html": "TMP/html"},
    "bench.report": {"--out": "TMP/out", "--runs": "TMP/runs", "--models": "mrf", "--scale": "quick"},
    "bench.rival": {"wheel": "TMP", "--data": "synthetic", "--photographs": "synthetic", "--runs": "TMP/runs"},
    "bench.ship": {"--data": "FER", "--photographs": "synthetic", "--out": "TMP/out", "--runs": "TMP/runs"},
    "bench.shipped": {"name": "small", "--data": "synthetic", "--photographs": "synthetic", "--runs": "TMP/runs"},
    "bench.tables.speed.untrained": {"--of": str(RECORDS), "--out": "TMP/out"},
    "compress.commands.export": {"checkpoint": SMALL, "--out": "TMP/out", "--data": "synthetic"},
    "compress.commands.slim": {"checkpoint": SMALL, "--out": "TMP/out", "--data": "synthetic"},
    "compress.commands.speed": {"folder": "TMP"},
    "fermodels.data.audit": {"data": "synthetic", "--cache": "TMP/cache"},
    "fermodels.data.synthetic.sheet": {"--sheet": "TMP/sheet.png"},
    "fermodels.faces.check_landmarks": {"landmarks": "own"},
    "fermodels.faces.prepare": {"data": "synthetic", "--out": "TMP/out"},
    "fermodels.faces.train_landmarks": {"--out": "TMP/out"},
    "fermodels.info": {"checkpoint": SMALL},
    "fermodels.predict.__main__": {"paths": "PHOTO"},
    "fermodels.pretrain": {"data": "synthetic", "--out": "TMP/out", "--cache": "TMP/cache"},
}
"""Module -> the words of a right call; every command is here."""
PATHS = {"--json": FILE, "--sheet": FILE, "--out": FOLDER, "--runs": FOLDER, "--cache": FOLDER, "--triton": FOLDER}
PATHS |= {"--html": FOLDER, "--annotate": FOLDER}
PATHS |= {"--of": READ}
PATHS |= dict.fromkeys(
    ("checkpoint", "old", "new", "folder", "--imagenet", "--photos", "paths", "--model", "wheel"), READ
)
PATHS |= dict.fromkeys(("data", "--data", "--photographs", "--unlabelled", "--keep-out"), "folder:")
PATHS |= {"--detector": "yunet:", "--landmarks": "onnx:", "landmarks": "onnx:", "--against": "onnx:"}
"""Option -> what lies there, or how the name begins before the path that is read."""
OWN = {("compress.commands.speed", "--out"): FILE}
ROWS = ("fermodels.predict.__main__", "paths")
"""What cannot be read is a row of its own there, and the status 1: the other photographs are not lost."""
PLAIN = {
    "--set",
    "--ray-address",
    "--models",
    "--device",
    "--precision",
    "--batch",
    "--capability",
    "--net",
    "--output",
    "--input",
    "--runtime",
}
"""Options that are no path."""
NUMBERS = {"int", "float", "_count", "_region"}


def takes_a_path(name: str) -> list[str]:
    """The options of a command that are paths; one of a new kind fails here until it stands in `PATHS` or `PLAIN`."""
    asked = [
        option
        for option, action in options(name)
        if not action.choices
        and getattr(action.type, "__name__", "") not in NUMBERS
        and option not in PLAIN
        and (name, option) != ("compress.commands.speed", "--runs")
    ]
    assert set(asked) <= PATHS.keys()
    return asked


def unusable(kind: str, root: Path) -> dict[str, str]:
    """What no result can be written to, or nothing read from, by name."""
    file, folder, pipe = root / "file", root / "folder", root / "pipe"
    below = {"below a file": file / "x", "in a place that is nobody's": Path("/proc/nowhere/x"), "a pipe": pipe}
    more = {FOLDER: {"a file": file}, FILE: {"a folder": folder}}
    wrong = more.get(kind, {"missing": root / "none", "an empty file": file, "an empty folder": folder}) | below
    before = "" if kind in (FOLDER, FILE, READ) else kind
    return {name: f"{before}{path}" for name, path in wrong.items()}


class Late(BaseException):
    """A command hangs. No OSError, as TimeoutError is: a command would make a sentence of that."""


@contextmanager
def at_most(seconds: int) -> Iterator[None]:
    def late(*_: object) -> None:
        raise Late(f"still at it after {seconds} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def lying(root: Path) -> list[Path]:
    """What is there, but for the caches, which are nobody's results."""
    caches = (root / "runs", root / "cache")
    return sorted(path for path in root.rglob("*") if not any(path.is_relative_to(cache) for cache in caches))


def words_of(given: dict[str, str]) -> list[str]:
    return [word for name, value in given.items() for word in ([name, value] if name.startswith("--") else [value])]


def test_every_command_is_walked() -> None:
    assert sorted(GOOD) == modules()


@pytest.mark.parametrize("name", GOOD)
def test_what_cannot_be_used_is_one_sentence_and_status_2(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    (tmp_path / "photo.png").write_bytes(b"")
    os.mkfifo(tmp_path / "pipe")
    monkeypatch.chdir(tmp_path)
    stands = {
        "TMP": str(tmp_path),
        "PHOTO": str(tmp_path / "photo.png"),
        "FER": f"fer2013:{fer_csv(tmp_path, *fer_rows())}",
    }
    good = dict(GOOD[name])
    for word, value in stands.items():
        good = {option: one.replace(word, str(value)) for option, one in good.items()}
    main, before, wrong = import_module(name).main, lying(tmp_path), []
    for option in takes_a_path(name):
        for what, value in unusable(OWN.get((name, option), PATHS[option]), tmp_path).items():
            try:
                with at_most(LIMIT_S):
                    status = main(words_of(good | {option: value}))
            except SystemExit as left:
                status = left.code
            except BaseException as error:
                status = repr(error)
            said = capsys.readouterr()
            lines = said.err.strip().splitlines()
            rows = (name, option) == ROWS
            right = (1, True) if rows else (2, False)
            if (status, bool(said.out)) != right or not lines or "Traceback" in said.err:
                wrong.append(f"{option} {what}: {status}, {lines[-3:]}, {said.out[-200:]}")
            if (now := lying(tmp_path)) != before:
                wrong.append(f"{option} {what}: wrote {sorted({*now} - {*before})}")
                before = now
    assert not wrong, "\n".join(wrong)
