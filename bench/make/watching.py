"""Who hears what happens while a report runs: nobody, and then every training writes its lines, or one live view.

The view lives in one process; child processes send what they have to say through a queue.
"""

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.context import BaseContext
from multiprocessing.queues import Queue
from threading import Thread

from compress.training.progress import EpochBar, Reached


@dataclass(frozen=True)
class Making:
    """The network behind a cell is being made, or is there."""

    cell: str
    done: bool


Event = Reached | Making | str
"""A string is a line that somebody says."""
_hear: Callable[[Event], None] | None = None


def watch(hear: Callable[[Event], None] | None) -> None:
    """From now on `hear` is called with every event of this process, from any thread; None: nobody watches."""
    global _hear  # noqa: PLW0603 - a process has one standard error, and one view of it
    _hear = hear


def bar(title: str) -> EpochBar:
    """Progress of one training, for whoever watches."""
    return EpochBar(title, tell=_hear)


@contextmanager
def making(cell: str) -> Iterator[None]:
    """Tells that the network behind `cell` is made meanwhile, and then that it is there."""
    hear = _hear or (lambda event: None)
    hear(Making(cell, done=False))
    yield
    hear(Making(cell, done=True))


@contextmanager
def children(context: BaseContext) -> Iterator["Queue[Event | None] | None"]:
    """A queue for `from_child`, whose events are heard here; None when nobody watches."""
    if _hear is None:
        yield None
        return
    queue: Queue[Event | None] = context.Queue()
    queue.cancel_join_thread()  # a child that was terminated may have taken the queue's lock with it
    thread = Thread(target=_pass_on, args=(queue, _hear), daemon=True)
    thread.start()
    try:
        yield queue
    finally:
        queue.put(None)
        thread.join(timeout=2)


def _pass_on(queue: "Queue[Event | None]", hear: Callable[[Event], None]) -> None:
    while (event := queue.get()) is not None:
        hear(event)


class Posted(io.TextIOBase):
    """Standard error of a child that is watched: whole lines go to the queue."""

    def __init__(self, queue: "Queue[Event | None]") -> None:
        self.queue, self.begun = queue, ""

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        *lines, self.begun = (self.begun + text).split("\n")
        for line in lines:
            self.queue.put(line)
        return len(text)
