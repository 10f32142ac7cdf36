"""Widths for a number of milliseconds: bisect along the order of the scores, measuring the whole network each time.

Time does not fall evenly with the channels, and a machine's speed drifts: so what decides is always the time of the
network itself, and as a share of the unpruned one's in turns with it.
"""

from dataclasses import dataclass
from typing import Any, Protocol

from torch import nn

from compress.slimming.select import Kept, after, check, descent
from compress.slimming.targets import Subject

TOLERANCE = 0.05
"""How far the measured time may be above the target, as a share of it."""
CLOSE = 0.02
"""Near enough to stop at once."""
ROUNDS = 10
"""Networks tried at most; 2^10 steps are more than most networks have."""


class Stopwatch(Protocol):
    """Of one network, beside which others are timed."""

    @property
    def provenance(self) -> dict[str, Any]:
        """All that decides a time besides the network, as JSON's own types."""
        ...

    @property
    def whole_ms(self) -> float:
        """Time of the network itself, by all its turns so far."""
        ...

    def share(self, net: nn.Module) -> float:
        """How many times as long as the network itself `net` takes, both in turns."""
        ...


@dataclass(frozen=True, kw_only=True)
class Timed:
    """A choice of channels and its measured time."""

    kept: Kept
    ms: float
    ms_before: float
    """Of the whole network."""
    provenance: dict[str, Any]


def select_for_ms(subject: Subject, target_ms: float, stopwatch: Stopwatch) -> Timed:
    """The most channels, in the order of the rule "exact", with which a batch takes `target_ms` as measured.

    Within `CLOSE` of the target where a step of `align` channels is fine enough for that, else below it.

    Args:
        stopwatch: of the network in `subject`.

    Raises:
        ValueError: a target below the narrowest network's time or above the whole one's; settings and scores as for
            `select`.
    """
    check(subject.scores, subject.align)
    steps = descent(subject.scores, subject.floor, subject.align)
    shares = {0: 1.0}

    def measured(taken: int) -> float:
        """Milliseconds without the first `taken` steps' channels, by all that is known of the machine's speed."""
        if taken not in shares:
            shares[taken] = stopwatch.share(subject.trial(after(subject.scores, steps[:taken])))
        return shares[taken] * stopwatch.whole_ms

    _refuse_above(target_ms, stopwatch.whole_ms)
    slow, fast = 0, len(steps)
    _refuse_below(target_ms, measured(fast), subject)
    near = 0 if abs(measured(0) - target_ms) <= CLOSE * target_ms else fast
    while fast - slow > 1 and len(shares) < ROUNDS and abs(measured(near) - target_ms) > CLOSE * target_ms:
        near = _between(slow, fast, [measured(slow), measured(fast)], target_ms, halve=len(shares) % 2 == 0)
        slow, fast = (near, fast) if measured(near) > target_ms else (slow, near)
    best = near if abs(measured(near) - target_ms) <= CLOSE * target_ms else fast
    kept = after(subject.scores, steps[:best])
    return Timed(kept=kept, ms=measured(best), ms_before=stopwatch.whole_ms, provenance=stopwatch.provenance)


def _between(slow: int, fast: int, ms: list[float], target_ms: float, *, halve: bool) -> int:
    """A number of steps strictly between the two: the middle, or where a straight line meets the target."""
    share = 0.5 if halve or ms[0] <= ms[1] else (ms[0] - target_ms) / (ms[0] - ms[1])
    return min(fast - 1, max(slow + 1, round(slow + share * (fast - slow))))


def _refuse_above(target_ms: float, whole_ms: float) -> None:
    if target_ms > whole_ms * (1 + TOLERANCE):
        raise ValueError(f"target_ms={target_ms:g}: the whole network takes {whole_ms:.3g} ms already; ask for less")


def _refuse_below(target_ms: float, narrowest_ms: float, subject: Subject) -> None:
    if target_ms < narrowest_ms * (1 - TOLERANCE):
        raise ValueError(
            f"target_ms={target_ms:g}: with {subject.floor} and align={subject.align} the narrowest network takes "
            f"{narrowest_ms:.3g} ms; ask for more, or lower the floor"
        )
