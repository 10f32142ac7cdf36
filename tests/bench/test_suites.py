"""The pytest-benchmark suites with their timing on: the fixture times the work, and a comparison is a gate."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PROOF = "bench/test_latency.py::test_the_fixture_times_the_work_and_not_its_start"
WORK_S = 0.1
"""What the session of that test needs."""


def timed(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", PROOF, "--benchmark-enable", "-p", "no:cacheprovider", *words]
    outer = ("PYTEST_", "COV_")  # what a parallel run of the tests tells its own workers
    environment = {name: value for name, value in os.environ.items() if not name.startswith(outer)}
    environment |= {"OMP_NUM_THREADS": "1"}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def scaled(saved: dict[str, Any], factor: float, path: Path) -> str:
    """A saved run in which everything took `factor` times as long; the option that compares with it."""
    runs = [one | {"stats": one["stats"] | {"median": factor * one["stats"]["median"]}} for one in saved["benchmarks"]]
    path.write_text(json.dumps(saved | {"benchmarks": runs}))
    return f"--benchmark-compare={path}"


@pytest.mark.slow
def test_the_time_includes_the_work_and_a_slower_median_ends_in_an_error(tmp_path: Path) -> None:
    path = tmp_path / "now.json"
    first = timed(f"--benchmark-json={path}")
    assert first.returncode == 0, first.stdout + first.stderr
    saved = json.loads(path.read_text())
    assert [one["stats"]["min"] >= WORK_S for one in saved["benchmarks"]] == [True]
    assert "node" not in saved["machine_info"], "no name of a host in a saved run"
    slower = timed(scaled(saved, 0.5, tmp_path / "0001_half.json"), "--benchmark-compare-fail=median:50%")
    assert slower.returncode != 0
    assert "Performance has regressed" in slower.stdout + slower.stderr
    faster = timed(scaled(saved, 2.0, tmp_path / "0002_double.json"), "--benchmark-compare-fail=median:50%")
    assert faster.returncode == 0, faster.stdout + faster.stderr
