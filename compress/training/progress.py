"""One live line per stage with rate and time left; on anything but a terminal, one plain line per epoch.

Progress goes to standard error: standard output is for results. Who shows several trainings at once is told instead.
"""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TextIO

REFRESH_S = 0.2


class Silent:
    """The bar of somebody who does not want one."""

    def start(self, epoch: int, epochs: int, batches: int) -> None: ...

    def advance(self, batches: int, images: int, lr: float) -> None: ...

    def done(self, entry: dict[str, Any]) -> None: ...


@dataclass(frozen=True, kw_only=True)
class Reached:
    """How far one training is."""

    title: str
    epoch: int
    """The one that runs, from 1 on."""
    epochs: int
    images_per_s: float
    left_s: float
    validation: float | None
    """Accuracy after the last epoch that is done."""
    finished: bool


class EpochBar:
    """Progress of one `fit`: epoch, rate, time left, and after each epoch its losses and measures."""

    def __init__(
        self, title: str, stream: TextIO | None = None, *, tell: Callable[[Reached], None] | None = None
    ) -> None:
        """`tell` hears how far it is, and nothing is written; without it lines go to `stream` (standard error)."""
        self.title, self.stream, self.tell = title, stream or sys.stderr, tell
        self.live = self.stream.isatty()
        self.shown = 0.0
        self.validation: float | None = None

    def start(self, epoch: int, epochs: int, batches: int) -> None:
        if not hasattr(self, "began"):
            self.began, self.first = time.monotonic(), epoch
        self.epoch, self.epochs, self.batches, self.seen = epoch, epochs, batches, 0
        self.epoch_began, self.rate = time.monotonic(), 0.0

    def advance(self, batches: int, images: int, lr: float) -> None:
        self.seen += batches
        now = time.monotonic()
        if not (self.live or self.tell) or (now - self.shown < REFRESH_S and self.seen < self.batches):
            return
        self.shown = now
        self.rate = images / max(now - self.epoch_began, 1e-9)
        if self.tell:
            self.tell(self._reached())
            return
        text = f"{self._head()} {self.seen}/{self.batches} {self.rate:,.0f} images/s lr {lr:.4f} left {self._left()}"
        print(f"\r\x1b[2K{text}", end="", file=self.stream, flush=True)

    def done(self, entry: dict[str, Any]) -> None:
        self.seen, self.validation = self.batches, entry.get("validation")
        if self.tell:
            self.tell(self._reached(finished=self.epoch + 1 == self.epochs))
            return
        measures = {**entry["losses"], **{k: v for k, v in entry.items() if isinstance(v, float)}}
        told = " ".join(f"{k} {v:.4f}" for k, v in measures.items() if k not in ("lr", "seconds"))
        start = "\r\x1b[2K" if self.live else ""
        print(
            f"{start}{self._head()} {entry['seconds']:.0f} s {told} left {self._left()}", file=self.stream, flush=True
        )

    def _reached(self, *, finished: bool = False) -> Reached:
        reached = {"epoch": self.epoch + 1, "epochs": self.epochs, "images_per_s": self.rate, "left_s": self._left_s()}
        return Reached(title=self.title, validation=self.validation, finished=finished, **reached)

    def _head(self) -> str:
        return f"{self.title}: epoch {self.epoch + 1}/{self.epochs}"

    def _left(self) -> str:
        return clock(self._left_s())

    def _left_s(self) -> float:
        done = self.epoch - self.first + self.seen / max(1, self.batches)
        wanted = self.epochs - self.first
        return (time.monotonic() - self.began) * (wanted - done) / max(done, 1e-9)


def clock(seconds: float) -> str:
    """Minutes and seconds: 65 -> "1:05"."""
    return f"{int(seconds // 60)}:{int(seconds % 60):02d}"
