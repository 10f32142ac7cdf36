"""Subjects take turns of some 30 ms (A A A B B B): each is warmed up until stable, then timed; every sample is kept.

A subject is any `Callable[[], None]` that returns when its output is ready for the reader. Thread pools keep spinning
for a while after a run and would slow the next one's: so a turn is many runs of one subject, and its first is not
kept, unless that alone outlasts the turn. (ONNX Runtime's would spin for 50 ms; `compress.runtimes` tells it not to.)
Turns lie next to each other, so a ratio between two subjects is paired, turn by turn. A noisy measurement is repeated
as a whole (`calmest`): turns of different attempts never mix.
"""

import gc
import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from compress.timing.machine import Load, machine_load
from compress.timing.stats import Ratio, drift_of_others, ratio_interval, robust_spread

Subject = Callable[[], None]
Progress = Callable[[float], None]
"""Told the share done, 0 to 1, between rounds and never inside a timed run."""
NOISY_SPREAD = 0.05
"""Robust spread of a subject's turns beside the others' above which its milliseconds are marked noisy. On a machine
with nothing else to do it is some 0.01; the coefficient of variation of single runs is no measure of it, because one
run in a thousand that is interrupted makes that several hundred percent."""
TURN_MS = 30.0
"""Shortest turn: several times what idle threads of OpenMP spin, and 100 of them are 3 s of runs."""


@dataclass(frozen=True, kw_only=True)
class WarmUp:
    """Runs before the first turn: until the subject is stable, or the cap is reached."""

    window: int = 10
    """Runs per rolling median; two windows in a row must agree."""
    tolerance: float = 0.02
    """Largest relative change of the rolling median that counts as stable."""
    max_runs: int = 100
    max_seconds: float = 1.0
    """Cap per subject, not counting the first run (trtexec warms up for 0.2 s)."""


WARM_UP = WarmUp()


@dataclass(frozen=True, kw_only=True)
class Samples:
    """Every kept run of one subject, in order; turn i of all subjects of one measurement lie next to each other."""

    ms: Float[np.ndarray, " n"]
    """Milliseconds, to four decimals (0.1 us), so that every figure can be recomputed from the record."""
    warmup_runs: int
    stable: bool
    """Whether the warm-up ended because the times had settled, not because of its cap."""
    before: Load
    after: Load
    per_turn: int = 1
    """How many of the runs make a turn."""
    drift: Float[np.ndarray, " turns"] | float = 1.0
    """How many times as long as usual the other subjects took in each turn."""
    attempts: int = 1
    """How often the measurement was made; these are the turns of the calmest attempt."""

    @property
    def cv(self) -> float:
        """Coefficient of variation of single runs, outliers included: standard deviation (n - 1) over mean."""
        return float(self.ms.std(ddof=1) / self.ms.mean())

    @property
    def spread(self) -> float:
        """Robust spread of the turns, once what slowed all subjects down alike is taken out."""
        return robust_spread(self.medians_ms / self.drift)

    @property
    def noisy(self) -> bool:
        """Whether the spread is above `NOISY_SPREAD`."""
        return self.spread > NOISY_SPREAD

    @property
    def medians_ms(self) -> Float[np.ndarray, " turns"]:
        """Median of every turn, in order."""
        return np.median(self.ms.reshape(-1, self.per_turn), axis=1)

    def ratio_to(self, other: "Samples") -> Ratio:
        """This / other, paired turn by turn: below 1 is faster."""
        return ratio_interval(self.medians_ms, other.medians_ms)


@dataclass(frozen=True)
class _Ready:
    """A subject after its warm-up."""

    run: Subject
    warmup_runs: int
    stable: bool
    ms: float
    """An undisturbed run: the fastest of the last ones. A slower one would make turns short, and their number large."""

    def runs_in(self, turn_ms: float) -> int:
        return math.ceil(turn_ms / self.ms)

    def turn(self, turn_ms: float, clock: Callable[[], int]) -> list[float]:
        if self.ms < turn_ms:
            self.run()
        return [_timed(self.run, clock) for _ in range(self.runs_in(turn_ms))]


