"""Ctrl-C while a command is still importing, which takes seconds with PyTorch: one line and status 130, as later.

`python -m PACKAGE.COMMAND` imports the package first, so each of the three packages calls `starting` at once. Whoever
imports them into a program of his own keeps his own signals. `compress.exit_status` takes over from here.
"""

import os
import signal
import sys
from types import FrameType

from compress.program import FRONT


def starting(package: str) -> None:
    """Catches SIGINT where a command of `package` is what Python was started for, and nobody ignores it."""
    name = _command_of(package)
    if name and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, Starting(name))


class Starting:
    """Ends the process at once: nothing has begun, and an exception could be swallowed by a library's import."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, number: int, frame: FrameType | None) -> None:
        os.write(2, f"{self.name}: stopped before it began\n".encode())
        os._exit(128 + number)


def started() -> None:
    """From here on SIGINT is KeyboardInterrupt again, which `exit_status` tells."""
    if isinstance(signal.getsignal(signal.SIGINT), Starting):
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _command_of(package: str) -> str:
    """ "fermodels.predict" while `python -m` imports its package, "fer" for the front; else empty."""
    first = sys.argv[0] if getattr(sys, "argv", None) else ""
    if first == "-m":
        module = [*sys.orig_argv, "-m", ""][[*sys.orig_argv, "-m"].index("-m") + 1]
        return module if module.partition(".")[0] == package else ""
    return FRONT if os.path.basename(first) == FRONT else ""
