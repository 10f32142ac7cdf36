"""Channels taken out of the layers that make, follow and read them: new, smaller tensors in the same modules."""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd

from compress.slimming.absorb import Removed
from compress.slimming.groups import ChannelGroup

BY_CHANNEL = ("weight", "bias", "running_mean", "running_var")
"""What a layer has one row of for each of its output channels."""


def cut(net: nn.Module, groups: Sequence[ChannelGroup], removed: Removed) -> None:
    """Removes the channels from `net` in place. Trainable flags, types and memory formats of the tensors stay.

    A module with an attribute `channels` and a method `narrow(share)`, like an attention that averages over channels,
    is told which share of them stays.
    """
    narrowing = {each: each.channels for each in net.modules() if hasattr(each, "narrow") and hasattr(each, "channels")}
    inputs: dict[str, list[Tensor]] = {}
    for group in groups:
        gone = removed[group.name].cpu()
        if not len(gone):
            continue
        for name in (*group.convs, *group.norms, *group.followers):
            _keep_outputs(net.get_submodule(name), _others(group.size, gone))
        for reader in group.readers:
            inputs.setdefault(reader.name, []).append(reader.columns[gone].flatten())
    for name, columns in inputs.items():
        module = net.get_submodule(name)
        _keep_inputs(module, _others(module.weight.shape[1], torch.cat(columns)))  # type: ignore[union-attr]
    for module, before in narrowing.items():
        module.narrow(module.channels / before)  # type: ignore[operator]


def _others(size: int, gone: Tensor) -> Tensor:
    stays = torch.ones(size, dtype=torch.bool)
    stays[gone] = False
    return stays.nonzero().flatten()


def _keep_outputs(module: Any, kept: Tensor) -> None:
    if isinstance(module, nn.PReLU) and module.num_parameters == 1:
        return
    for name, tensor in _tensors(module):
        _put(module, name, tensor.detach().index_select(0, kept.to(tensor.device)))
    if isinstance(module, _BatchNorm):
        module.num_features = len(kept)
    elif isinstance(module, nn.PReLU):
        module.num_parameters = len(kept)
    elif isinstance(module, nn.Linear):
        module.out_features = len(kept)
    else:
        module.out_channels = len(kept)
        if module.groups > 1:  # depthwise
            module.in_channels = module.groups = len(kept)


def _keep_inputs(module: Any, kept: Tensor) -> None:
    _put(module, "weight", module.weight.detach().index_select(1, kept.to(module.weight.device)))
    if isinstance(module, _ConvNd):
        module.in_channels = len(kept)
    else:
        module.in_features = len(kept)


def _tensors(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    for name in BY_CHANNEL:
        tensor = getattr(module, name, None)
        if isinstance(tensor, Tensor):
            yield name, tensor


def _put(module: nn.Module, name: str, value: Tensor) -> None:
    """Replaces the parameter or buffer `name` of `module`: a new one, because copies may share the old."""
    old = getattr(module, name)
    if old.ndim == 4 and not old.is_contiguous() and old.is_contiguous(memory_format=torch.channels_last):
        value = value.contiguous(memory_format=torch.channels_last)
    setattr(module, name, nn.Parameter(value, old.requires_grad) if isinstance(old, nn.Parameter) else value)
