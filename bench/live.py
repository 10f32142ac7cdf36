"""The live view of a report that runs: cells done, running and to do, rate, time left, accuracy.

Only on a terminal; elsewhere every training writes plain lines (`compress.training.progress`).
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from bench.make.watching import Event, Making, watch
from bench.records import Cell
from compress.training.progress import Reached, clock

PER_SECOND = 4


class View:
    """What is known of a run so far; rich draws it."""

    def __init__(self, title: str, cells: Sequence[Cell], root: Path, console: Console) -> None:
        """`root`: folder of the records; a cell is done when its record is there."""
        self.title, self.paths, self.console = title, {cell.id: root / cell.path for cell in cells}, console
        self.running: set[str] = set()
        self.trained: set[str] = set()
        self.trainings: dict[str, Reached] = {}
        self.last: Reached | None = None
        self.began, self.first = time.monotonic(), len(self._done())

    def hear(self, event: Event) -> None:
        """Takes note of an event; a line is written above the view."""
        if isinstance(event, str):
            self.console.print(event, markup=False, highlight=False, soft_wrap=True)
        elif isinstance(event, Making):
            (self.running.discard if event.done else self.running.add)(event.cell)
            self.trained |= {event.cell} if event.done else set()
        elif event.finished:
            self.trainings.pop(event.title, None)
            self.last = event
        else:
            self.trainings[event.title] = event

    def __rich__(self) -> RenderableType:
        total, done = len(self.paths), self._done()
        trained = (self.trained & self.paths.keys()) - done
        running = (self.running & self.paths.keys()) - done
        counts = {"done": len(done), "trained": len(trained), "running": len(running)}
        counts["to do"] = total - len(done | trained | running)
        said = ", ".join(f"{count} {name}" for name, count in counts.items())
        ready = len(done | trained)
        head = Table.grid(padding=(0, 1))
        head.add_row(ProgressBar(total=total, completed=ready, width=24), f"{said}{self._left(ready, total)}")
        now = [self._trainings()] if self.trainings else []
        last = [Text(f"last: {self.last.title}, {_accuracy(self.last)}", style="dim")] if self.last else []
        return Group(Text(f"{self.title}: {total} cells", style="bold"), head, *now, *last)

    def _done(self) -> set[str]:
        return {cell for cell, path in self.paths.items() if path.exists()}

    def _left(self, ready: int, total: int) -> str:
        """As long as the cells so far took, for each that is left; nothing before the first one."""
        if ready <= self.first or ready == total:
            return ""
        seconds = (time.monotonic() - self.began) / (ready - self.first) * (total - ready)
        return f", about {clock(seconds)} left"

    def _trainings(self) -> Table:
        table = Table.grid(padding=(0, 2))
        for one in sorted(self.trainings.values(), key=lambda one: one.title):
            rate = f"{one.images_per_s:,.0f} images/s"
            left = f"{clock(one.left_s)} left"
            table.add_row(f"  {one.title}", f"epoch {one.epoch}/{one.epochs}", rate, left, _accuracy(one))
        return table


def _accuracy(one: Reached) -> str:
    return "not measured yet" if one.validation is None else f"validation {one.validation:.2%}"


@contextmanager
def shown(title: str, cells: Sequence[Cell], root: Path) -> Iterator[None]:
    """Shows a run on standard error while the body computes it, where that is a terminal."""
    console = Console(stderr=True)
    if not console.is_interactive:
        yield
        return
    view = View(title, cells, root, console)
    watch(view.hear)
    try:
        with Live(view, console=console, refresh_per_second=PER_SECOND, redirect_stdout=False):
            yield
    finally:
        watch(None)
