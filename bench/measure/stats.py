"""Intervals and tests behind the tables: how sure is an accuracy, a difference, a speed-up?

Pure: numpy and the standard library, no files, no clock. Two networks are always compared on the same images
(`mcnemar`, `paired_difference`) or on runs that took turns (`ratio_interval`), never as two separate averages. What
cannot be paired (records of two sessions, `bench.gate`) has `independent_difference` and `independent_ratio`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist, fmean, stdev

import numpy as np
from jaxtyping import Bool, Float

RESAMPLES = 2000
"""Bootstrap resamples: the ends of a 95 % interval are then the 50th value from either end."""
CHUNK = 200
"""Resamples held in memory at a time."""


@dataclass(frozen=True, kw_only=True)
class McNemar:
    """Exact McNemar test of two classifiers on the same images."""

    b: int
    """Images that only the first got right."""
    c: int
    """Images that only the second got right."""
    p: float
    """Two-sided probability of a split at least this uneven if both were equally good."""


@dataclass(frozen=True, kw_only=True)
class Difference:
    """Difference of two accuracies, first minus second, in percentage points, with its interval."""

    points: float
    lo: float
    hi: float


@dataclass(frozen=True, kw_only=True)
class Mean:
    """Mean of a figure that every image has (a right answer, a loss of it), in percent or points, with its interval."""

    percent: float
    lo: float
    hi: float


@dataclass(frozen=True, kw_only=True)
class Ratio:
    """Ratio of two latencies: below 1 the first is faster."""

    ratio: float
    interval: tuple[float, float]
    """95 % interval of `ratio`."""


@dataclass(frozen=True, kw_only=True)
class Spread:
    """Mean and standard deviation over seeds."""

    mean: float
    sd: float | None
    """Sample standard deviation (n - 1); None for a single seed, which says nothing about spread."""
    n: int


def wilson(correct: int, n: int, level: float = 0.95) -> tuple[float, float]:
    """Score interval of a share, as shares 0 to 1.

    Source: Wilson 1927; the form without continuity correction, method 3 of Newcombe 1998 (Stat. Med. 17:857).

    Raises:
        ValueError: n is not positive, correct is outside 0 to n, or level is outside 0 to 1.
    """
    if n < 1 or not 0 <= correct <= n:
        raise ValueError(f"{correct} of {n}: an interval needs at least one image and 0 <= correct <= n")
    z2 = _quantile(level) ** 2
    share = correct / n
    centre = share + z2 / (2 * n)
    half = math.sqrt(z2 * (share * (1 - share) / n + z2 / (4 * n * n)))
    # rounding would leave 1e-17 instead of 0 at the ends, and an interval must contain its share
    lo = 0.0 if correct == 0 else (centre - half) / (1 + z2 / n)
    hi = 1.0 if correct == n else (centre + half) / (1 + z2 / n)
    return lo, hi


def mcnemar(a_correct: Bool[np.ndarray, " n"], b_correct: Bool[np.ndarray, " n"]) -> McNemar:
    """Exact two-sided McNemar test: are the images that only one of the two gets right split evenly?

    Binomial(b + c, 1/2), summed in integers, so large counts neither overflow nor round.

    Raises:
        ValueError: the two do not speak of the same number of images.
    """
    _, b, c, _ = _paired_table(a_correct, b_correct)
    return McNemar(b=b, c=c, p=_two_sided_half(min(b, c), b + c))


def paired_difference(
    a_correct: Bool[np.ndarray, " n"], b_correct: Bool[np.ndarray, " n"], level: float = 0.95
) -> Difference:
    """Accuracy of a minus accuracy of b on the same images, in percentage points, with an interval.

    Source: Newcombe 1998 (Stat. Med. 17:2635), method 10: the two Wilson intervals, squared and added with the
    continuity-corrected correlation of the two networks. Its width does not collapse when they agree everywhere.

    Raises:
        ValueError: the two do not speak of the same number of images, or there is none.
    """
    both, b, c, neither = _paired_table(a_correct, b_correct)
    n = both + b + c + neither
    share_a, share_b = (both + b) / n, (both + c) / n
    lo_a, hi_a = wilson(both + b, n, level)
    lo_b, hi_b = wilson(both + c, n, level)
    phi = _correlation(both, b, c, neither)
    below = _square_and_add(share_a - lo_a, hi_b - share_b, phi)
    above = _square_and_add(hi_a - share_a, share_b - lo_b, phi)
    delta = (b - c) / n
    return Difference(points=100 * delta, lo=100 * (delta - below), hi=100 * (delta + above))


def independent_difference(
    a_correct: Bool[np.ndarray, " n"], b_correct: Bool[np.ndarray, " m"], level: float = 0.95
) -> Difference:
    """Accuracy of a minus accuracy of b on different images, in percentage points, with an interval.

    Source: Newcombe 1998 (Stat. Med. 17:873), method 10: the two Wilson intervals, squared and added.

    Raises:
        ValueError: one of them speaks of no image.
    """
    (share_a, lo_a, hi_a), (share_b, lo_b, hi_b) = (
        (int(one.sum()) / max(1, len(one)), *wilson(int(one.sum()), len(one), level)) for one in (a_correct, b_correct)
    )
    delta = share_a - share_b
    below = _square_and_add(share_a - lo_a, hi_b - share_b, 0.0)
    above = _square_and_add(hi_a - share_a, share_b - lo_b, 0.0)
    return Difference(points=100 * delta, lo=100 * (delta - below), hi=100 * (delta + above))


def mean_over_images(values: Float[np.ndarray, " n"], level: float = 0.95) -> Mean:
    """Mean of `values`, one share an image, in percent, with the normal interval over images.

    For figures that are sums of answers to the same images under several conditions: an area under a curve, a drop, the
    difference of two drops. Pairs stay paired, because the sum is taken image by image before the interval.

    Raises:
        ValueError: fewer than two images.
    """
    if len(values) < 2:
        raise ValueError(f"{len(values)} images: an interval of a mean needs at least two")
    mean = float(np.mean(values))
    half = _quantile(level) * float(np.std(values, ddof=1)) / math.sqrt(len(values))
    return Mean(percent=100 * mean, lo=100 * (mean - half), hi=100 * (mean + half))


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


def spread(values: Sequence[float]) -> Spread:
    """Mean and standard deviation of one figure over seeds, in the figure's unit.

    Raises:
        ValueError: no value.
    """
    if not values:
        raise ValueError("no value to average: measure at least one seed")
    return Spread(mean=fmean(values), sd=stdev(values) if len(values) > 1 else None, n=len(values))


def _quantile(level: float) -> float:
    if not 0 < level < 1:
        raise ValueError(f"level={level}: give a share between 0 and 1, such as 0.95")
    return NormalDist().inv_cdf((1 + level) / 2)


def _paired_table(a_correct: np.ndarray, b_correct: np.ndarray) -> tuple[int, int, int, int]:
    """Counts (both right, only a, only b, neither)."""
    if len(a_correct) != len(b_correct) or len(a_correct) == 0:
        raise ValueError(f"{len(a_correct)} and {len(b_correct)} images: a pair is compared on the same ones")
    both = int(np.sum(a_correct & b_correct))
    only_a = int(np.sum(a_correct & ~b_correct))
    only_b = int(np.sum(~a_correct & b_correct))
    return both, only_a, only_b, len(a_correct) - both - only_a - only_b


def _two_sided_half(k: int, n: int) -> float:
    """Twice P(X <= k) for X ~ Binomial(n, 1/2), at most 1."""
    term = total = 1
    for i in range(k):
        term = term * (n - i) // (i + 1)
        total += term
    return min(1.0, 2 * total / 2**n)


def _correlation(both: int, only_a: int, only_b: int, neither: int) -> float:
    """Phi of the paired table, pulled towards 0 by n / 2 when positive (Newcombe 1998, method 10)."""
    n = both + only_a + only_b + neither
    a, b = both + only_a, both + only_b
    margins = a * (n - a) * b * (n - b)
    if margins == 0:
        return 0.0
    numerator = both * neither - only_a * only_b
    if numerator > 0:
        numerator = max(numerator - n / 2, 0.0)
    return numerator / math.sqrt(margins)


def _square_and_add(x: float, y: float, phi: float) -> float:
    return math.sqrt(max(0.0, x * x - 2 * phi * x * y + y * y))


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
