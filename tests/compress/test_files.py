"""Files are whole or absent, kills leave nothing behind, and what JSON cannot hold is a sentence."""

import json
import os
import signal
import stat
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from compress.files import atomic_path, digest, plain, write_atomic, write_json


def test_nobodys_pattern_finds_a_file_that_is_not_finished(tmp_path: Path):
    with atomic_path(tmp_path / "x.json") as temporary:
        temporary.write_text("{")
        assert not list(tmp_path.rglob("*.json")) and not list(tmp_path.glob("x*"))
    assert [path.name for path in tmp_path.iterdir()] == ["x.json"]


def test_a_link_stays_and_the_file_that_it_leads_to_is_replaced(tmp_path: Path):
    (tmp_path / "deep").mkdir()
    (tmp_path / "link").symlink_to("deep/file")
    for text in ("new", "newer"):
        write_atomic(tmp_path / "link", text)
        assert (tmp_path / "link").is_symlink() and (tmp_path / "deep/file").read_text() == text


def test_an_error_leaves_the_old_file_and_no_other(tmp_path: Path):
    write_atomic(tmp_path / "x.json", "old")
    with pytest.raises(RuntimeError), atomic_path(tmp_path / "x.json") as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert [path.name for path in tmp_path.iterdir()] == ["x.json"]
    assert (tmp_path / "x.json").read_text() == "old"


def test_what_a_killed_process_has_left_is_removed_by_the_next_one_and_nothing_else(tmp_path: Path):
    code = (
        "import sys, time; from pathlib import Path; from compress.files import atomic_path\n"
        f"with atomic_path(Path({str(tmp_path / 'x.json')!r})) as t:\n"
        "    t.write_text('half'); print('ready', flush=True); time.sleep(60)"
    )
    killed = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert killed.stdout is not None and killed.stdout.readline() == b"ready\n"
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    killed.stdout.close()
    (tmp_path / ".x.json.mine").write_text("a file of the user")
    (tmp_path / ".x.json.bak-1-a.tmp").write_text("another one")
    assert len(list(tmp_path.iterdir())) == 3
    with atomic_path(tmp_path / "x.json") as living:
        write_atomic(tmp_path / "x.json", "{}")
        assert living.exists()
    assert {path.name for path in tmp_path.iterdir()} == {"x.json", ".x.json.mine", ".x.json.bak-1-a.tmp"}


def test_old_files_of_other_machines_are_removed(tmp_path: Path):
    strange = tmp_path / ".x.json.0123abcd-1-00000000.tmp"
    strange.write_text("half")
    write_atomic(tmp_path / "x.json", "{}")
    assert strange.exists()
    os.utime(strange, (0, 0))
    write_atomic(tmp_path / "x.json", "{}")
    assert not strange.exists()


@pytest.mark.parametrize(("mask", "mode"), [(0o077, 0o600), (0o022, 0o644), (0o002, 0o664)])
def test_the_umask_is_obeyed(mask: int, mode: int, tmp_path: Path):
    before = os.umask(mask)
    try:
        write_atomic(tmp_path / "x", "y")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "x").stat().st_mode) == mode


def test_the_bytes_are_on_the_disk_before_the_name_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    order: list[str] = []
    sync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda handle: order.append("fsync") or sync(handle))
    monkeypatch.setattr(os, "replace", lambda *paths: order.append("replace") or replace(*paths))
    write_atomic(tmp_path / "x", "y")
    assert order == ["fsync", "replace", "fsync"]


def test_long_names_are_written_and_a_too_long_one_is_an_oserror(tmp_path: Path):
    write_atomic(tmp_path / ("n" * 255), "y")
    with pytest.raises(OSError, match="too long"):
        write_atomic(tmp_path / ("n" * 256), "y")
    assert len(list(tmp_path.iterdir())) == 1


@dataclass
class Told:
    share: float
    widths: tuple[int, ...]


def test_numpy_and_dataclasses_become_plain_values(tmp_path: Path):
    given = {"a": np.int64(3), "b": np.float32(0.5), "c": np.arange(3), 4: Told(0.5, (1, 2)), "e": np.bool_(True)}
    expected = {"a": 3, "b": 0.5, "c": [0, 1, 2], "4": {"share": 0.5, "widths": [1, 2]}, "e": True}
    assert plain(given) == expected and digest(given) == digest(expected)
    write_json(tmp_path / "x.json", given)
    assert json.loads((tmp_path / "x.json").read_text()) == expected


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ({"a": [0.5, {"b": float("nan")}]}, r"a\[1\].b is nan"),
        (np.array([1.0, np.inf]), r"\[1\] is inf"),
        (np.float32("-inf"), "a value is -inf"),
        ({"f": {1, 2}}, "f is set, which JSON"),
        ({"f": b"x"}, "f is bytes"),
    ],
)
def test_what_json_cannot_hold_is_refused_before_anything_is_written(value: object, sentence: str, tmp_path: Path):
    write_json(tmp_path / "x.json", {"old": 1})
    with pytest.raises((ValueError, TypeError), match=sentence):
        write_json(tmp_path / "x.json", value)
    assert json.loads((tmp_path / "x.json").read_text()) == {"old": 1}
