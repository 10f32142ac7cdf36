"""The law of slimming: silencing channels and cutting them give the same answer, up to the order of sums.

It is held twice: here for half the channels of every group before anything is chosen, so that what the dependency graph
misread stays whole and is named; and again for the cut that is returned (see `surgery`).
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from compress.slimming.absorb import Removed, silence
from compress.slimming.cut import cut
from compress.slimming.groups import ChannelGroup
from compress.slimming.specimen import Specimen

SPREAD_TOLERANCE, SIZE_TOLERANCE = 1e-3, 1e-5
"""How much the answers may differ: as a share of the answer's spread, plus one of its size for float32 rounding."""
UNPROVED = (
    "cutting it is not the same as silencing it: a reshape or shuffle across channels, a layer used at several places, "
    "something that depends on the number of channels, or an activation that is not 0 at 0"
)


def proved(specimen: Specimen, groups: Sequence[ChannelGroup]) -> tuple[list[ChannelGroup], dict[str, str]]:
    """Those of `groups` whose cut is proved, and for the convolutions of the others the reason why they stay whole.

    Raises:
        ValueError: the network does not take its example, or answers it with NaN or infinite values.
    """
    noise = specimen.noise(1)
    _finite(specimen.answer(specimen.net, noise))
    good = _proved(specimen, noise, list(groups))
    if len(good) < len(groups) and not _holds(specimen, noise, good):
        good = [group for position, group in enumerate(good) if _holds(specimen, noise, good[: position + 1])]
    names = {group.name for group in good}
    return good, {conv: UNPROVED for group in groups if group.name not in names for conv in group.convs}


def same(silenced: Tensor, after: Tensor) -> bool:
    """Whether the answers of the silenced and of the cut network are one."""
    if silenced.shape != after.shape:
        return False
    spread, size = float(silenced.std(correction=0)), float(silenced.abs().max())
    return bool((silenced - after).abs().max() <= SPREAD_TOLERANCE * spread + SIZE_TOLERANCE * size)


def _proved(specimen: Specimen, noise: tuple[Tensor, ...], groups: list[ChannelGroup]) -> list[ChannelGroup]:
    """Halved until what does not hold is found."""
    if not groups or _holds(specimen, noise, groups):
        return groups
    half = len(groups) // 2
    return [] if not half else _proved(specimen, noise, groups[:half]) + _proved(specimen, noise, groups[half:])


def _holds(specimen: Specimen, noise: tuple[Tensor, ...], groups: Sequence[ChannelGroup]) -> bool:
    """The law for every second channel of `groups`."""
    twin = specimen.twin()
    removed: Removed = {group.name: torch.arange(0, group.size - 1, 2) for group in groups}
    silence(twin, groups, removed, beta=True)
    silenced = specimen.answer(twin, noise)
    try:
        cut(twin, groups, removed)
        return same(silenced, specimen.answer(twin, noise))
    except Exception:  # a network that was cut wrongly fails in many ways
        return False


def _finite(answer: Tensor) -> None:
    if not bool(torch.isfinite(answer).all()):
        raise ValueError(
            "the network answers random inputs with NaN or infinite values, so that no cut of it can be proved: are "
            "its weights sound, and were the statistics of its batch norms measured?"
        )
