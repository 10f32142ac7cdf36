"""How a command ends: 0, or 2 and one sentence, or 130 and 143 and what is kept when somebody stops it."""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from compress.escaping import printed
from compress.libraries import Unavailable
from compress.starting import started

AGAIN = 0.05
"""Seconds until an interruption that Python dropped is sent again."""


class Terminated(KeyboardInterrupt):
    """Another program asked this one to end (SIGTERM)."""


def exit_status(command: str, run: Callable[[], object], *, kept: str = "nothing is kept") -> int:
    """Runs `run`; its mistakes and interruptions become one line on the error stream.

    Args:
        command: name that begins the line.
        run: what it gives is the status, when that is a number.
        kept: what an interrupted run leaves and how to go on; ends the line.
    """
    started()
    before = _on_terminate(_terminated)
    try:
        with _never_dropped():
            status = run()
    except BrokenPipeError:  # whoever read our output has what he wanted
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt as error:
        print(f"{command}: stopped; {kept}", file=sys.stderr)
        return 128 + (signal.SIGTERM if isinstance(error, Terminated) else signal.SIGINT)
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        print(printed(f"{command}: {place}{error.strerror or error}"), file=sys.stderr)
        return 2
    except (ValueError, FloatingPointError, Unavailable) as error:
        print(printed(f"{command}: {error}"), file=sys.stderr)
        return 2
    finally:
        _on_terminate(before)
    return status if isinstance(status, int) else 0


@contextmanager
def _never_dropped() -> Iterator[None]:
    """Within the block an interruption that falls into a finaliser or a weak reference's callback is sent again.

    Python prints an exception from there and goes on as if nobody had asked the program to end.
    """
    before = sys.unraisablehook
    pending: list[threading.Timer] = []

    def hook(dropped: Any) -> None:
        if not isinstance(dropped.exc_value, KeyboardInterrupt):
            return before(dropped)
        number = signal.SIGTERM if isinstance(dropped.exc_value, Terminated) else signal.SIGINT
        pending.append(threading.Timer(AGAIN, os.kill, (os.getpid(), number)))
        pending[-1].daemon = True
        return pending[-1].start()

    sys.unraisablehook = hook
    try:
        yield
    finally:
        sys.unraisablehook = before
        for timer in pending:  # behind the block the signal would end whoever called the command
            timer.cancel()
            timer.join()


def _terminated(*_: object) -> None:
    raise Terminated


def _on_terminate(handler: object) -> object:
    """Sets what SIGTERM does, where a thread may; returns what it did."""
    if threading.current_thread() is not threading.main_thread():
        return None
    before = signal.getsignal(signal.SIGTERM)
    if handler is not None:
        signal.signal(signal.SIGTERM, handler)  # type: ignore[arg-type]
    return before
