"""pytest-benchmark's save, compare and compare-fail on a file of one case, under this project's own settings."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
OUTER = ("PYTEST_", "COV_")
"""What a parallel run of the tests tells its own workers."""
CASE = "def test_case(benchmark):\n    benchmark.pedantic(sum, (range(10),), rounds=3)\n"
RUNS = """
import json, sys, pytest, torch
for threads, words in json.load(sys.stdin):
    torch.set_num_threads(threads)
    print(f"<run>{int(pytest.main(words))}", flush=True)
"""
ENABLED = "--benchmark-enable"
GATE = "--benchmark-compare-fail=median:10%"


def runs(folder: Path, *asked: tuple[int, list[str]]) -> list[tuple[int, str]]:
    """(status, everything said) of one run of pytest after the other: (threads, options)."""
    (folder / "test_tiny.py").write_text(CASE)
    always = ["-c", str(ROOT / "pyproject.toml"), "--rootdir", str(folder), "-p", "no:cacheprovider"]
    always += ["-p", "bench.conftest", f"--benchmark-storage={folder / 'saved'}", str(folder / "test_tiny.py")]
    clean = {name: value for name, value in os.environ.items() if not name.startswith(OUTER)}
    done = subprocess.run(
        [sys.executable, "-c", RUNS],
        input=json.dumps([(threads, [*always, *words]) for threads, words in asked]),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=folder,
        check=False,
        env=clean | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"},
    )
    assert done.returncode == 0, done.stdout
    said, *rest = done.stdout.split("<run>")
    found = []
    for part in rest:
        status, _, after = part.partition("\n")
        found.append((int(status), said))
        said = after
    return found


def saved(folder: Path) -> Path:
    """The one saved run."""
    (path,) = (folder / "saved").rglob("0001_before.json")
    return path


def times(path: Path, factor: float, **changes: Any) -> Path:
    """Another saved run beside `path`, in which the case took `factor` times as long."""
    content = json.loads(path.read_text())
    (case,) = content["benchmarks"]
    stats = case["stats"] | {"median": case["stats"]["median"] * factor}
    told = content | {"benchmarks": [case | {"stats": stats} | changes]}
    other = path.with_name(f"000{len(list(path.parent.iterdir())) + 1}_other.json")
    other.write_text(json.dumps(told))
    return other


def assert_one_sentence(status: int, said: str, *parts: str) -> None:
    assert status == pytest.ExitCode.USAGE_ERROR, said
    assert all(part in said for part in parts), said
    assert "INTERNALERROR" not in said
    assert "Traceback" not in said
    assert said.count("ERROR: ") == 1


def test_save_compare_and_the_gate(tmp_path: Path) -> None:
    (status, said), *_ = runs(tmp_path, (1, [ENABLED, "--benchmark-save=before"]))
    assert status == 0, said
    path = saved(tmp_path)
    slow, fast, other = times(path, 1e6), times(path, 1e-6), times(path, 1.0, fullname="test_else.py::test_else")
    compare = [f"--benchmark-compare={file}" for file in (path, slow, fast, other)]
    plain, passed, regressed, alone, untimed, threads = runs(
        tmp_path,
        (1, [ENABLED, "--benchmark-compare=0001"]),
        (1, [ENABLED, compare[1], GATE]),
        (1, [ENABLED, compare[2], GATE]),
        (1, [ENABLED, compare[3], GATE]),
        (1, [compare[0], GATE]),
        (2, [ENABLED, compare[0]]),
    )
    assert (plain[0], passed[0], regressed[0]) == (0, 0, 1)
    assert "test_case (0001_befor" in plain[1]
    assert "Performance has regressed" in regressed[1]
    assert "the cases above are slower" in regressed[1]
    assert "Traceback" not in regressed[1]
    assert_one_sentence(*alone, "1 of 1 cases are in no saved run, like test_tiny.py::test_case")
    assert_one_sentence(*untimed, "nothing was timed; --benchmark-enable")
    assert_one_sentence(*threads, "threads 1 -> 2", "times compare on one")


def test_a_saved_run_that_is_not_there_or_broken_is_one_sentence(tmp_path: Path) -> None:
    damaged = {"empty": "", "cut": '{"benchmarks": [', "list": "[]", "bare": '{"machine_info": {}, "benchmarks": [{}]}'}
    damaged |= {"nan": '{"machine_info": {"a": NaN}, "benchmarks": []}'}
    for name, text in damaged.items():
        (tmp_path / f"{name}.json").write_text(text)
    broken = [f"--benchmark-compare={tmp_path / name}.json" for name in damaged]
    asked = [["--benchmark-compare"], ["--benchmark-compare=0007", GATE], ["--benchmark-compare=a/b/c"], [GATE]]
    none, other, glob, gate, *refused = runs(
        tmp_path, *((1, [ENABLED, *words]) for words in [*asked, *map(list, zip(broken))])
    )
    assert len(refused) == len(damaged)
    assert_one_sentence(*none, "holds no saved run; --benchmark-save=NAME")
    assert_one_sentence(*other, "holds no saved run that matches 0007")
    assert_one_sentence(*glob, "acceptable glob")
    assert_one_sentence(*gate, "give --benchmark-compare, too")
    for name, ended in zip(damaged, refused, strict=True):
        assert_one_sentence(*ended, f"{name}.json is no saved run", "delete it")
