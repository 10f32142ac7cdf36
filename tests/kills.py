"""Kills `bench.report` or `compress.slim` at its writes and at any time; the run after that must end as if unkilled.

    python -m tests.kills report --kills 50
    python -m tests.kills slim --kills 20

(`python -m tests.kill_prepare` does it to fermodels.faces.prepare.) Every run is a fork of this process, which has done
the work once: nothing is imported again.
"""

import argparse
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent / "bench"))

import torch
from tiny_job import cells, job

import fermodels
from bench import records, report
from bench.make import pipeline
from compress.commands import slim
from fermodels.training.views import ViewConfig

OWN = [cell for cell in cells("vggnet") if (cell.variant, cell.ratio) in (("dense", 0.0), ("slim", 0.4))]
EACH = 5
"""Kills in one folder before the work is finished there and compared; the next ones have a new folder."""
WRITES = ("os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.truncate")
"""Events of Python's audit that change a folder, beside an "open" for writing."""


def reported(folder: Path) -> int:
    """bench.report of two tiny cells."""
    report.compute = lambda *_: pipeline.measure(job(folder / "runs", "vggnet"), OWN, folder / "records")
    words = ["--out", str(folder), "--runs", str(folder / "runs"), "--models", "vggnet", "--scale", "quick"]
    return report.main(words) - 1  # the table has more cells than these two: status 1


def made_by_report(folder: Path) -> dict[str, Any]:
    """The scores and predictions in the records; milliseconds differ from run to run."""
    found = records.load_all(folder / "records", table="table5", data="tiny", scale="quick")
    return {cell.id: record.result["accuracy"] for cell, record in found.items()}


def slimmed(folder: Path) -> int:
    """compress.slim of a tiny checkpoint, which lies beside `folder`; what an earlier run made must be whole."""
    words = [str(folder.parent / "net"), "--out", str(folder / "slim"), "--ratio", "0.2"]
    if (folder / "slim").exists():
        assert made_by_slim(folder) == made_by_slim(folder.parent / "whole")
        words.append("--overwrite")
    return slim.main(words)


def made_by_slim(folder: Path) -> dict[str, Any]:
    """The bytes of the slim checkpoint."""
    return {path.name: path.read_bytes() for path in (folder / "slim").iterdir()}


def save_network(root: Path) -> None:
    """The checkpoint that `slimmed` starts from."""
    torch.manual_seed(0)
    net = fermodels.build("vggnet", widths={"face": fermodels.scaled(0.25)}, size=56, pools=3)
    about = {"classes": fermodels.EXPRESSIONS, "preprocessing": ViewConfig(size=56), "data": "synthetic"}
    fermodels.save(net, root / "net", about | {"split": "test", "n": 0, "accuracy": None, "stored": 64})


class Work(NamedTuple):
    """A command that is killed."""

    run: Callable[[Path], int]
    """Does it in a folder; 0 when it ended well."""
    made: Callable[[Path], dict[str, Any]]
    """What must be the same in every folder."""


WORKS = {"report": Work(reported, made_by_report), "slim": Work(slimmed, made_by_slim)}


def at_writes(event: Callable[[], None]) -> None:
    """Calls `event` before whatever changes a folder, to the end of the process."""

    def hook(name: str, given: tuple[Any, ...]) -> None:
        if name in WRITES or (name == "open" and given[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)):
            event()

    sys.addaudithook(hook)


def forked(run: Callable[[Path], int], folder: Path, *, last: int | None = None) -> int:
    """A process that does the work in `folder`; it kills itself before its write number `last`."""
    if process := os.fork():
        return process
    status, left = 1, last

    def event() -> None:
        nonlocal left
        left = None if left is None else left - 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    try:
        log = os.open(folder / "log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(log, 1)
        os.dup2(log, 2)
        at_writes(event)
        status = run(folder)
    finally:
        sys.stdout.flush()
        os._exit(status)


def ended(process: int) -> int:
    """Waits; the exit status, negative when it was killed."""
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def killed(run: Callable[[Path], int], folder: Path, chance: random.Random, writes: int, seconds: float) -> bool:
    """Whether a run was killed before it ended: at one of `writes` writes, or at a time within `seconds`."""
    if chance.random() < 0.5:
        return ended(forked(run, folder, last=chance.randint(1, writes))) == -signal.SIGKILL
    process = forked(run, folder)
    time.sleep(chance.uniform(0, seconds))
    os.kill(process, signal.SIGKILL)
    return ended(process) == -signal.SIGKILL


def whole(work: Work, root: Path) -> tuple[dict[str, Any], int, float]:
    """An unkilled run, in this process: what it made, its writes and its seconds."""
    for name in ("whole", "again"):  # the first one imports
        count, before = [0], time.monotonic()
        at_writes(lambda count=count: count.__setitem__(0, count[0] + 1))
        (root / name).mkdir()
        assert work.run(root / name) == 0
    assert work.made(root / "again") == work.made(root / "whole")
    return work.made(root / "whole"), count[0], time.monotonic() - before


def after_kills(work: Work, root: Path, kills: int, seed: int = 0) -> int:
    """Kills so many runs at work; AssertionError unless each folder ends as that of an unkilled run.

    Returns the runs that it took: some end before they are killed.
    """
    torch.set_num_threads(1)  # a fork has no other threads
    save_network(root)
    (right, writes, seconds), chance, runs, left = whole(work, root), random.Random(seed), 0, kills
    while left:
        folder = root / f"from{runs}"
        folder.mkdir()
        for _ in range(min(EACH, left)):
            hit = killed(work.run, folder, chance, writes, seconds)
            left, runs = left - hit, runs + 1
            if not hit:  # the work is finished: the next run would only look at it
                break
        assert ended(forked(work.run, folder)) == 0, (folder / "log").read_text()
        assert work.made(folder) == right
        paths = [path for path in folder.rglob("*") if path.name.startswith(".") or path.name in ("lock", "state.pt")]
        assert not paths, paths
        print(f"{kills - left} kills so far: the same results, nothing left over", file=sys.stderr, flush=True)
    return runs


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.kills", description=__doc__)
    parser.add_argument("works", nargs="+", choices=WORKS, metavar="report|slim")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    for work in given.works:
        with tempfile.TemporaryDirectory() as folder:
            began = time.monotonic()
            runs = after_kills(WORKS[work], Path(folder), given.kills, given.seed)
        told = f"{given.kills} kills in {runs} runs, {time.monotonic() - began:.0f} s"
        print(f"{work}: {told}: the same results, nothing left over", flush=True)


if __name__ == "__main__":
    main()
