"""How sure is a ratio of two times, and how restless were the runs? Pure: numpy, no clock.

Times are compared on runs that took turns (`ratio_interval`), because a machine's speed drifts; two sessions, which
share no turns, have `independent_ratio`. Medians throughout: one interrupted run says nothing about the others.
"""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

RESAMPLES = 2000
"""Bootstrap resamples: the ends of a 95 % interval are then the 50th value from either end."""
CHUNK = 200
"""Resamples held in memory at a time."""
SIGMA = 1.4826
"""Median absolute deviation times this is the standard deviation where values are normal."""


@dataclass(frozen=True, kw_only=True)
class Ratio:
    """Ratio of two latencies: below 1 the first is faster."""

    ratio: float
    interval: tuple[float, float]
    """95 % interval of `ratio`."""


def ratio_interval(a_samples: Float[np.ndarray, " n"], b_samples: Float[np.ndarray, " n"], seed: int = 0) -> Ratio:
    """Median of a_i / b_i over rounds that took turns, with a 95 % interval.

    Rounds disturbed by the same neighbour are not independent, so the bootstrap draws blocks of n^(1/3) rounds
    (circular block bootstrap, Politis and Romano 1992), percentile interval, `RESAMPLES` resamples.

    Args:
        a_samples, b_samples: milliseconds, round i of both next to each other in time.
        seed: of the resampling; the same samples and seed give the same interval.

    Raises:
        ValueError: not the same number of rounds, none at all, or a time that is not positive.
    """
    if len(a_samples) != len(b_samples) or len(a_samples) == 0:
        raise ValueError(f"{len(a_samples)} and {len(b_samples)} runs: a paired ratio needs the same rounds of both")
    if min(a_samples.min(), b_samples.min()) <= 0:
        raise ValueError("a run took no time: the work is too short for the clock, give it a larger batch")
    ratios = a_samples / b_samples
    medians = _block_medians(ratios, np.random.default_rng(seed))
    lo, hi = np.percentile(medians, (2.5, 97.5))
    return Ratio(ratio=float(np.median(ratios)), interval=(float(lo), float(hi)))


def independent_ratio(a_samples: Float[np.ndarray, " n"], b_samples: Float[np.ndarray, " m"], seed: int = 0) -> Ratio:
    """Median of a over median of b, from two sessions, with a 95 % interval.

    Both are resampled in blocks as in `ratio_interval`. The interval knows the noise within the two sessions; a machine
    that was faster all through one of them is in no sample, and only a tolerance covers it.

    Args:
        a_samples, b_samples: milliseconds, in the order in which they were measured.
        seed: of the resampling.

    Raises:
        ValueError: no run, or a time that is not positive.
    """
    if min(len(a_samples), len(b_samples)) == 0 or min(a_samples.min(), b_samples.min()) <= 0:
        raise ValueError(f"{len(a_samples)} and {len(b_samples)} runs: a ratio needs at least one each, above 0 ms")
    rng = np.random.default_rng(seed)
    ratios = _block_medians(a_samples, rng) / _block_medians(b_samples, rng)
    lo, hi = np.percentile(ratios, (2.5, 97.5))
    return Ratio(ratio=float(np.median(a_samples) / np.median(b_samples)), interval=(float(lo), float(hi)))


def robust_spread(values: Float[np.ndarray, " n"]) -> float:
    """Standard deviation over median, from the median absolute deviation: a few outliers of any size move it little."""
    middle = float(np.median(values))
    return SIGMA * float(np.median(np.abs(values - middle))) / middle


def drift_of_others(turns: Float[np.ndarray, "subjects turns"]) -> Float[np.ndarray, "subjects turns"]:
    """How many times as long as usual the other subjects took in each turn (geometric mean); 1 where there is no other.

    Args:
        turns: time of each turn of each subject; turns of one column lie next to each other.
    """
    log = np.log(turns / np.median(turns, axis=1, keepdims=True))
    others = max(1, len(turns) - 1)
    return np.exp((log.sum(0) - log) / others)


def _block_medians(values: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Medians of `RESAMPLES` circular block resamples of `values`, (RESAMPLES,)."""
    n = len(values)
    block = math.ceil(n ** (1 / 3))
    blocks = np.lib.stride_tricks.sliding_window_view(np.concatenate([values, values[: block - 1]]), block)
    medians = []
    for _ in range(RESAMPLES // CHUNK):
        starts = rng.integers(n, size=(CHUNK, math.ceil(n / block)))
        ordered = np.sort(blocks[starts].reshape(CHUNK, -1)[:, :n], axis=1)  # vectorised, as np.median is not
        medians.append((ordered[:, (n - 1) // 2] + ordered[:, n // 2]) / 2)
    return np.concatenate(medians)
