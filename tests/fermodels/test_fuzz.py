"""A small share of `python -m tests.fuzz --inputs 30000`, and that the driver finds what it looks for."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
KIND = """
import os, sys, time
sys.path.insert(0, "tests")
from fuzz.driver import Kind, fuzz
def consume(path):
    content = path.read_bytes()
    if content != b"right":
        {wrong}
    return content
outcome = fuzz(3, kinds={{"bad": Kind(lambda: b"right", consume, signed=True)}}, limit_s={limit})
print(dict(outcome.ends), *outcome.faults, sep="\\n")
"""


def ran(*words: str) -> str:
    done = subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
    return done.stdout


def test_damaged_inputs_are_read_or_refused_with_a_sentence():
    told = ran("-m", "tests.fuzz", "--inputs", "420")
    (refused,) = re.findall(r"420 inputs of \d+ kinds in \d+ s: {.*'refused': (\d+).*}, 0 faults", told)
    assert int(refused) > 100


@pytest.mark.parametrize(
    ("wrong", "limit", "fault"),
    [
        ("os.abort()", 60, "the process ended with status -6"),
        ("while True: pass", 0.1, "hangs for 0.1 s"),
        ("time.sleep(600)", 0.02, "hangs for 0.02 s"),
        ("raise KeyError('x')", 60, "KeyError: 'x'"),
        ("raise ValueError", 60, "no sentence"),
        ("return b'other'", 60, "a damaged file is read as if it were whole"),
    ],
)
def test_a_crash_a_hang_a_traceback_and_accepted_damage_are_told_with_their_input(wrong: str, limit: float, fault: str):
    told = ran("-c", KIND.format(wrong=wrong, limit=limit))
    for number in range(3):
        (block,) = re.findall(rf"^bad {number}: (.*?)(?=^bad|\Z)", told, re.DOTALL | re.MULTILINE)
        assert fault in block
