"""Intervals and tests behind the tables: how sure is an accuracy, a difference?

Pure: numpy and the standard library, no files, no clock. Two networks are always compared on the same images
(`mcnemar`, `paired_difference`), never as two separate averages; what cannot be paired (records of two sessions,
`bench.gate`) has `independent_difference`. Ratios of times: `compress.timing.stats`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist, fmean, stdev

import numpy as np
from jaxtyping import Bool, Float


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
