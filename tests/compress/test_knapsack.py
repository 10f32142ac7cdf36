"""The knapsack against every combination, and the laws of its budget."""

from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compress.slimming.knapsack import Item, best_within, costliest_ms, time_ms

SETTINGS = settings(max_examples=25, deadline=None, derandomize=True)


def chain(sizes, seed, parted=()):
    """Random items; times are whole milliseconds, so that one tick a millisecond loses nothing."""
    generator = np.random.default_rng(seed)
    items = []
    for position, size in enumerate(sizes):
        linked = position > 0 and position not in parted
        pair = generator.integers(1, 9, (sizes[position - 1], size)).astype(float) if linked else None
        worth, own = generator.random(size).cumsum(), generator.integers(0, 5, size).astype(float)
        items.append(Item(worth=worth, own_ms=own, pair_ms=pair))
    return items


def total_ms(items, chosen):
    """Written out: each item's own time, and its time with the choice before it."""
    ms = 0.0
    for i, option in enumerate(chosen):
        ms += items[i].own_ms[option]
        pair = items[i].pair_ms
        if pair is not None:
            ms += pair[chosen[i - 1]][option]
    return ms


def total_worth(items, chosen):
    return sum(item.worth[option] for item, option in zip(items, chosen, strict=True))


def brute_force(items, budget):
    """The largest worth that fits, over all combinations; None when none fits."""
    choices = product(*(range(len(item.worth)) for item in items))
    return max((total_worth(items, chosen) for chosen in choices if total_ms(items, chosen) <= budget), default=None)


sizes = st.lists(st.integers(1, 4), min_size=1, max_size=5)


@SETTINGS
@given(sizes, st.integers(0, 10_000), st.integers(0, 40), st.booleans())
def test_it_is_the_best_of_all_combinations(lengths, seed, budget, parted):
    items = chain(lengths, seed, parted={2} if parted else ())
    expected = brute_force(items, budget)
    chosen = best_within(items, budget, ticks=max(1, round(costliest_ms(items))))
    if expected is None:
        assert chosen is None
    else:
        assert chosen is not None and total_ms(items, chosen) <= budget
        assert total_worth(items, chosen) == pytest.approx(expected)


@SETTINGS
@given(sizes, st.integers(0, 10_000), st.floats(0.05, 1.2))
def test_a_coarse_clock_never_exceeds_the_budget(lengths, seed, share):
    items = chain(lengths, seed)
    budget = share * costliest_ms(items)
    chosen = best_within(items, budget, ticks=37)
    assert chosen is None or total_ms(items, chosen) <= budget * (1 + 1e-6)


@SETTINGS
@given(sizes, st.integers(0, 10_000))
def test_a_larger_budget_is_never_worth_less(lengths, seed):
    items = chain(lengths, seed)
    worths = []
    for share in np.linspace(0, 1.1, 7):
        chosen = best_within(items, share * costliest_ms(items), ticks=50)
        worths.append(-1.0 if chosen is None else total_worth(items, chosen))
    assert all(more >= less - 1e-12 for less, more in pairwise(worths))
    assert worths[-1] == pytest.approx(sum(item.worth[-1] for item in items))


@SETTINGS
@given(sizes, st.integers(0, 10_000))
def test_time_is_the_sum_of_its_parts(lengths, seed):
    items = chain(lengths, seed)
    chosen = [len(item.worth) - 1 for item in items]
    assert time_ms(items, chosen) == pytest.approx(total_ms(items, chosen))


def test_of_equal_worth_the_quickest_is_taken():
    item = Item(worth=np.array([1.0, 1.0, 1.0]), own_ms=np.array([1.0, 2.0, 3.0]))
    assert best_within([item, item], 6.0) == [0, 0]
