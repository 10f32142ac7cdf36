"""An interruption ends a command wherever it falls. Each case is a program of its own: signals would hit the tests."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROGRAM = """
import os, signal, sys, time, weakref
from compress.exit_status import AGAIN, exit_status

class Thing:
    pass

class AsksToEnd:
    def __init__(self, number):
        self.number = number
    def __del__(self):
        ask(self.number)

def ask(number):
    os.kill(os.getpid(), number)
    for _ in range(100_000):  # the handler runs in here, where Python drops what it raises
        pass

def long_work():
    while True:
        sum(range(1000))

def finaliser(number):
    AsksToEnd(number)
    long_work()

def callback():
    thing = Thing()
    reference = weakref.ref(thing, lambda _: ask(signal.SIGTERM))
    del thing
    long_work()

def late():
    signal.signal(signal.SIGTERM, lambda *_: print("late"))
    status = exit_status("work", lambda: AsksToEnd(signal.SIGTERM) and None)
    time.sleep(3 * AGAIN)
    return status

def other():
    class Fails:
        def __del__(self):
            raise OSError("in a finaliser")
    sys.unraisablehook = lambda dropped: print(dropped.exc_value)
    return exit_status("work", lambda: Fails() and None)

"""


def ended(code: str) -> tuple[int, str, str]:
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    run = [sys.executable, "-c", f"{PROGRAM}sys.exit({code})"]
    done = subprocess.run(run, env=environment, capture_output=True, text=True, check=False, timeout=120)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize(
    ("run", "status"),
    [("finaliser(signal.SIGTERM)", 143), ("finaliser(signal.SIGINT)", 130), ("callback()", 143)],
)
def test_an_interruption_that_python_drops_is_sent_again(run: str, status: int) -> None:
    found = ended(f"exit_status('work', lambda: {run}, kept='all is kept')")
    assert found == (status, "", "work: stopped; all is kept\n")


def test_nothing_is_sent_again_behind_the_end_of_the_command() -> None:
    assert ended("late()") == (0, "", "")


def test_other_dropped_exceptions_are_told_as_before() -> None:
    assert ended("other()") == (0, "in a finaliser\n", "")
