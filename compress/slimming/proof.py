"""The law of slimming: silencing channels and cutting them give the same answer, up to the order of sums.

It is held twice: here for half the channels of every group before anything is chosen, so that what the dependency graph
misread stays whole and is named; and again for the cut that is returned (see `surgery`).

What is multiplied by zero proves nothing: the proof here gives random values to every parameter that is zero as a
whole, like the last gammas of residual blocks before training.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

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
        ValueError: the network answers with NaN or infinite values, or the same inputs with something else.
    """
    noise = specimen.noise(1)
    _steady(specimen.answer(specimen.net, noise), specimen.answer(specimen.net, noise))
    good = _proved(specimen, noise, list(groups))
    if len(good) < len(groups) and not _holds(specimen, noise, good):
        good = [group for position, group in enumerate(good) if _holds(specimen, noise, good[: position + 1])]
    names = {group.name for group in good}
    return good, {conv: UNPROVED for group in groups if group.name not in names for conv in group.convs}


def holds(
    specimen: Specimen, net: nn.Module, noise: tuple[Tensor, ...], groups: Sequence[ChannelGroup], removed: Removed
) -> bool:
    """Whether `net`, a copy of the specimen's, answers `noise` alike when channels are silenced and when they are cut.

    `net` has lost the channels then.
    """
    silence(net, groups, removed, beta=True)
    silenced = specimen.answer(net, noise)
    try:
        cut(net, groups, removed)
        return same(silenced, specimen.answer(net, noise))
    except Exception:  # a network that was cut wrongly fails in many ways
        return False


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
    """The law for a random half of the channels of `groups`: an odd number, which no swap in pairs leaves as it is."""
    chance = torch.Generator().manual_seed(0)
    odd = {group.name: (group.size // 2 - 1) | 1 for group in groups}
    removed = {group.name: torch.randperm(group.size, generator=chance)[: odd[group.name]] for group in groups}
    twin = specimen.twin()
    _enliven(twin, chance)
    return holds(specimen, twin, noise, groups, removed)


def _enliven(twin: nn.Module, chance: torch.Generator) -> None:
    """Gives `twin` new parameters, from -1/2 to 1/2, in place of those that are zero as a whole."""
    for module in twin.modules():
        for name, weight in list(module.named_parameters(recurse=False)):
            if weight.is_floating_point() and not bool(weight.any()):
                values = torch.rand(weight.shape, generator=chance) - 0.5
                setattr(module, name, nn.Parameter(values.to(weight), weight.requires_grad))


def _steady(answer: Tensor, again: Tensor) -> None:
    if not bool(torch.isfinite(answer).all()):
        raise ValueError(
            "the network answers random inputs with NaN or infinite values, so that no cut of it can be proved: are "
            "its weights sound, and were the statistics of its batch norms measured?"
        )
    if not same(answer, again):
        raise ValueError(
            "the network answers the same inputs differently when asked again, so that no cut of it can be proved: "
            "take chance (dropout in evaluation) and memory out of forward"
        )
