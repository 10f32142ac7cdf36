"""The widths worth most within a time: a knapsack over layers whose time depends on two neighbours. Pure.

HALP (Shen et al. 2022) fills a knapsack with channels, each layer's time taken at its neighbours' present widths. Here
a layer's time is a table over (width read, width written), and because layers form chains, dynamic programming finds
the best of all combinations: best[w, t] is the largest worth of the layers so far when the last has width w and at most
t ticks are spent. A bisected price per millisecond would be no shorter and misses what lies off the convex hull.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

TICKS = 2000
"""The time of the costliest choice is divided into so many; times round up, by at most one tick a layer."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Item:
    """One choice: which of its options a layer takes. Items follow each other in the order of the network."""

    worth: Float[np.ndarray, " options"]
    own_ms: Float[np.ndarray, " options"]
    """Time that depends on this choice alone."""
    pair_ms: Float[np.ndarray, "before options"] | None = None
    """Time that depends on the choice of the item before and on this one; None: nothing is shared with it."""


def costliest_ms(items: Sequence[Item]) -> float:
    """An upper bound of the time of any choice."""
    return sum(float(np.max(item.own_ms)) + _largest(item.pair_ms) for item in items)


def time_ms(items: Sequence[Item], chosen: Sequence[int]) -> float:
    """Time of one choice: the sum of what its options take."""
    total = 0.0
    for position, item in enumerate(items):
        total += float(item.own_ms[chosen[position]])
        if item.pair_ms is not None:
            total += float(item.pair_ms[chosen[position - 1], chosen[position]])
    return total


def best_within(items: Sequence[Item], budget_ms: float, ticks: int = TICKS) -> list[int] | None:
    """The option of each item that together are worth most within `budget_ms`; None when nothing fits.

    Of equally worthy options the first is taken: list the quickest first. The worth never falls when the budget grows.
    """
    tick = (costliest_ms(items) or 1.0) / ticks
    limit = min(ticks + len(items), math.floor(budget_ms / tick))
    if limit < 0:
        return None
    worth = np.zeros((1, limit + 1))
    came_from = []
    for item in items:
        worth, before = _extended(worth, item, tick, limit)
        came_from.append(before)
    option = int(worth[:, limit].argmax())
    return _traced(items, came_from, option, limit, tick) if worth[option, limit] > -np.inf else None


def _extended(
    worth: Float[np.ndarray, "before ticks"], item: Item, tick: float, limit: int
) -> tuple[Float[np.ndarray, "options ticks"], Int[np.ndarray, "options ticks"]]:
    """`worth` with one item more, and for each of its options and times the best option of the item before."""
    ticks = _ticks(item, len(worth), tick)
    found = np.full((len(item.worth), limit + 1), -np.inf)
    before = np.zeros(found.shape, dtype=np.int32)
    for option, value in enumerate(item.worth):
        for source in range(len(worth)):
            spent = ticks[source, option]
            if spent > limit:
                continue
            reached = worth[source, : limit + 1 - spent] + value
            better = reached > found[option, spent:]
            found[option, spent:][better] = reached[better]
            before[option, spent:][better] = source
    return found, before


def _traced(items: Sequence[Item], came_from: Sequence[np.ndarray], option: int, left: int, tick: float) -> list[int]:
    chosen = []
    for position in reversed(range(len(items))):
        chosen.append(option)
        source = int(came_from[position][option, left])
        before = len(items[position - 1].worth) if position else 1
        left -= int(_ticks(items[position], before, tick)[source, option])
        option = source
    return chosen[::-1]


def _ticks(item: Item, before: int, tick: float) -> Int[np.ndarray, "before options"]:
    ms = np.broadcast_to(item.own_ms, (before, len(item.worth)))
    ms = ms if item.pair_ms is None else ms + item.pair_ms
    return np.ceil(ms / tick - 1e-9).astype(int)


def _largest(ms: np.ndarray | None) -> float:
    return 0.0 if ms is None else float(np.max(ms))
