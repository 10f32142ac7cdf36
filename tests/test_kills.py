"""A small share of `python -m tests.kills report --kills 50` and `python -m tests.kills slim --kills 20`."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("work", ["report", "slim"])
def test_killed_at_any_moment_the_command_ends_with_the_same_results(work: str) -> None:
    command = [sys.executable, "-m", "tests.kills", work, "--kills", "3"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=280)
    assert done.returncode == 0, done.stderr[-2000:]
    told = done.stdout.splitlines()[-1]
    assert told.startswith(f"{work}: 3 kills in ") and told.endswith(" runs: the same results, nothing left over")
