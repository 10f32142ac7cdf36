"""From the answers behind occluders to curves, areas and drops, image by image. Pure.

One thing to know: over several seeds an image's answer is the share of seeds that name it rightly, so an interval is
over images, for these seeds; and every figure is a sum for each image before its interval is taken, so it is paired.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from bench.measure.accuracy import from_digits
from bench.records import Record
from bench.tables.covers.covered import PLACED, kind, levels
from fermodels.faces.occlude import LEVELS, OCCLUDERS, RECTANGLES

WORST = f"{100 * LEVELS[-1]:.0f}"
"""Name of the largest share, percent of the face."""
GROUPS = ("seen", "unseen")
"""What a rectangle's curve is called, by `bench.tables.covers.covered.kind`."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Looks:
    """What one network got right, over all its seeds; every array is (n,), one share an image in [0, 1]."""

    bare: Float[np.ndarray, " n"]
    behind: Mapping[tuple[str, str], Float[np.ndarray, " n"]]
    """By (family, level) of `bench.tables.covers.covered`."""

    def families(self, group: str) -> tuple[str, ...]:
        """The rectangles of a group ("seen", "unseen") that were shown, in their order."""
        shown = dict.fromkeys(family for family, _ in self.behind)
        return tuple(family for family in shown if family in RECTANGLES and kind(family) == group)

    @property
    def placed(self) -> tuple[str, ...]:
        """The covers that were shown in the one size that the face gives them."""
        return tuple(family for family, level in self.behind if level == PLACED)

    def along(self, families: Sequence[str]) -> tuple[str, ...]:
        """The levels of a curve of `families`, from the bare face on."""
        return ("0", *levels(families[0]))

    def at(self, families: Sequence[str], level: str) -> Float[np.ndarray, " n"]:
        """Mean over `families` at one level; "0" is the bare face."""
        if level == "0":
            return self.bare
        return np.mean([self.behind[family, level] for family in families], axis=0)

    def area(self, families: Sequence[str]) -> Float[np.ndarray, " n"]:
        """Area under the curve from 0 to the largest share by trapezoids, as a share of the whole area."""
        curve = [self.at(families, level) for level in self.along(families)]
        return np.asarray(np.trapezoid(curve, LEVELS, axis=0)) / (LEVELS[-1] - LEVELS[0])

    def drop(self, families: Sequence[str], level: str = WORST) -> Float[np.ndarray, " n"]:
        """What the bare face got more than the one covered at `level`."""
        return self.bare - self.at(families, level)


def looks_of(records: Sequence[Record]) -> Looks:
    """The records of one network, one for each seed.

    Raises:
        ValueError: they do not speak of the same test split and the same covers.
    """
    for other in records[1:]:
        same_test(records[0], other)
    shown = records[0].result["occluded"]
    sets = [(family, level) for family in OCCLUDERS if family in shown for level in levels(family)]
    return Looks(
        bare=np.mean([_right(record, record.result["bare"]) for record in records], axis=0),
        behind={
            (family, level): np.mean(
                [_right(record, record.result["occluded"][family][level]) for record in records], axis=0
            )
            for family, level in sets
        },
    )


def same_test(record: Record, other: Record) -> None:
    """Passes when both looked at the same pictures.

    Raises:
        ValueError: other images, or other covers.
    """
    if _shown(record) != _shown(other):
        raise ValueError(
            f"records {record.cell.id} and {other.cell.id} were measured on different test splits or covers; "
            "delete the older one and run bench.report again"
        )


def _shown(record: Record) -> tuple[object, ...]:
    result = record.result
    return result["data"]["truth"], result["covers"], result["covered"]


def _right(record: Record, answers: str) -> Float[np.ndarray, " n"]:
    truth = from_digits(record.result["data"]["truth"])
    if len(answers) != len(truth):
        raise ValueError(
            f"record {record.cell.id} has {len(answers)} answers for {len(truth)} test labels; delete it and run "
            "bench.report again"
        )
    return (from_digits(answers) == truth).astype(np.float64)
