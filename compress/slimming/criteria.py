"""What a channel is worth: one score for each channel of each group, higher is worth more.

A criterion is a function `(net, groups, context) -> {group name: scores}`, registered in `CRITERIA`. Scores of coupled
channels speak for all members. Only `taylor` needs data; `random` is the control that every other one has to beat.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from compress.inputs import evaluating
from compress.slimming.groups import ChannelGroup

Labelled = tuple[tuple[Float[Tensor, "b c h w"], ...], Int[Tensor, " b"]]
"""The views of a batch, as `net` takes them, and its labels."""
Scores = dict[str, Float[Tensor, " channels"]]


@dataclass(frozen=True, kw_only=True)
class Context:
    """What a criterion may look at besides the weights."""

    labelled: Iterable[Labelled] | None = None
    """Calibration batches with labels, on the device of the network."""
    seed: int = 0


def gamma(net: nn.Module, groups: Sequence[ChannelGroup], context: Context) -> Scores:
    """|gamma| of the batch norm (Liu et al. 2017); the mean over the members of a coupled group."""
    return {
        group.name: torch.stack([scale.detach().abs() for scale in _scales(net, group)]).mean(0) for group in groups
    }


def group_norm(net: nn.Module, groups: Sequence[ChannelGroup], context: Context) -> Scores:
    """L2 norm of all weights that go with a channel: its filters and its columns in every reader (Fang et al. 2023)."""
    scores = {}
    for group in groups:
        squares = torch.stack([_weight(net, conv).square().flatten(1).sum(1) for conv in group.convs]).sum(0)
        for reader in group.readers:
            columns = _weight(net, reader.name).square().transpose(0, 1).flatten(1).sum(1)
            squares = squares + columns[reader.columns.to(columns.device)].sum(1)
        scores[group.name] = squares.sqrt()
    return scores


def taylor(net: nn.Module, groups: Sequence[ChannelGroup], context: Context) -> Scores:
    """First-order change of the loss when gamma becomes 0: root mean square over batches of gamma * dL/dgamma.

    Molchanov et al. 2019, eq 8, on the batch norm's gamma. Beta is left out because slimming absorbs what it leaves.
    The loss is the mean cross-entropy of the heads, in evaluation mode.

    Raises:
        ValueError: no batches with labels in `context`.
    """
    if context.labelled is None:
        raise ValueError('criterion="taylor" needs gradients: give labelled=[((face, ...), labels), ...] batches')
    scales = {group.name: _scales(net, group) for group in groups}
    squares = {name: torch.zeros_like(members[0], requires_grad=False) for name, members in scales.items()}
    batches = 0
    for views, labels in context.labelled:
        for name, gradients in _gradients(net, scales, views, labels).items():
            changes = [scale.detach() * slope for scale, slope in zip(scales[name], gradients, strict=True)]
            squares[name] += torch.stack(changes).sum(0).square()
        batches += 1
    if not batches:
        raise ValueError('criterion="taylor": labelled is empty, give at least one batch ((face, ...), labels)')
    return {name: (square / batches).sqrt() for name, square in squares.items()}


def random(net: nn.Module, groups: Sequence[ChannelGroup], context: Context) -> Scores:
    """Uniform noise in [0, 1), the same for the same seed: the control at the same budget."""
    generator = torch.Generator().manual_seed(context.seed)
    return {group.name: torch.rand(group.size, generator=generator) for group in groups}


def uniform(net: nn.Module, groups: Sequence[ChannelGroup], context: Context) -> Scores:
    """Rank of |gamma| within the layer, as a share of its width: the global order then cuts all layers alike."""
    scores = {}
    for name, values in gamma(net, groups, context).items():
        ranks = torch.argsort(torch.argsort(values, stable=True), stable=True)
        scores[name] = (ranks.float() + 0.5) / len(values)
    return scores


CRITERIA: dict[str, Callable[[nn.Module, Sequence[ChannelGroup], Context], Scores]] = {
    "gamma": gamma,
    "group_norm": group_norm,
    "taylor": taylor,
    "random": random,
    "uniform": uniform,
}


def _weight(net: nn.Module, name: str) -> Tensor:
    return net.get_parameter(f"{name}.weight").detach()


def _scales(net: nn.Module, group: ChannelGroup) -> list[nn.Parameter]:
    return [net.get_parameter(f"{norm}.weight") for norm in group.norms]


def _gradients(
    net: nn.Module, scales: dict[str, list[nn.Parameter]], views: Sequence[Tensor], labels: Tensor
) -> dict[str, list[Tensor]]:
    """dL/dgamma of one batch for each group's members; gradients stored in `net` are not touched."""
    flat = [scale for members in scales.values() for scale in members]
    with evaluating(net), torch.enable_grad():
        logits = net(*views).logits.float()
        loss = functional.cross_entropy(logits.flatten(0, 1), labels.repeat(len(logits)))
        slopes = iter(torch.autograd.grad(loss, flat))
    if not math.isfinite(loss.item()):
        raise ValueError(f'criterion="taylor": the loss of a batch is {loss.item()}: has the training diverged?')
    return {name: [next(slopes) for _ in members] for name, members in scales.items()}