def measure_turns(  # noqa: PLR0913 - what and how long; the rest are services
    subjects: Mapping[str, Subject],
    *,
    min_runs: int = 100,
    min_seconds: float = 3.0,
    turn_ms: float = TURN_MS,
    warmup: WarmUp = WARM_UP,
    clock: Callable[[], int] = time.perf_counter_ns,
    progress: Progress | None = None,
) -> dict[str, Samples]:
    """Warms each subject up by itself, then lets them take turns until each has `min_runs` and `min_seconds` of runs.

    All subjects get the same number of turns; garbage collection is off meanwhile.

    Args:
        clock: nanoseconds.

    Raises:
        ValueError: there is no subject, or `min_runs` is below 2, too few for a spread.
    """
    if not subjects or min_runs < 2:
        raise ValueError(f"{len(subjects)} subjects, min_runs={min_runs}: give at least one subject and two runs")
    with no_collection():
        ready = {name: _warmed(subject, warmup, clock) for name, subject in subjects.items()}
        kept: dict[str, list[float]] = {name: [] for name in subjects}
        before, share = machine_load(), 0.0
        while share < 1:
            for name, subject in ready.items():
                kept[name] += subject.turn(turn_ms, clock)
            share = min(_share(times, min_runs, min_seconds) for times in kept.values())
            if progress is not None:
                progress(share)
        after = machine_load()
    found = {
        name: Samples(
            ms=np.array(kept[name]).round(4),
            per_turn=one.runs_in(turn_ms),
            warmup_runs=one.warmup_runs,
            stable=one.stable,
            before=before,
            after=after,
        )
        for name, one in ready.items()
    }
    drifts = drift_of_others(np.stack([one.medians_ms for one in found.values()]))
    return {name: replace(one, drift=drift) for (name, one), drift in zip(found.items(), drifts, strict=True)}


def calmest(measure: Callable[[], dict[str, Samples]], attempts: int) -> dict[str, Samples]:
    """Measures until no subject is noisy, at most `attempts` times, and keeps the attempt with the fewest noisy ones.

    Ties go to the smallest spread of the most restless subject: an attempt is chosen for being calm, never for being
    fast.

    Raises:
        ValueError: `attempts` is below 1.
    """
    if attempts < 1:
        raise ValueError(f"attempts={attempts}: a figure needs at least one measurement")
    made: list[dict[str, Samples]] = []
    while len(made) < attempts and (not made or _unrest(made[-1])[0]):
        made.append(measure())
    return {name: replace(one, attempts=len(made)) for name, one in min(made, key=_unrest).items()}


def _unrest(samples: Mapping[str, Samples]) -> tuple[int, float]:
    """Number of noisy subjects, and the largest spread."""
    return sum(one.noisy for one in samples.values()), max(one.spread for one in samples.values())


def _warmed(subject: Subject, warmup: WarmUp, clock: Callable[[], int]) -> _Ready:
    subject()  # may compile for minutes, and says nothing of a typical run
    times: list[float] = []
    stable = False
    while not stable and len(times) < warmup.max_runs and sum(times) < 1e3 * warmup.max_seconds:
        times.append(_timed(subject, clock))
        stable = _settled(times, warmup)
    return _Ready(subject, 1 + len(times), stable, max(1e-4, min(times[-warmup.window :])))


def _settled(times: list[float], warmup: WarmUp) -> bool:
    if len(times) < 2 * warmup.window:
        return False
    older = np.median(times[-2 * warmup.window : -warmup.window])
    newer = np.median(times[-warmup.window :])
    return bool(abs(newer - older) <= warmup.tolerance * older)


def _timed(subject: Subject, clock: Callable[[], int]) -> float:
    start = clock()
    subject()
    return (clock() - start) / 1e6


def _share(times: list[float], min_runs: int, min_seconds: float) -> float:
    return min(1.0, len(times) / min_runs, sum(times) / 1e3 / (min_seconds or 1e-9))


@contextmanager
def no_collection() -> Iterator[None]:
    """Garbage collection is off inside the block."""
    was_on = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
