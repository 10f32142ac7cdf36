"""What a removed channel leaves behind: a constant, moved into the biases of the layers that read it.

A channel with gamma = 0 still sends what the activation makes of beta (relu(beta)) to every reader. Dropping it shifts
all of them; adding weight times constant to their bias does not. A reader without a bias has a batch norm behind it,
which expects the constant instead. The constant is measured at the reader's input, so whatever lies between (pooling,
an attention gate) is in it. Exact away from zero padding: beyond the border the reader saw zeros, which a bias cannot
say. What a removed channel sent to the maps of a spatial attention is dropped, and so is what a reader gets that has
neither a bias nor a batch norm right behind it (a DenseNet's): recalibration moves that into the batch norms behind.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from compress.calling import answered
from compress.inputs import evaluating
from compress.slimming.groups import ChannelGroup, Reader

Batch = tuple[Tensor, ...]
Removed = Mapping[str, Int[Tensor, " gone"]]
"""Group name -> channels to remove."""


@torch.no_grad()
def silence(net: nn.Module, groups: Sequence[ChannelGroup], removed: Removed, *, beta: bool) -> None:
    """Sets gamma of the removed channels to 0 in place, and with `beta` also beta: they then send nothing at all."""
    for group in groups:
        for norm in group.norms:
            net.get_parameter(f"{norm}.weight")[removed[group.name]] = 0
            if beta:
                net.get_parameter(f"{norm}.bias")[removed[group.name]] = 0


@torch.no_grad()
def absorb(net: nn.Module, groups: Sequence[ChannelGroup], removed: Removed, batches: Iterable[Batch]) -> None:
    """Adds to each reader's bias, in place, what it gets from the removed channels.

    Args:
        net: gamma of the removed channels is 0, their beta is not yet (see `silence`).
        batches: inputs to measure on; relu(beta) does not depend on them, the mean of an attention map does.

    Raises:
        ValueError: no batch.
    """
    means = _mean_inputs(net, {reader.name for group in groups for reader in group.readers}, batches)
    for group in groups:
        for reader in group.readers:
            if len(removed[group.name]):
                _add(net, reader, removed[group.name], means[reader.name])


def _mean_inputs(net: nn.Module, names: set[str], batches: Iterable[Batch]) -> dict[str, Float[Tensor, " columns"]]:
    """Mean over images and positions (and calls, of a shared layer) of each input column of the layers `names`."""
    inputs: dict[str, list[Tensor]] = {name: [] for name in names}
    hooks = [net.get_submodule(name).register_forward_pre_hook(partial(_keep_mean, inputs[name])) for name in names]
    count = 0
    try:
        with evaluating(net):
            for batch in batches:
                answered(net, batch)
                count += 1
    finally:
        for hook in hooks:
            hook.remove()
    if not count:
        raise ValueError("calibrate holds no batch: give at least one, or None")
    return {name: torch.stack(means).mean(0) for name, means in inputs.items()}


def _keep_mean(means: list[Tensor], module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
    channels = inputs[0].ndim - 1 if isinstance(module, nn.Linear) else 1
    means.append(inputs[0].float().mean([axis for axis in range(inputs[0].ndim) if axis != channels]))


def _add(net: nn.Module, reader: Reader, gone: Tensor, means: Tensor) -> None:
    module: Any = net.get_submodule(reader.name)
    columns = reader.columns[gone.cpu()].flatten().to(means.device)
    constant = (
        module.weight[:, columns].flatten(2).sum(-1).float()
        if module.weight.ndim > 2
        else module.weight[:, columns].float()
    )
    constant = constant @ means[columns]
    if module.bias is not None:
        module.bias.add_(constant.to(module.bias.dtype))
    elif reader.norm and (expected := getattr(net.get_submodule(reader.norm), "running_mean", None)) is not None:
        expected.sub_(constant.to(expected.dtype))
