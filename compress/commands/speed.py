"""`python -m compress.speed`: times what `compress.export` wrote, every runtime beside eager float32 PyTorch.

    python -m compress.speed deployed --batch 1,8,32,128 --out times.json

The table goes to standard output, and behind it one line of JSON; progress goes to standard error.
"""

import argparse
import json
import math
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from compress.commands.parser import status_of
from compress.files import must_be_writable, write_atomic
from compress.program import program
from compress.runtimes import RUNTIMES
from compress.timing.deployed import (
    ON_REQUEST,
    PRECISIONS,
    REFERENCE,
    Kind,
    Ready,
    kinds_in,
    open_all,
    runnable,
    timed,
)
from compress.timing.energy import why_no_energy
from compress.timing.machine import origin
from compress.timing.view import show
from compress.training.progress import clock

COMMAND = "compress.speed"
SCHEMA = 1
"""Of the file that --out names."""
BULKY = ("samples_ms", "load", "warmup_runs", "stable", "per_turn", "attempts")
"""What the file holds of a row and the last line does not."""
REDRAWN_S = 0.2


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog=program(COMMAND),
        description="Times what compress.export wrote, in every runtime, beside eager float32 PyTorch.",
        epilog=f"Example: python -m {COMMAND} deployed --runtime onnxruntime --precision fp32,int8 --batch 1,8,32,128",
    )
    parser.add_argument("folder", type=Path, metavar="DEPLOYED", help="folder that compress.export wrote")
    left_out = ", ".join(ON_REQUEST)
    parser.add_argument(
        "--runtime",
        default="",
        metavar="NAME[,NAME]",
        help=f"some of {', '.join(RUNTIMES)} (default: all that can run the files of the folder but {left_out}, which "
        "compiles for minutes)",
    )
    parser.add_argument(
        "--precision",
        default="",
        metavar="NAME[,NAME]",
        help=f"some of {', '.join(PRECISIONS)} (default: those with a file in the folder)",
    )
    parser.add_argument("--batch", default="1,32", metavar="N[,N]", help="images per run (default: 1,32)")
    parser.add_argument("--threads", type=int, metavar="N", help="threads on the CPU (default: as many as PyTorch)")
    parser.add_argument("--runs", type=int, default=100, metavar="N", help="fewest runs of each (default: 100)")
    parser.add_argument("--seconds", type=float, default=3.0, metavar="S", help="fewest seconds of each (default: 3)")
    parser.add_argument("--out", type=Path, metavar="FILE.json", help="file for every sample, the machine, the commit")
    return parser.parse_args(argv)


