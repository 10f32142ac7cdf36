"""Runtimes take turns of many runs each: their thread pools keep spinning after a run and would slow the next one.

As `bench.turns`, but a turn lasts some 20 ms instead of one run, its first run is not kept (the predecessor's threads
come to rest meanwhile), and two subjects are compared by the medians of their turns, pair by pair.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from bench.environment import machine_load
from bench.stats import Ratio, ratio_interval
from bench.turns import WARM_UP, Progress, Samples, Subject, WarmUp, no_collection, warm_up

TURN_MS = 20.0
"""Length of a turn: several times what idle threads of OpenMP or ONNX Runtime spin before they sleep."""


@dataclass(frozen=True, kw_only=True)
class Turns:
    """The kept runs of one subject, and how many of them make a turn."""

    samples: Samples
    per_turn: int

    @property
    def medians_ms(self) -> Float[np.ndarray, " turns"]:
        """Median of every turn, in order; turn i of all subjects of one measurement lie next to each other."""
        return np.median(self.samples.ms.reshape(-1, self.per_turn), axis=1)

    def ratio_to(self, other: "Turns") -> Ratio:
        """This / other, paired turn by turn: below 1 is faster."""
        return ratio_interval(self.medians_ms, other.medians_ms)


def measure_turns(  # noqa: PLR0913 - what and how long; the rest are services
    subjects: Mapping[str, Subject],
    *,
    min_runs: int = 100,
    min_seconds: float = 3.0,
    turn_ms: float = TURN_MS,
    warmup: WarmUp = WARM_UP,
    clock: Callable[[], int] = time.perf_counter_ns,
    progress: Progress | None = None,
) -> dict[str, Turns]:
    """Warms each subject up by itself, then lets them take turns until each has `min_runs` and `min_seconds` of runs.

    Args:
        clock: nanoseconds.

    Raises:
        ValueError: there is no subject, or `min_runs` is below 2.
    """
    if not subjects or min_runs < 2:
        raise ValueError(f"{len(subjects)} subjects, min_runs={min_runs}: give at least one subject and two runs")
    with no_collection():
        ready = {name: _ready(name, subject, warmup, clock) for name, subject in subjects.items()}
        per_turn = {name: max(1, round(turn_ms / ms)) for name, (_, _, ms) in ready.items()}
        kept: dict[str, list[float]] = {name: [] for name in subjects}
        before, share = machine_load(), 0.0
        while share < 1:
            for name, subject in subjects.items():
                subject()
                kept[name] += [_timed(subject, clock) for _ in range(per_turn[name])]
            share = min(_share(times, min_runs, min_seconds) for times in kept.values())
            if progress is not None:
                progress(share)
        after = machine_load()
    found = {}
    for name, times in kept.items():
        runs, stable, _ = ready[name]
        samples = Samples(ms=np.array(times).round(4), warmup_runs=runs, stable=stable, before=before, after=after)
        found[name] = Turns(samples=samples, per_turn=per_turn[name])
    return found


def _ready(name: str, subject: Subject, warmup: WarmUp, clock: Callable[[], int]) -> tuple[int, bool, float]:
    """Warm-up runs, whether they settled, and a typical run in milliseconds."""
    runs, stable = warm_up({name: subject}, warmup, clock)
    return runs, stable[0], max(1e-4, float(np.median([_timed(subject, clock) for _ in range(3)])))


def _timed(subject: Subject, clock: Callable[[], int]) -> float:
    start = clock()
    subject()
    return (clock() - start) / 1e6


def _share(times: list[float], min_runs: int, min_seconds: float) -> float:
    return min(1.0, len(times) / min_runs, sum(times) / 1e3 / (min_seconds or 1e-9))
