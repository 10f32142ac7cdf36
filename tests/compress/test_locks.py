"""A lock is held by one process at a time, names its owner to the one who waits, and dies with him."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from compress.locks import locked

HOLDER = """
import sys, time
from pathlib import Path
from compress.locks import locked
with locked(Path(sys.argv[1]), "held"):
    print("mine", flush=True)
    time.sleep(60)
"""


def holding(path: Path) -> subprocess.Popen:
    process = subprocess.Popen([sys.executable, "-c", HOLDER, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "mine\n"
    return process


def test_the_one_who_waits_is_told_by_whom_and_goes_on_when_the_owner_is_killed(tmp_path, capsys):
    path, entered = tmp_path / "stage" / "lock", threading.Event()
    owner = holding(path)

    def wait() -> None:
        with locked(path, "vggnet dense"):
            entered.set()

    waiting = threading.Thread(target=wait)
    waiting.start()
    assert not entered.wait(0.5)
    os.kill(owner.pid, signal.SIGKILL)
    waiting.join(timeout=30)
    owner.communicate()
    assert entered.is_set()
    told = capsys.readouterr().err
    assert told.startswith(f"vggnet dense: process {owner.pid} on ") and told.count("\n") == 1
    assert list(tmp_path.rglob("*")) == [tmp_path / "stage"], "no lock is left behind"


@pytest.mark.parametrize("workers", [8])
def test_nobody_enters_while_another_is_inside(tmp_path, workers):
    inside, most, entered = [], [], []

    def work() -> None:
        for _ in range(20):
            with locked(tmp_path / "lock", "work"):
                inside.append(1)
                most.append(len(inside))
                time.sleep(0.0005)
                inside.pop()
                entered.append(1)

    threads = [threading.Thread(target=work) for _ in range(workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(entered) == 20 * workers and max(most) == 1


def test_what_the_block_raises_frees_the_lock(tmp_path):
    with pytest.raises(ValueError, match="mine"), locked(tmp_path / "lock", "first"):
        raise ValueError("mine")
    with locked(tmp_path / "lock", "second"):
        assert (tmp_path / "lock").read_text().startswith(f"process {os.getpid()} on ")
