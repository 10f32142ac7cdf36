"""Command line of the fuzz driver: status 1 and the faults where there is one."""

import argparse
import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[1])]

from fuzz.driver import fuzz  # noqa: E402

parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
parser.add_argument("--inputs", type=int, default=30000)
parser.add_argument("--seed", type=int, default=0)
given = parser.parse_args()
outcome = fuzz(given.inputs, seed=given.seed)
print(f"{given.inputs:,} inputs: {dict(outcome.ends)}, {len(outcome.faults)} faults")
print("\n".join(outcome.faults[:20]))
sys.exit(bool(outcome.faults))
