import getpass
import json
import os
import platform
import shutil
import socket
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from compress.timing.machine import SOURCES, Load, commit, environment, machine_load, stalled_percent

PRESSURE = """some avg10=12.50 avg60=3.00 avg300=0.23 total=2403618
full avg10=1.00 avg60=0.00 avg300=0.00 total=99
"""


def strings(value: object) -> list[str]:
    if isinstance(value, dict):
        return [text for item in (*value.keys(), *value.values()) for text in strings(item)]
    return [value] if isinstance(value, str) else []


def test_the_environment_names_what_matters_as_json() -> None:
    found = environment()
    assert json.loads(json.dumps(found)) == found
    assert found["versions"]["torch"] == torch.__version__
    assert {"numpy", "torch-pruning", "fvcore"} <= set(found["versions"])
    assert found["cpu"]["model"]
    assert found["cpu"]["logical_cores"] == os.cpu_count()
    assert found["threads"] == torch.get_num_threads()
    assert 0.5 < found["ram_gib"] < 1e5
    assert (found["gpu"] is None) == (not torch.cuda.is_available())


def test_the_environment_names_no_host_user_or_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    for owner, name in ((platform, "node"), (socket, "gethostname"), (getpass, "getuser")):
        monkeypatch.setattr(owner, name, lambda: "sentinel")
    for variable in ("USER", "LOGNAME", "HOME", "HOSTNAME"):
        monkeypatch.setenv(variable, "sentinel")
    texts = strings(environment())
    assert len(texts) > 10
    assert not any("sentinel" in text or str(Path.cwd()) in text or text.startswith(("/", "~")) for text in texts)


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false", "-c", "core.hooksPath="]
    command = ["git", *identity, "-C", str(folder), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    root = tmp_path / "checkout"
    for name in SOURCES:
        (root / name).mkdir(parents=True)
        (root / name / "__init__.py").write_text("")
    git(root, "init", "-q")
    git(root, "add", ".")
    git(root, "commit", "-qm", "first")
    return root


def test_a_clean_checkout_gives_its_sha_whatever_the_reports_say(checkout: Path) -> None:
    (checkout / "reports").mkdir()
    (checkout / "reports" / "new.json").write_text("{}")
    assert commit(checkout / "bench") == (git(checkout, "rev-parse", "HEAD"), False)


@pytest.mark.parametrize("change", ["fermodels/__init__.py", "compress/new.py"])
def test_changed_or_new_code_is_dirty(checkout: Path, change: str) -> None:
    (checkout / change).write_text("x = 1\n")
    sha, dirty = commit(checkout / "bench")
    assert (len(sha), dirty) == (40, True)


def test_a_hook_of_another_repository_does_not_answer(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_DIR", str(checkout.parent / "elsewhere"))
    assert commit(checkout / "bench")[0] != "unknown"


def test_outside_a_checkout_the_commit_is_unknown(checkout: Path, tmp_path: Path) -> None:
    installed = checkout / ".venv" / "bench"  # a package installed inside some project is not that project's code
    installed.mkdir(parents=True)
    (installed / "__init__.py").write_text("")
    for folder in (tmp_path, installed, tmp_path / "missing"):
        assert commit(folder) == ("unknown", True)


def test_pressure_is_read_where_it_is(tmp_path: Path) -> None:
    file = tmp_path / "cpu"
    file.write_text(PRESSURE)
    load = machine_load(file)
    assert (load.pressure_avg10, load.stalled_us) == (12.5, 2403618)
    absent = machine_load(tmp_path / "missing")
    assert (absent.pressure_avg10, absent.stalled_us) == (None, None)


def test_stalled_percent_is_the_share_of_the_time_between() -> None:
    before = Load(at=100.0, load1=None, pressure_avg10=0.0, stalled_us=1_000_000)
    after = replace(before, at=104.0, stalled_us=2_000_000)
    assert stalled_percent(before, after) == 25.0
    assert stalled_percent(before, before) is None
    assert stalled_percent(before, replace(after, stalled_us=None)) is None