def run(given: argparse.Namespace) -> dict[str, Any]:
    """Times and prints the table; returns what the last line of standard output says."""
    _checked(given)
    batches, asked = _sizes(given.batch), (_words(given.runtime), _words(given.precision))
    kinds = kinds_in(given.folder, *asked)
    with _threads(given.threads):
        ready, missing = open_all(given.folder, kinds)
        reasons = _grouped(missing)
        if any(asked) and reasons and not _asked_for(ready, *asked):
            raise ValueError(f"nothing left to time ({'; '.join(reasons)})")
        rows, stopped = _measured(ready, batches, given)
        reasons += stopped
        about = _about(given)
    show(str(given.folder), rows, [*(f"Not timed: {reason}" for reason in reasons), *_no_energy(ready, rows)])
    if given.out:
        write_atomic(given.out, json.dumps(about | {"rows": rows, "missing": reasons}, indent=1) + "\n")
    short = [{name: value for name, value in row.items() if name not in BULKY} for row in rows]
    place = {"deployed": str(given.folder), "file": str(given.out) if given.out else None}
    return place | {"threads": about["threads"], "rows": short, "missing": reasons}


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point: status 2 and a sentence for a mistake in the input or a missing library."""
    return status_of(COMMAND, run, arguments(argv))


def _checked(given: argparse.Namespace) -> None:
    """Refuses what would be found out only after minutes."""
    if given.runs < 2:
        raise ValueError(f"--runs {given.runs}: at least 2, one run has no spread")
    if not 0 <= given.seconds < math.inf:
        raise ValueError(f"--seconds {given.seconds:g}: 0 or more seconds")
    if given.threads is not None and given.threads < 1:
        raise ValueError(f"--threads {given.threads}: at least 1")
    if given.out:
        must_be_writable(given.out)


def _words(text: str) -> list[str]:
    return list(dict.fromkeys(word.strip() for word in text.split(",") if word.strip()))


def _sizes(text: str) -> list[int]:
    words = _words(text)
    if wrong := [word for word in words if not (word.isdecimal() and int(word))]:
        raise ValueError(f"--batch {text}: {', '.join(wrong)} is no positive whole number; give sizes like 1,8,32,128")
    if not words:
        raise ValueError('--batch "": give sizes like 1,8,32,128')
    return sorted({int(word) for word in words})


def _asked_for(ready: Mapping[Kind, Ready], runtimes: Sequence[str], precisions: Sequence[str]) -> bool:
    """Whether anything that runs was asked for; the reference is there in any case."""
    return any((not runtimes or kind[0] in runtimes) and (not precisions or kind[1] in precisions) for kind in ready)


def _grouped(missing: Mapping[Kind, str]) -> list[str]:
    """Each reason once, behind all that it keeps out."""
    kinds: dict[str, list[str]] = {}
    for kind, reason in missing.items():
        kinds.setdefault(reason, []).append(" ".join(kind))
    return [f"{', '.join(own)}: {reason}" for reason, own in kinds.items()]


@contextmanager
def _threads(wanted: int | None) -> Iterator[None]:
    """PyTorch's number of threads, which every runtime on the CPU takes over when it is opened."""
    before = torch.get_num_threads()
    torch.set_num_threads(wanted or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _measured(
    ready: Mapping[Kind, Ready], batches: Sequence[int], given: argparse.Namespace
) -> tuple[list[dict[str, Any]], list[str]]:
    """The rows of every batch size, and a sentence for each session that does not run at one."""
    rows: list[dict[str, Any]] = []
    stopped: list[str] = []
    for batch in batches:
        subjects, missing = runnable(ready, batch)
        stopped += _grouped(missing)
        progress = _Line(f"batch {batch}: {len(subjects)} sessions in turns")
        rows += timed(ready, subjects, batch, runs=given.runs, seconds=given.seconds, progress=progress)
    return rows, stopped


class _Line:
    """One live line with the time left while sessions take turns; on anything but a terminal, the title alone."""

    def __init__(self, title: str) -> None:
        self.title, self.live = title, sys.stderr.isatty()
        self.first: tuple[float, float] | None = None
        """Moment and share of the first call: what warming up took says nothing about the rest."""
        self.shown = -math.inf
        if self.live:
            self._draw("warming up")
        else:
            print(title, file=sys.stderr, flush=True)

    def __call__(self, share: float) -> None:
        now = time.monotonic()
        began, done = self.first = self.first or (now, share)
        if not self.live or (now - self.shown < REDRAWN_S and share < 1):
            return
        self.shown = now
        left = (now - began) * (1 - share) / max(share - done, 1e-9)
        self._draw(f"{share:.0%}, left {clock(left)}", end="\n" if share >= 1 else "")

    def _draw(self, text: str, end: str = "") -> None:
        print(f"\r\x1b[2K{self.title}: {text}", end=end, file=sys.stderr, flush=True)


def _about(given: argparse.Namespace) -> dict[str, Any]:
    """On what, when and how the rows were measured."""
    settings = {"threads": torch.get_num_threads(), "runs": given.runs, "seconds": given.seconds}
    return {"schema": SCHEMA, "reference": " ".join(REFERENCE)} | settings | origin()


def _no_energy(ready: Mapping[Kind, Ready], rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """A sentence for every device whose energy is not in the rows."""
    untold = {(row["runtime"], row["precision"]) for row in rows if not row["energy"]}
    devices = sorted({one.session.io.device.partition(":")[0] for kind, one in ready.items() if kind in untold})
    return [reason[0].upper() + reason[1:] for device in devices if (reason := why_no_energy(device))]


if __name__ == "__main__":
    sys.exit(main())
