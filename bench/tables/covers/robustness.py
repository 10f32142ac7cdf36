"""Rows of the tables of occlusion: every network's figures, and how they differ from those of a reference.

An excess is what a network lost behind a cover more than its reference did, on the same images: a difference of two
drops. The reference of a slim network is the unpruned one: an excess above zero is what slimming cost.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from bench.make.baselines import VARIANT
from bench.measure.stats import Mean, mean_over_images
from bench.records import Cell, Record
from bench.tables.covers.covered import PLACED, levels
from bench.tables.covers.looks import GROUPS, WORST, Looks, looks_of, same_test


@dataclass(frozen=True, kw_only=True, eq=False)
class Robustness:
    """One network, over all its seeds."""

    model: str
    ratio: float
    records: tuple[Record, ...]
    """One a seed."""
    looks: Looks
    reference: Looks | None
    """What it is compared with, of the same seeds; None for the reference itself, and where that was not measured."""

    @property
    def label(self) -> str:
        return "unpruned" if not self.ratio else f"{100 * self.ratio:.0f} %"

    @property
    def macs(self) -> int | None:
        """Of one image; None for a handcrafted baseline, whose features no counter counts."""
        return self.records[0].result["cost"].get("macs")

    @property
    def latency(self) -> Mapping[str, Mapping[str, Any]]:
        """Of this very network by batch size, of the lowest seed; empty where no table of ratios timed it."""
        return self.records[0].result.get("latency") or {}

    def accuracy(self, family: str, level: str) -> Mean:
        return self.mean_accuracy((family,), level)

    def mean_accuracy(self, families: Sequence[str], level: str) -> Mean:
        """Mean over `families` at one level, in percent."""
        return mean_over_images(self.looks.at(families, level))

    def area(self, group: str) -> Mean | None:
        """Under the accuracy-occlusion curve of the rectangles of `group`, in percent of the whole area."""
        families = self.looks.families(group)
        return mean_over_images(self.looks.area(families)) if families else None

    def drop(self, name: str) -> Mean | None:
        """Points lost behind the largest rectangle of a group ("seen", "unseen"), or behind a placed cover."""
        lost = _drop(self.looks, name)
        return None if lost is None else mean_over_images(lost)

    def excess(self, name: str) -> Mean | None:
        """`drop` of this network minus that of the reference, in points, on the same images."""
        ours, theirs = _drop(self.looks, name), self.reference and _drop(self.reference, name)
        return None if ours is None or theirs is None else mean_over_images(ours - theirs)

    def excess_area(self, group: str) -> Mean | None:
        """Area under the reference's curve that this one lacks, in points of accuracy, on the same images."""
        families = self.looks.families(group)
        if not families or self.reference is None:
            return None
        return mean_over_images(self.reference.area(families) - self.looks.area(families))


def robustness_of(records: Iterable[Record], models: Iterable[str], reference: str | None = None) -> list[Robustness]:
    """One row for each network of `models` that has a record, in their order, by the share removed.

    Args:
        reference: the network with which all others are compared; None: each is compared with itself unpruned.

    Raises:
        ValueError: networks that were not shown the same pictures.
    """
    groups: dict[tuple[str, float], list[Record]] = {}
    for record in sorted(records, key=lambda record: record.cell.seed):
        groups.setdefault((record.cell.model, record.cell.ratio), []).append(record)
    first = next(iter(groups.values()))[0] if groups else None
    for own in groups.values():
        same_test(own[0], first or own[0])
    return [
        Robustness(
            model=model,
            ratio=ratio,
            records=tuple(groups[model, ratio]),
            looks=looks_of(groups[model, ratio]),
            reference=_beside(groups[model, ratio], groups.get((reference or model, 0.0), [])),
        )
        for model in models
        for ratio in sorted(ratio for name, ratio in groups if name == model)
    ]


def _beside(own: Sequence[Record], theirs: Sequence[Record]) -> Looks | None:
    """What `own` is compared with: the reference's records of the same seeds, or all of them for a baseline, which has
    none. None for the reference itself, and where nothing is left."""
    if own is theirs:
        return None
    seeds = {record.cell.seed for record in own}
    alike = [one for one in theirs if one.cell.seed in seeds or own[0].cell.variant == VARIANT]
    return looks_of(alike) if alike else None


def cells_of(rows: Iterable[Robustness]) -> list[list[Cell]]:
    """The cells behind every row."""
    return [[record.cell for record in row.records] for row in rows]


def covers_of(rows: Iterable[Robustness]) -> list[str]:
    """Names that `Robustness.drop` knows: the groups of rectangles that were shown, then the placed covers."""
    looks = next((row.looks for row in rows), None)
    if looks is None:
        return []
    return [*(group for group in GROUPS if looks.families(group)), *looks.placed]


def sets_of(rows: Iterable[Robustness]) -> list[tuple[str, str]]:
    """(family, level) of every set that was shown, in the order of the table."""
    looks = next((row.looks for row in rows), None)
    shown = dict.fromkeys(family for family, _ in looks.behind) if looks else ()
    return [(family, level) for family in shown for level in levels(family)]


def _drop(looks: Looks, name: str) -> Float[np.ndarray, " n"] | None:
    if name in looks.placed:
        return looks.drop((name,), PLACED)
    families = looks.families(name)
    return looks.drop(families, WORST) if families else None
