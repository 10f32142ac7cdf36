"""One live line per stage with rate and time left; on anything but a terminal, one plain line per epoch.

Progress goes to standard error: standard output is for results.
"""

import sys
import time
from typing import Any, TextIO


class Silent:
    """The bar of somebody who does not want one."""

    def start(self, epoch: int, epochs: int, batches: int) -> None: ...

    def advance(self, batches: int, images: int, lr: float) -> None: ...

    def done(self, entry: dict[str, Any]) -> None: ...


class EpochBar:
    """Progress of one `fit`: epoch, rate, time left, and after each epoch its losses and measures."""

    def __init__(self, title: str, stream: TextIO | None = None) -> None:
        self.title, self.stream = title, stream or sys.stderr
        self.live = self.stream.isatty()
        self.shown = 0.0

    def start(self, epoch: int, epochs: int, batches: int) -> None:
        if not hasattr(self, "began"):
            self.began, self.first = time.monotonic(), epoch
        self.epoch, self.epochs, self.batches, self.seen = epoch, epochs, batches, 0
        self.epoch_began = time.monotonic()

    def advance(self, batches: int, images: int, lr: float) -> None:
        self.seen += batches
        now = time.monotonic()
        if not self.live or (now - self.shown < 0.2 and self.seen < self.batches):
            return
        self.shown = now
        rate = images / max(now - self.epoch_began, 1e-9)
        text = f"{self._head()} {self.seen}/{self.batches} {rate:,.0f} images/s lr {lr:.4f} left {self._left()}"
        print(f"\r\x1b[2K{text}", end="", file=self.stream, flush=True)

    def done(self, entry: dict[str, Any]) -> None:
        self.seen = self.batches
        measures = {**entry["losses"], **{k: v for k, v in entry.items() if isinstance(v, float)}}
        told = " ".join(f"{k} {v:.4f}" for k, v in measures.items() if k not in ("lr", "seconds"))
        start = "\r\x1b[2K" if self.live else ""
        print(
            f"{start}{self._head()} {entry['seconds']:.0f} s {told} left {self._left()}", file=self.stream, flush=True
        )

    def _head(self) -> str:
        return f"{self.title}: epoch {self.epoch + 1}/{self.epochs}"

    def _left(self) -> str:
        done = self.epoch - self.first + self.seen / max(1, self.batches)
        wanted = self.epochs - self.first
        seconds = (time.monotonic() - self.began) * (wanted - done) / max(done, 1e-9)
        return f"{int(seconds // 60)}:{int(seconds % 60):02d}"
