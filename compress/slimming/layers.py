"""The convolutions of a network as its time sees them: where they stand, which group they read and which they write."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

import fermodels
from compress.inputs import evaluating
from compress.slimming.groups import ChannelGroup


@dataclass(frozen=True, kw_only=True)
class Geometry:
    """All that decides a convolution's time besides its widths and the batch."""

    side: int
    """Of its input, in pixels."""
    images: int
    """How often it sees one image: 2 for a trunk that eyes and mouth share."""
    kernel: int
    stride: int
    padding: int
    pool: int
    """What lies before its reader shrinks the map by this; 1: nothing."""

    def __str__(self) -> str:
        return f"{self.side}px x{self.images} k{self.kernel} s{self.stride} p{self.padding} pool{self.pool}"


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One convolution."""

    name: str
    geometry: Geometry
    reads: str | None
    """Name of the group that it reads; None when nothing of its input can be removed."""
    writes: str | None
    fan_in: int
    fan_out: int


def layers_of(net: nn.Module, groups: Sequence[ChannelGroup]) -> list[Layer]:
    """Every convolution of `net`, in the order in which it runs them.

    Linear layers are not in it: on pooled features their time is lost in the rest.

    Raises:
        ValueError: groups do not form chains: a convolution reads several, or one that does not come right before the
            one it writes, or several write one.
    """
    seen = _maps_seen(net)
    layers = []
    for name, (images, side, made) in seen.items():
        module = net.get_submodule(name)
        assert isinstance(module, nn.Conv2d), f"{name} is a {type(module).__name__}"
        reads, writes = _chained(name, groups)
        readers = () if writes is None else writes.readers
        next_side = min((seen[reader.name][1] for reader in readers if reader.name in seen), default=made)
        geometry = Geometry(
            side=side,
            images=images,
            kernel=module.kernel_size[0],
            stride=module.stride[0],
            padding=int(module.padding[0]),
            pool=made // next_side,
        )
        layer = Layer(
            name=name,
            geometry=geometry,
            reads=None if reads is None else reads.name,
            writes=None if writes is None else writes.name,
            fan_in=module.in_channels,
            fan_out=module.out_channels,
        )
        layers.append(layer)
    return layers


def _chained(name: str, groups: Sequence[ChannelGroup]) -> tuple[ChannelGroup | None, ChannelGroup | None]:
    """The groups that the convolution `name` reads and writes, neighbours where there are both."""
    reads = [at for at, group in enumerate(groups) if any(reader.name == name for reader in group.readers)]
    writes = [at for at, group in enumerate(groups) if name in group.convs]
    apart = reads and writes and writes[0] != reads[0] + 1
    if len(reads) > 1 or apart or any(len(groups[at].convs) > 1 for at in writes):
        raise ValueError(f"{name} joins channels of several layers: milliseconds need layers in chains; give ratio=")
    return (groups[reads[0]] if reads else None, groups[writes[0]] if writes else None)


def _maps_seen(net: Any) -> dict[str, tuple[int, int, int]]:
    """Convolution -> (images seen for one image, side of its input, side of its output), in the order of running.

    Sides do not depend on widths, so a network with one channel in every trunk layer tells them.
    """
    with torch.random.fork_rng(devices=[]):
        thin: Any = fermodels.rebuild(net, {trunk: (1,) * len(part.widths) for trunk, part in net.trunks.items()})
    seen: dict[str, tuple[int, int, int]] = {}
    for name, module in thin.named_modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(partial(_note, seen, name))
    with torch.no_grad(), evaluating(thin):
        thin(*thin.example(1))
    return seen


def _note(
    seen: dict[str, tuple[int, int, int]], name: str, module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor
) -> None:
    before = seen.get(name, (0, 0, 0))[0]
    seen[name] = (before + len(inputs[0]), inputs[0].shape[-1], output.shape[-1])
