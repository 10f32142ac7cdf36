"""The test split behind every occluder of a table, made once and shared by all networks that look at it.

A set is a family of `fermodels.faces.occlude.OCCLUDERS` and, for rectangles, a share; covers whose size the face gives
(masks, glasses, hands) have one set without a share.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from bench.make.recipes import say
from bench.make.stages import Job
from fermodels.data.base import Split
from fermodels.faces.covered_split import PICTURES, CoveredSplit, covered_split, pictures_beside
from fermodels.faces.occlude import LEVELS, RECTANGLES, SEEN, Occluder

SEED = 0
"""Of all covers: every network looks at the same pictures, whatever seed it was trained with."""
PLACED = "placed"
"""Stands for the share where the face gives the size."""
HELD = 64
"""Covered sets kept in memory: all of one table (FER2013's 3,589 faces at 64 px are 26 MB a set)."""


def levels(family: str) -> tuple[str, ...]:
    """The sets of `family` by name: percent of the face, or `PLACED`; the bare faces are no set of it."""
    return tuple(f"{100 * share:.0f}" for share in LEVELS[1:]) if family in RECTANGLES else (PLACED,)


def kind(family: str) -> str:
    """Whether occlusion-aware training may show this occluder to a network."""
    return "seen" if family in SEEN else "unseen"


@dataclass(frozen=True, kw_only=True)
class _Wanted:
    """One set; two of the same digest are the same set."""

    fingerprint: str
    size: int
    family: str
    level: str
    split: Split = field(compare=False)
    pictures: Path | None = field(compare=False)


def covered_sets(job: Job, families: Sequence[str]) -> Iterator[tuple[str, str, CoveredSplit]]:
    """(family, level, set) of every set of `families` that can be made; `lacking` names the others.

    Raises:
        ValueError: the job averages several crops: only the centre crop is covered by an exact share.
    """
    if job.crops != "centre":
        raise ValueError(f'crops="{job.crops}": covered shares are exact at the centre crop only; leave --crops out')
    place: dict[str, Any] = {"fingerprint": job.fingerprint, "size": job.preprocessing.size}
    place |= {"split": job.data.test, "pictures": pictures_beside(job.data.spec)}
    without = lacking(job, families)
    for family in (family for family in families if family not in without):
        for level in levels(family):
            yield family, level, _made(_Wanted(**place, family=family, level=level))


def lacking(job: Job, families: Sequence[str]) -> Mapping[str, str]:
    """Family -> why it cannot be shown on this data set."""
    if "picture" not in families or pictures_beside(job.data.spec) is not None:
        return {}
    return {"picture": f"no mask pictures: put MaskTheFace's in a folder \"{PICTURES}\" beside the data set's file"}


@lru_cache(maxsize=HELD)
def _made(wanted: _Wanted) -> CoveredSplit:
    say(f"covering {len(wanted.split):,} test faces: {wanted.family} {wanted.level}")
    share = 0.0 if wanted.level == PLACED else float(wanted.level) / 100
    occluder = Occluder(name=wanted.family, share=share, seed=SEED, pictures=wanted.pictures)
    return covered_split(wanted.split, occluder, size=wanted.size)
