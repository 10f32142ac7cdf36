"""Widths for a number of milliseconds: choose by the table of layers, measure the network, correct, choose again.

The table's sum and the measured time differ by a bias that changes slowly with the widths. The whole and the narrowest
network are measured first: they are the two ends of what can be reached, and of a line from measured to summed time
that says how much sum a target may spend. Each network tried bends the line where it was wrong.

Worth is the share of each group's squared scores that it keeps, summed over groups. The square of |gamma| is the
variance that a channel sends on, so this is the share of a layer's signal that survives. HALP (Shen et al. 2022) sums
scores over all layers alike; with gammas that empties costly early layers, whose few channels all matter.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from torch import Tensor

from compress.slimming.knapsack import Item, best_within, time_ms
from compress.slimming.latency_table import LatencyTable, Options, fans
from compress.slimming.layers import Layer, layers_of
from compress.slimming.select import Kept, allowed_widths, check, order_of
from compress.slimming.targets import Subject

TOLERANCE = 0.05
"""How far the measured time may be from the target, as a share of it."""
CLOSE = 0.02
"""Near enough to stop at once; what is further than this, and within the tolerance, is tried to be bettered."""
ROUNDS = 10


@dataclass(frozen=True, kw_only=True)
class Timed:
    """A choice of channels and its measured time."""

    kept: Kept
    ms: float
    ms_before: float
    """Of the whole network."""
    provenance: dict[str, Any]


def select_for_ms(subject: Subject, target_ms: float, table: LatencyTable) -> Timed:
    """The channels worth most among networks that take `target_ms`, within `TOLERANCE` as measured.

    Raises:
        ValueError: a target below the narrowest network's time or above the whole one's, or between two networks
            that no width lies between; settings and scores as for `select`.
    """
    scores = subject.scores
    check(scores, subject.align)
    options = {name: allowed_widths(len(values), subject.floor, subject.align)[::-1] for name, values in scores.items()}
    whole_ms, narrowest_ms = _ends(subject, options, target_ms, table)
    layers = layers_of(subject.net, subject.groups)
    table.measure(layers, options)
    items = items_of(layers, scores, options, table)
    narrowest, whole = [0] * len(items), [len(item.worth) - 1 for item in items]
    points = [(narrowest_ms, time_ms(items, narrowest)), (whole_ms, time_ms(items, whole))]
    budget = _sum_for(target_ms, points)
    found: list[Timed] = []
    for _ in range(ROUNDS):
        chosen = best_within(items, budget) or narrowest
        kept = kept_of(scores, {name: options[name][option] for name, option in zip(scores, chosen, strict=True)})
        again = next((one for one in found if one.kept == kept), None)
        if again is not None:  # the line was bent by a disturbed measurement
            budget *= target_ms / again.ms
            continue
        ms = table.network_ms(subject.trial(kept), beside=subject.net)
        found.append(Timed(kept=kept, ms=ms, ms_before=whole_ms, provenance=table.provenance))
        if abs(ms - target_ms) <= CLOSE * target_ms:
            break
        points.append((ms, time_ms(items, chosen)))
        budget = _sum_for(target_ms, points)
    return _nearest(found, target_ms)


def _sum_for(target_ms: float, points: Sequence[tuple[float, float]]) -> float:
    """The sum over layers that a network of `target_ms` should have, by the line through (measured, sum) `points`."""
    measured, sums = np.array(sorted(points)).T
    return float(np.interp(target_ms, measured, np.maximum.accumulate(sums)))


def _ends(subject: Subject, options: Options, target_ms: float, table: LatencyTable) -> tuple[float, float]:
    """Measured times of the whole and of the narrowest network, when the target lies between them."""
    whole_ms = table.network_ms(subject.net)
    if target_ms > whole_ms * (1 + TOLERANCE):
        raise ValueError(f"target_ms={target_ms:g}: the whole network takes {whole_ms:.3g} ms already; ask for less")
    narrowest = kept_of(subject.scores, {name: widths[0] for name, widths in options.items()})
    narrowest_ms = table.network_ms(subject.trial(narrowest), beside=subject.net)
    if target_ms < narrowest_ms * (1 - TOLERANCE):
        raise ValueError(
            f"target_ms={target_ms:g}: with {subject.floor} and align={subject.align} the narrowest network takes "
            f"{narrowest_ms:.3g} ms; ask for more, or lower the floor"
        )
    return whole_ms, narrowest_ms


def items_of(
    layers: Sequence[Layer], scores: Mapping[str, Tensor], options: Options, table: LatencyTable
) -> list[Item]:
    """One item a group, in the order of `scores`: its worth at each width, and the times of layers that touch it."""
    own = {name: np.zeros(len(options[name])) for name in scores}
    pair: dict[str, np.ndarray] = {}
    for layer in layers:
        ms = table.layer_ms(layer, *fans(layer, options))
        if layer.reads is None and layer.writes is not None:
            own[layer.writes] += ms[0]
        elif layer.writes is None and layer.reads is not None:
            own[layer.reads] += ms[:, 0]
        elif layer.writes is not None:
            pair[layer.writes] = ms
    return [Item(worth=worth(scores[name], options[name]), own_ms=own[name], pair_ms=pair.get(name)) for name in scores]


def worth(values: Float[Tensor, " channels"], widths: Sequence[int]) -> Float[np.ndarray, " widths"]:
    """Share of the group's squared scores that its best channels keep, at each of `widths`."""
    squares = np.sort(values.double().cpu().numpy() ** 2)[::-1]
    kept = np.concatenate([[0.0], np.cumsum(squares)])
    return kept[list(widths)] / (kept[-1] or 1.0)


def kept_of(scores: Mapping[str, Tensor], widths: Mapping[str, int]) -> Kept:
    """The channels with the highest scores, as many in each group as `widths` says."""
    return {name: tuple(sorted(order_of(values)[len(values) - widths[name] :])) for name, values in scores.items()}


def _nearest(found: Sequence[Timed], target_ms: float) -> Timed:
    best = min(found, key=lambda one: abs(one.ms - target_ms))
    if abs(best.ms - target_ms) > TOLERANCE * target_ms:
        tried = ", ".join(f"{one.ms:.3g}" for one in sorted(found, key=lambda one: one.ms))
        raise ValueError(
            f"target_ms={target_ms:g}: the networks nearest to it take {tried} ms, none within {TOLERANCE:.0%}; ask "
            "for one of these, lower align, or measure on a quieter machine"
        )
    return best
