"""What a network of other widths would be and cost, counted without its weights."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn

import fermodels
from compress.cost import macs_by_positions, params, positions
from compress.inputs import Example
from compress.slimming.groups import ChannelGroup
from compress.slimming.select import Widths


def trunk_widths(net: Any, groups: Sequence[ChannelGroup], widths: Widths) -> dict[str, tuple[int, ...]]:
    """The setting `widths` of `fermodels.rebuild` for a network like `net` whose groups have `widths`."""
    shape: Any = _without_values(net, {name: trunk.widths for name, trunk in net.trunks.items()})
    for group in groups:
        for conv in group.convs:
            shape.get_submodule(conv).out_channels = widths[group.name]
    return {name: trunk.widths for name, trunk in shape.trunks.items()}


def counter(net: nn.Module, example: Example, groups: Sequence[ChannelGroup], unit: str) -> Callable[[Widths], int]:
    """The function from widths to "macs" (of one image) or "params" of a network like `net`: some milliseconds each."""
    at = positions(net) if unit == "macs" else {}

    def count(widths: Widths) -> int:
        shell = _without_values(net, trunk_widths(net, groups, widths))
        return macs_by_positions(shell, at) if unit == "macs" else params(shell)

    return count


def _without_values(net: nn.Module, widths: dict[str, tuple[int, ...]]) -> nn.Module:
    """A network like `net` with other widths on PyTorch's meta device, which keeps shapes and no values."""
    with torch.device("meta"), torch.random.fork_rng(devices=[]):
        return fermodels.rebuild(net, widths)
