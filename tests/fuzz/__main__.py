"""Command line of the fuzz driver: status 1 and the faults where there is one."""

import argparse
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(HERE.parent), str(HERE), str(HERE / "bench")]

import torch  # noqa: E402

from fuzz.driver import fuzz  # noqa: E402
from fuzz.kinds import KINDS  # noqa: E402

parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
parser.add_argument("--inputs", type=int, default=30000)
parser.add_argument("--seed", type=int, default=0)
parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS), metavar="KIND", help="only these")
given = parser.parse_args()
torch.set_num_threads(1)  # a fork has no other threads
began = time.monotonic()
outcome = fuzz(given.inputs, seed=given.seed, kinds={name: KINDS[name] for name in given.kinds})
print(f"{given.inputs:,} inputs of {len(given.kinds)} kinds in {time.monotonic() - began:.0f} s: ", end="")
print(f"{dict(outcome.ends)}, {len(outcome.faults)} faults")
print("\n".join(outcome.faults[:50]))
sys.exit(bool(outcome.faults))
