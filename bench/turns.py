"""Subjects take turns (A B A B ...): warm up until stable, then time until each has enough runs; every sample is kept.

A subject is any `Callable[[], None]` that returns when its output is ready for the reader. Because rounds are shared, a
ratio between two subjects is paired, and each runs with the caches as its neighbours left them. A noisy measurement is
repeated as a whole (`calmest`): rounds of different attempts never mix.
"""

import gc
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from jaxtyping import Float

from bench.environment import Load, busy, machine_load

Subject = Callable[[], None]
Progress = Callable[[float], None]
"""Told the share done, 0 to 1, between rounds and never inside a timed run."""
NOISY_CV = 0.025
"""Coefficient of variation above which a figure is marked noisy."""


@dataclass(frozen=True, kw_only=True)
class WarmUp:
    """Rounds before the first kept sample: until every subject is stable, or the cap is reached."""

    window: int = 10
    """Runs per rolling median; two windows in a row must agree."""
    tolerance: float = 0.02
    """Largest relative change of the rolling median that counts as stable."""
    max_runs: int = 100
    max_seconds: float = 1.0
    """Cap per subject, on average (trtexec warms up for 0.2 s)."""


WARM_UP = WarmUp()


@dataclass(frozen=True, kw_only=True)
class Samples:
    """Every kept run of one subject, in order; round i of all subjects of one measurement lie next to each other."""

    ms: Float[np.ndarray, " n"]
    """Milliseconds, to four decimals (0.1 us), so that every figure can be recomputed from the record."""
    warmup_runs: int
    stable: bool
    """Whether the warm-up ended because the times had settled, not because of its cap."""
    before: Load
    after: Load
    attempts: int = 1
    """How often the measurement was made; these are the rounds of the calmest attempt."""

    @property
    def cv(self) -> float:
        """Coefficient of variation: standard deviation (n - 1) over mean."""
        return float(self.ms.std(ddof=1) / self.ms.mean())

    @property
    def noisy(self) -> bool:
        """Whether the spread is above `NOISY_CV`, or the machine was busy with something else."""
        return self.cv > NOISY_CV or busy(self.before, self.after)


def measure_interleaved(
    subjects: Mapping[str, Subject],
    *,
    min_runs: int = 100,
    min_seconds: float = 3.0,
    warmup: WarmUp = WARM_UP,
    clock: Callable[[], int] = time.perf_counter_ns,
    progress: Progress | None = None,
) -> dict[str, Samples]:
    """Warms up, then lets the subjects take turns until each has `min_runs` runs and `min_seconds` of them.

    All subjects get the same number of runs; garbage collection is off meanwhile.

    Args:
        clock: nanoseconds.

    Raises:
        ValueError: there is no subject, or `min_runs` is below 2, too few for a spread.
    """
    if not subjects or min_runs < 2:
        raise ValueError(f"{len(subjects)} subjects, min_runs={min_runs}: give at least one subject and two runs")
    with no_collection():
        warmup_runs, stable = warm_up(subjects, warmup, clock)
        before = machine_load()
        rounds: list[list[float]] = []
        seconds = np.zeros(len(subjects))
        while len(rounds) < min_runs or seconds.min() < min_seconds:
            rounds.append(_round(subjects, clock))
            seconds += np.array(rounds[-1]) / 1e3
            if progress is not None:
                progress(min(1.0, len(rounds) / min_runs, seconds.min() / (min_seconds or 1e-9)))
        after = machine_load()
    shared = partial(Samples, warmup_runs=warmup_runs, before=before, after=after)
    columns = np.array(rounds).round(4).T
    return {name: shared(ms=ms, stable=calm) for name, ms, calm in zip(subjects, columns, stable, strict=True)}


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
    """Number of noisy subjects, and the largest coefficient of variation."""
    return sum(one.noisy for one in samples.values()), max(one.cv for one in samples.values())


def _round(subjects: Mapping[str, Subject], clock: Callable[[], int]) -> list[float]:
    """One run of each subject in turn, milliseconds."""
    times = []
    for run in subjects.values():
        start = clock()
        run()
        times.append((clock() - start) / 1e6)
    return times


def warm_up(subjects: Mapping[str, Subject], warmup: WarmUp, clock: Callable[[], int]) -> tuple[int, list[bool]]:
    """Lets the subjects take turns until their times settle: rounds run, and for each whether it had settled."""
    rounds: list[list[float]] = []
    cap_ms = 1e3 * warmup.max_seconds * len(subjects)
    spent_ms = 0.0
    stable = [False] * len(subjects)
    while not all(stable) and len(rounds) < warmup.max_runs and spent_ms < cap_ms:
        rounds.append(_round(subjects, clock))
        spent_ms += sum(rounds[-1])
        stable = [_settled(column, warmup) for column in zip(*rounds, strict=True)]
    return len(rounds), stable


def _settled(times: tuple[float, ...], warmup: WarmUp) -> bool:
    if len(times) < 2 * warmup.window:
        return False
    older = np.median(times[-2 * warmup.window : -warmup.window])
    newer = np.median(times[-warmup.window :])
    return bool(abs(newer - older) <= warmup.tolerance * older)


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
