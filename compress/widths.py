"""What a network of other widths would be and cost, counted without its weights."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn

import fermodels
from compress.groups import ChannelGroup
from compress.select import Widths
from fermodels.cost import macs_by_positions, params, positions


def trunk_widths(net: Any, groups: Sequence[ChannelGroup], widths: Widths) -> dict[str, tuple[int, ...]]:
    """The setting `widths` of `fermodels.rebuild` for a network like `net` whose groups have `widths`."""
    own = {conv: widths[group.name] for group in groups for conv in group.convs}
    convs = [(name, module) for name, module in net.named_modules() if isinstance(module, nn.Conv2d)]
    return {
        trunk: tuple(own.get(name, conv.out_channels) for name, conv in convs if name.startswith(f"trunks.{trunk}."))
        for trunk in net.trunks
    }


def counter(net: nn.Module, groups: Sequence[ChannelGroup], unit: str) -> Callable[[Widths], int]:
    """The function from widths to "macs" (of one image) or "params" of a network like `net`: a few milliseconds each.

    The networks are built on PyTorch's meta device, which keeps shapes and no values.
    """
    at = positions(net) if unit == "macs" else {}

    def count(widths: Widths) -> int:
        with torch.device("meta"), torch.random.fork_rng(devices=[]):
            shell = fermodels.rebuild(net, trunk_widths(net, groups, widths))
        return macs_by_positions(shell, at) if unit == "macs" else params(shell)

    return count
