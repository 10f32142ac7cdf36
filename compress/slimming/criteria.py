"""What a channel is worth: one score for each channel of each group, higher is worth more.

A criterion is a function `(net, groups, context) -> {group name: scores}`, registered in `CRITERIA`. Scores of coupled
channels speak for all members. Only `taylor` needs data; `random` is the control that every other one has to beat.

`gamma` compares layers by size, which means something after training with a penalty only: without one it is worse than
random (`python -m bench.criteria`), and `slim` warns. `gamma_mean` and `group_norm` divide by each layer's mean.
"""

import math
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from compress.calling import Output, answered, first_tensor
from compress.inputs import evaluating, inputs_from
from compress.slimming.groups import ChannelGroup
from compress.training.loop import size_of
from compress.training.losses import cross_entropy, scalar

Labelled = Sequence[Any]
"""(inputs, targets, ...): inputs are a tensor or a tuple of tensors, as the network takes them."""
Scores = dict[str, Float[Tensor, " channels"]]
Loss = Callable[[Any, Any], Tensor]
"""(what the network returns, targets) -> a scalar."""
NEAR_ZERO, FEW = 0.1, 0.1
"""A gamma is near zero below this share of its layer's mean; fewer such gammas than the second share are few."""


@dataclass(frozen=True, kw_only=True)
class Context:
    """What a criterion may look at besides the weights."""

    labelled: Iterable[Labelled] | None = None
    """Batches with targets, like a DataLoader's; they are moved to the device of the network."""
    seed: int = 0
    loss: Loss | None = None
    """Of `taylor`; the mean cross-entropy of the logits that `output` finds when None."""
    output: Output = first_tensor


def gamma(net: nn.Module, groups: Sequence[ChannelGroup], context: Context) -> Scores:
    """|gamma| of the batch norm (Liu et al. 2017); the mean over the members of a coupled group.

    Raises:
        ValueError: one is not finite.
    """
    scores = {}
    for group in groups:
        scores[group.name] = torch.stack([scale.detach().abs().float() for scale in _scales(net, group)]).mean(0)
        if not bool(torch.isfinite(scores[group.name]).all()):
            raise ValueError(
                f"gammas of {', '.join(group.norms)} are not finite: the training diverged, lower its rate"
            )
    return scores


def gamma_mean(net: nn.Module, groups: Sequence[ChannelGroup], context: Context) -> Scores:
    """|gamma| as a multiple of its layer's mean: for networks that were trained without a penalty on gammas."""
    return {name: _by_mean(values) for name, values in gamma(net, groups, context).items()}


def group_norm(net: nn.Module, groups: Sequence[ChannelGroup], context: Context) -> Scores:
    """Squared L2 norm of all weights that go with a channel, as a multiple of its layer's mean (Fang et al. 2023).

    Its filters, its gammas, and its columns in every reader.
    """
    scores = {}
    for group in groups:
        squares = torch.stack([_weight(net, conv).square().flatten(1).sum(1) for conv in group.convs]).sum(0)
        squares = squares + torch.stack([_weight(net, norm).square() for norm in group.norms]).sum(0)
        for reader in group.readers:
            columns = _weight(net, reader.name).square().transpose(0, 1).flatten(1).sum(1)
            squares = squares + columns[reader.columns.to(columns.device)].sum(1)
        scores[group.name] = _by_mean(squares)
    return scores


def taylor(net: nn.Module, groups: Sequence[ChannelGroup], context: Context) -> Scores:
    """First-order change of the loss when gamma becomes 0: root mean square over batches of gamma * dL/dgamma.

    Molchanov et al. 2019, eq 8, on the batch norm's gamma. Beta is left out because slimming absorbs what it leaves.
    The network is in evaluation mode.

    Raises:
        ValueError: no batches with targets in `context`, targets that no class can be, a loss that is not finite.
    """
    if isinstance(context.labelled, Tensor) or not isinstance(context.labelled, Iterable):
        raise ValueError('criterion="taylor" needs gradients: give labelled=[(inputs, targets), ...] or a DataLoader')
    scales = {group.name: _scales(net, group) for group in groups}
    squares = {name: torch.zeros_like(members[0], requires_grad=False) for name, members in scales.items()}
    batches = 0
    for batch in context.labelled:
        for name, gradients in _gradients(net, scales, batch, context).items():
            changes = [scale.detach() * slope for scale, slope in zip(scales[name], gradients, strict=True)]
            squares[name] += torch.stack(changes).sum(0).square()
        batches += 1
    if not batches:
        raise ValueError('criterion="taylor": labelled is empty, give at least one batch (inputs, targets)')
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
    "gamma_mean": gamma_mean,
    "group_norm": group_norm,
    "taylor": taylor,
    "random": random,
    "uniform": uniform,
}


def warn_of_gammas(net: nn.Module, groups: Sequence[ChannelGroup], criterion: str) -> None:
    """Warns before channels are ranked by `gamma` in a network that was hardly trained to have small ones.

    The rule: fewer than `FEW` of the channels have a |gamma| below `NEAR_ZERO` times the mean of their layer.
    """
    if criterion != "gamma":
        return
    relative = torch.cat([values.cpu() for values in gamma_mean(net, groups, Context()).values()])
    share = float((relative < NEAR_ZERO).double().mean())
    if share < FEW:
        warnings.warn(
            f"{share:.0%} of the gammas are near zero: this network was not trained with a penalty on them, and then "
            'criterion="gamma" can be worse than random; train with compress.fit(..., penalty=...), or use '
            'criterion="gamma_mean"',
            stacklevel=3,
        )


def _by_mean(values: Float[Tensor, " channels"]) -> Float[Tensor, " channels"]:
    """`values`, 0 or more, as multiples of their mean; a layer of zeros stays one."""
    return values / values.mean().clamp(min=torch.finfo(values.dtype).tiny)


def _weight(net: nn.Module, name: str) -> Tensor:
    return net.get_parameter(f"{name}.weight").detach().float()


def _scales(net: nn.Module, group: ChannelGroup) -> list[nn.Parameter]:
    return [net.get_parameter(f"{norm}.weight") for norm in group.norms]


def _gradients(
    net: nn.Module, scales: dict[str, list[nn.Parameter]], batch: Labelled, context: Context
) -> dict[str, list[Tensor]]:
    """dL/dgamma of one batch for each group's members; gradients and flags stored in `net` are left as they were."""
    size_of(batch)
    flat = [scale for members in scales.values() for scale in members]
    flags = [scale.requires_grad for scale in flat]
    inputs = inputs_from(batch[0], net)
    targets = batch[1].to(flat[0].device) if isinstance(batch[1], Tensor) else batch[1]
    try:
        with evaluating(net), torch.inference_mode(False), torch.enable_grad():
            for scale in flat:
                scale.requires_grad_(True)
            answer = answered(net, inputs)
            loss = context.loss(answer, targets) if context.loss else cross_entropy(context.output(answer), targets)
            slopes = iter(torch.autograd.grad(scalar(loss), flat, materialize_grads=True))
    finally:
        for scale, flag in zip(flat, flags, strict=True):
            scale.requires_grad_(flag)
    if not math.isfinite(loss.item()):
        raise ValueError(f'criterion="taylor": the loss of a batch is {loss.item()}: has the training diverged?')
    return {name: [next(slopes) for _ in members] for name, members in scales.items()}
