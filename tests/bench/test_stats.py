import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.measure.stats import (
    independent_difference,
    mcnemar,
    paired_difference,
    spread,
    wilson,
)
from compress.timing.stats import independent_ratio, ratio_interval


def pair(both: int, only_a: int, only_b: int, neither: int) -> tuple[np.ndarray, np.ndarray]:
    counts = (both, only_a, only_b, neither)
    return np.repeat([True, True, False, False], counts), np.repeat([True, False, True, False], counts)


@pytest.mark.parametrize(
    ("correct", "n", "lo", "hi"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_gives_the_values_printed_by_newcombe_1998(correct: int, n: int, lo: float, hi: float) -> None:
    assert wilson(correct, n) == pytest.approx((lo, hi), abs=5e-5)


@given(st.integers(1, 5000), st.data())
def test_wilson_ends_solve_the_score_equation(n: int, data: st.DataObject) -> None:
    correct = data.draw(st.integers(0, n))
    share, z = correct / n, 1.959963984540054
    lo, hi = wilson(correct, n)
    assert 0 <= lo <= share <= hi <= 1
    for end in (lo, hi):
        assert (share - end) ** 2 == pytest.approx(z**2 * end * (1 - end) / n, abs=1e-12)


def test_wilson_is_mirrored_and_grows_with_the_level() -> None:
    lo, hi = wilson(30, 100)
    assert wilson(70, 100) == pytest.approx((1 - hi, 1 - lo))
    wide = wilson(30, 100, level=0.99)
    assert wide[0] < lo < hi < wide[1]


@pytest.mark.parametrize(("correct", "n", "level"), [(0, 0, 0.95), (5, 4, 0.95), (-1, 4, 0.95), (1, 4, 95.0)])
def test_wilson_refuses_what_is_no_share(correct: int, n: int, level: float) -> None:
    with pytest.raises(ValueError, match=r"image|level"):
        wilson(correct, n, level)


@given(st.integers(0, 60), st.integers(0, 60))
def test_mcnemar_is_the_binomial_sum(b: int, c: int) -> None:
    n = b + c
    tail = sum(Fraction(math.comb(n, i), 2**n) for i in range(n + 1) if i <= min(b, c))
    result = mcnemar(*pair(7, b, c, 3))
    assert (result.b, result.c) == (b, c)
    assert result.p == float(min(Fraction(1), 2 * tail))


def test_mcnemar_with_counts_beyond_float_range() -> None:
    # 2**20000 is no float; the normal approximation with continuity is close at this size
    p = mcnemar(*pair(0, 10150, 9850, 0)).p
    z = (300 - 1) / math.sqrt(20000)
    assert p == pytest.approx(math.erfc(z / math.sqrt(2)), rel=1e-3)


def test_mcnemar_of_the_airway_example_of_fagerland_2013() -> None:
    assert mcnemar(*pair(1, 1, 7, 12)).p == pytest.approx(0.0703, abs=5e-5)


def test_paired_difference_gives_the_published_interval() -> None:
    # Fagerland, Lydersen and Laake 2014, airway data, Newcombe's method 10: -0.286 (-0.507 to -0.026)
    difference = paired_difference(*pair(1, 1, 7, 12))
    assert (difference.points, difference.lo, difference.hi) == pytest.approx((-28.6, -50.7, -2.6), abs=0.05)


def test_paired_difference_of_a_network_with_itself_is_zero_and_has_width() -> None:
    same, _ = pair(2500, 0, 0, 1000)
    difference = paired_difference(same, same)
    assert difference.points == 0
    assert difference.lo == pytest.approx(-difference.hi)
    assert 0 < difference.hi < 0.2
    always = paired_difference(np.ones(30, bool), np.ones(30, bool))
    assert always.lo < 0 < always.hi


def test_paired_difference_turns_its_sign_with_the_order() -> None:
    a, b = pair(700, 90, 60, 150)
    one, other = paired_difference(a, b), paired_difference(b, a)
    assert (one.points, one.lo, one.hi) == pytest.approx((-other.points, -other.hi, -other.lo))


def test_paired_difference_covers_the_truth() -> None:
    rng = np.random.default_rng(3)
    covered = 0
    for _ in range(400):
        draw = rng.choice(4, size=200, p=[0.6, 0.12, 0.08, 0.2])
        difference = paired_difference((draw == 0) | (draw == 1), (draw == 0) | (draw == 2))
        covered += difference.lo <= 4.0 <= difference.hi
    assert covered >= 0.93 * 400


def test_paired_figures_refuse_other_images() -> None:
    # with shape checks on, jaxtyping refuses first
    for test in (mcnemar, paired_difference):
        with pytest.raises((ValueError, TypeError), match=r"same|Type-check"):
            test(np.ones(3, bool), np.ones(4, bool))


def test_ratio_interval_sees_through_a_drift_that_both_share() -> None:
    rng = np.random.default_rng(0)
    drift = np.linspace(1, 3, 300)  # the machine slows down threefold meanwhile
    dense = 10 * drift * rng.normal(1, 0.01, 300)
    slim = 4 * drift * rng.normal(1, 0.01, 300)
    ratio = ratio_interval(slim, dense)
    assert ratio.interval[0] < 0.4 < ratio.interval[1]
    assert ratio.interval[1] - ratio.interval[0] < 0.005


def test_ratio_interval_is_exact_without_noise_and_repeats_with_its_seed() -> None:
    ones = np.full(100, 3.0)
    exact = ratio_interval(ones, 2 * ones)
    assert (exact.ratio, exact.interval) == (0.5, (0.5, 0.5))
    noisy = ones * np.random.default_rng(1).gamma(9, size=100)
    assert ratio_interval(noisy, ones, seed=5) == ratio_interval(noisy, ones, seed=5)
    assert ratio_interval(noisy, ones, seed=5).interval != ratio_interval(noisy, ones, seed=6).interval


def test_ratio_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(7)
    hits = 0
    for _ in range(100):
        a, b = rng.lognormal(0.0, 0.2, 100), rng.lognormal(0.0, 0.2, 100)
        lo, hi = ratio_interval(a, b).interval
        hits += lo <= 1 <= hi
    assert hits >= 87  # 95 expected, sd 2.2; the percentile bootstrap of a median is a little short


def test_ratio_interval_widens_when_disturbances_come_in_bursts() -> None:
    rng = np.random.default_rng(2)
    calm = rng.lognormal(0, 0.1, 400)
    bursts = np.repeat(rng.lognormal(0, 0.1, 50), 8)  # the same spread, eight rounds at a time
    ones = np.ones(400)
    widths = [np.ptp(ratio_interval(values, ones).interval) for values in (calm, bursts)]
    assert widths[1] > 1.5 * widths[0]


@pytest.mark.parametrize(("a", "b"), [([], []), ([1.0], [1.0, 2.0]), ([1.0, 0.0], [1.0, 1.0])])
def test_ratio_interval_refuses_what_is_not_paired(a: list[float], b: list[float]) -> None:
    with pytest.raises((ValueError, TypeError), match=r"rounds|no time|Type-check"):
        ratio_interval(np.array(a), np.array(b))


def test_independent_difference_by_the_published_example() -> None:
    """Newcombe 1998 (Stat. Med. 17:873), table II, example (a): 56/70 against 48/80, method 10: 0.0524 to 0.3339."""
    found = independent_difference(np.arange(70) < 56, np.arange(80) < 48)
    assert found.points == pytest.approx(20.0)
    assert (found.lo, found.hi) == pytest.approx((5.24, 33.39), abs=0.005)
    back = independent_difference(np.arange(80) < 48, np.arange(70) < 56)
    assert (back.points, back.lo, back.hi) == pytest.approx((-found.points, -found.hi, -found.lo))
    with pytest.raises(ValueError, match="at least one image"):
        independent_difference(np.zeros(0, bool), np.zeros(3, bool))


def test_independent_ratio_needs_no_pairs_and_knows_the_noise_of_both() -> None:
    rng = np.random.default_rng(0)
    still, other = np.full(50, 3.0), np.full(70, 2.0)
    exact = independent_ratio(still, other)
    assert (exact.ratio, exact.interval) == (1.5, (1.5, 1.5))
    a, b = 12 * rng.normal(1, 0.05, 300), 10 * rng.normal(1, 0.05, 400)
    found = independent_ratio(a, b)
    assert found.interval[0] < 1.2 < found.interval[1]
    # the standard error of a median is about 1.2533 sd / sqrt(n)
    expected = 1.2 * 2 * 1.96 * 1.2533 * 0.05 * (1 / 300 + 1 / 400) ** 0.5
    assert np.ptp(found.interval) == pytest.approx(expected, rel=0.25)
    assert independent_ratio(a, b, seed=5) == independent_ratio(a, b, seed=5)
    with pytest.raises(ValueError, match="at least one each"):
        independent_ratio(a, np.zeros(0))
    with pytest.raises(ValueError, match="above 0 ms"):
        independent_ratio(a, np.zeros(3))


@settings(max_examples=30)
@given(st.lists(st.floats(-1, 1), min_size=2, max_size=8), st.floats(-1, 1))
def test_spread_moves_with_its_values(values: list[float], shift: float) -> None:
    here, there = spread(values), spread([value + shift for value in values])
    assert there.mean == pytest.approx(here.mean + shift, abs=1e-9)
    assert there.sd == pytest.approx(here.sd, abs=1e-9)


def test_spread_by_hand_and_of_one_seed() -> None:
    assert spread([2.0, 4.0, 6.0]).sd == 2.0
    assert spread([0.7]).sd is None
    with pytest.raises(ValueError, match="at least one"):
        spread([])
