"""A small share of `python -m tests.kills report --kills 50` and `python -m tests.kills slim --kills 20`."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_killed_at_any_moment_the_commands_end_with_the_same_results() -> None:
    command = [sys.executable, "-m", "tests.kills", "report", "slim", "--kills", "3"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=280)
    assert done.returncode == 0, done.stderr[-2000:]
    told = re.findall(
        r"^(\w+): 3 kills in \d+ runs, \d+ s: the same results, nothing left over$", done.stdout, re.MULTILINE
    )
    assert told == ["report", "slim"]
