"""Kills `fermodels.faces.prepare` at random and in the middle of writes; the last run must end in the same faces.

`python -m tests.kill_prepare --kills 20`
"""

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent


def started(spec: str, out: Path) -> tuple[subprocess.Popen, int]:
    """The command at work, and where it writes a byte whenever it searches or a file gets its name."""
    reading, writing = os.pipe()
    path = os.pathsep.join((str(HERE.parent), str(HERE), str(HERE / "fermodels")))
    command = [sys.executable, "-c", "import sys, kill_prepare; kill_prepare.command(*sys.argv[1:])"]
    process = subprocess.Popen(
        [*command, spec, str(out), str(writing)], env=os.environ | {"PYTHONPATH": path}, pass_fds=(writing,)
    )
    os.close(writing)
    return process, reading


def log_of(out: Path) -> Path:
    """What the command has said."""
    return out.with_name(f"{out.name}.log")


def command(spec: str, folder: str, writing: str) -> None:
    """`prepare` in this process, slowed down, telling every moment into the pipe `writing`."""
    from test_faces_prepare import OneFace, job

    from fermodels.faces import prepare, prepare_chunks

    class Slow(OneFace):
        def find(self, photographs):
            _say(told)
            return super().find(photographs)

    out, told = Path(folder), int(writing)
    replace = os.replace
    log = os.open(log_of(out), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    sys.stdout = sys.stderr = os.fdopen(log, "w", buffering=1)
    os.replace = lambda one, other: _say(told) or replace(one, other)
    prepare_chunks.CHUNK = 4
    prepare.open_detector = lambda *_, **__: job(Slow()).detector
    status = prepare.main([spec, "--out", str(out), "--size", "32"])
    sys.stdout.flush()
    os._exit(status)


def _say(told: int) -> None:
    os.write(told, b".")
    time.sleep(0.02)


def ended(running: tuple[subprocess.Popen, int]) -> int:
    """Waits for the end; the exit status."""
    process, reading = running
    status = process.wait(60)
    os.close(reading)
    return status


def killed(spec: str, out: Path, moments: int, delay_s: float) -> None:
    """Starts the command and kills it `delay_s` after so many bytes of its own."""
    process, reading = running = started(spec, out)
    for _ in range(moments):
        os.read(reading, 1)
    time.sleep(delay_s)
    process.kill()
    ended(running)


def faces(folder: Path) -> dict[str, bytes]:
    """What lies in a prepared folder; of compressed columns, which carry the time, the names only."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): b"" if path.suffix == ".npz" else path.read_bytes() for path in files}


def after_kills(spec: str, folder: Path, kills: list[tuple[int, float]]) -> None:
    """Raises AssertionError unless the run after all `kills` (moments, seconds) ends as a run of its own does."""
    assert ended(started(spec, folder / "whole")) == 0
    for moments, delay_s in kills:
        killed(spec, folder / "out", moments, delay_s)
    assert ended(started(spec, folder / "out")) == 0, log_of(folder / "out").read_text()
    assert faces(folder / "out") == faces(folder / "whole")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    sys.path[:0] = [str(HERE), str(HERE / "fermodels")]
    from tiny_sets import lfw

    chance = random.Random(given.seed)
    kills = [(chance.randint(0, 40), chance.choice((0.0, 0.01, chance.random()))) for _ in range(given.kills)]
    with tempfile.TemporaryDirectory() as folder:
        after_kills(f"lfw:{lfw(Path(folder) / 'lfw')}", Path(folder), kills)
    print(f"{given.kills} kills: the same faces, nothing left over")


if __name__ == "__main__":
    main()
