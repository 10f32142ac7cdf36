"""Penalties that drive batch-norm gammas to zero, and how far they can get: the travel budget.

One thing to know: the reference adds strength * sign(gamma) to the gradient, which shrinks gammas but hardly ever makes
them zero, and moves each by at most sum(lr) * strength / (1 - momentum). Compute that before a long training.
The parameters that `penalised` lists belong in an optimiser group without weight decay: decay is a second penalty.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any, Protocol, final, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from compress.calling import Output
from compress.inputs import Example
from compress.slimming.groups import channel_groups
from compress.slimming.widths import counter
from compress.training import loop as training

ENOUGH = 3.0
"""A budget below this multiple of the mean |gamma| kills next to nothing: the loss pulls back."""


@runtime_checkable
class Penalty(training.Penalty, Protocol):
    """What the training loop calls around `optimizer.step()`, and the budget to state before it starts."""

    def travel(self, rates: Sequence[float], momentum: float) -> "Travel":
        """How far it can move a gamma over a training with these learning rates, one for each step."""
        ...


@dataclass(frozen=True, kw_only=True)
class Travel:
    """How far a penalty can move one gamma over a whole training, if the loss does not care."""

    distance: float

    def sentence(self, mean_gamma: float) -> str:
        """What to say before training, for gammas that start at `mean_gamma` on average."""
        begin = f"the penalty can move a gamma by at most T={self.distance:.3g}, the mean |gamma| is {mean_gamma:.3g}: "
        if self.distance < mean_gamma:
            return begin + "nothing will die; raise the strength, the learning rate or the epochs"
        if self.distance < ENOUGH * mean_gamma:
            return begin + f"next to nothing will die (T should be {ENOUGH:g} times the mean); raise the strength"
        return begin + "enough for channels to die"


def travel_budget(rates: Iterable[float], strength: float, momentum: float = 0.0) -> Travel:
    """T = sum(lr) * strength / (1 - momentum): what an L1 sub-gradient can do under SGD.

    Args:
        rates: learning rate of every step (not of every epoch).
    """
    if not 0 <= momentum < 1:
        raise ValueError(f"momentum={momentum}: from 0 to below 1")
    return Travel(distance=sum(rates) * strength / (1 - momentum))


@final
class SubGradient:
    """The reference (Liu et al. 2017; paper 1, eq 9): adds strength * sign(gamma) to the gradient of each gamma."""

    def __init__(self, gammas: Sequence[nn.Parameter], strength: float = 1e-4) -> None:
        self.gammas, self.strength = _parameters(gammas), _positive(strength)

    @torch.no_grad()
    def before_step(self, lr: float, progress: float) -> None:
        for gamma in self.gammas:
            push = self.strength * gamma.sign()
            gamma.grad = push if gamma.grad is None else gamma.grad.add_(push)

    def after_step(self, lr: float, progress: float) -> None:
        """Nothing: the optimiser has taken the step."""

    def travel(self, rates: Sequence[float], momentum: float) -> Travel:
        return travel_budget(rates, self.strength, momentum)


@final
class Proximal:
    """Soft threshold after each step: gamma <- sign(gamma) max(|gamma| - lr * strength * s(progress), 0). Exact zeros.

    s rises linearly from 0 to 1 over the first `ramp` share of the training and falls back over the last `cool` share.
    While it cools, zeros are held: a channel that died stays dead, so that the cut costs what the last epoch shows.
    The threshold does not pass through momentum: for the same pull as a sub-gradient take strength / (1 - momentum).

    With `keep_scale` the sum of |gamma| of every layer is restored after each step: what one channel loses the others
    gain. A layer's scale means nothing to the batch norm behind it, but plain L1 shrinks all gammas together while
    their betas stay (on FER2013 that cost 11.8 points, kept scale far less at the same travel: docs/experiments.md).
    """

    def __init__(
        self,
        gammas: Sequence[nn.Parameter],
        strength: float = 1e-3,
        *,
        ramp: float = 0.2,
        cool: float = 0.2,
        keep_scale: bool = False,
        weights: Sequence[float] = (),
    ) -> None:
        if not (ramp >= 0 and cool >= 0 and ramp + cool <= 1):
            raise ValueError(f"ramp={ramp}, cool={cool}: shares of the training, 0 or more, together at most 1")
        self.gammas, self.strength, self.ramp, self.cool = _parameters(gammas), _positive(strength), ramp, cool
        self.keep_scale, self.weights = keep_scale, list(weights) or [1.0] * len(self.gammas)
        if len(self.weights) != len(self.gammas):
            raise ValueError(f"{len(self.weights)} weights for {len(self.gammas)} gammas: give one for each")
        self._held: list[Tensor] = []

    def schedule(self, progress: float) -> float:
        """s(progress), from 0 to 1."""
        rise = progress / self.ramp if self.ramp else 1.0
        fall = (1 - progress) / self.cool if self.cool else 1.0
        return max(0.0, min(1.0, rise, fall))

    @torch.no_grad()
    def before_step(self, lr: float, progress: float) -> None:
        cooling = self.cool > 0 and progress > 1 - self.cool
        self._held = [gamma == 0 for gamma in self.gammas] if cooling else []

    @torch.no_grad()
    def after_step(self, lr: float, progress: float) -> None:
        threshold = lr * self.strength * self.schedule(progress)
        for gamma, held in zip(self.gammas, self._held, strict=False):
            gamma[held] = 0
        for gamma, weight in zip(self.gammas, self.weights, strict=True):
            shrunk = gamma.sign() * (gamma.abs() - weight * threshold).clamp_(min=0)
            gamma.copy_(_rescaled(shrunk, gamma) if self.keep_scale else shrunk)

    def travel(self, rates: Sequence[float], momentum: float) -> Travel:
        """The momentum does not matter: the threshold acts after the step."""
        shares = [self.schedule(step / max(1, len(rates))) for step in range(len(rates))]
        return travel_budget([rate * share for rate, share in zip(rates, shares, strict=True)], self.strength)


def by_width(gammas: Sequence[nn.Parameter]) -> list[float]:
    """Weights for `Proximal`: each layer's width as a share of the widest, which alone feels the full strength.

    A share of channels is cheapest taken where most of them are: slim VGGs keep their early layers (Liu et al. 2017).
    """
    widest = max(len(gamma) for gamma in gammas)
    return [len(gamma) / widest for gamma in gammas]


def by_macs(net: nn.Module, example: Example, output: Output | None = None) -> list[float]:
    """Weights for `Proximal`, in the order of `penalised`: the MACs that go with one channel, as a share of the most.

    The dearest channels alone feel the full strength: for a budget of MACs, as `by_width` is for one of channels.
    """
    groups = channel_groups(net, example, output)
    count = counter(net, example, groups, "macs")
    widths = {group.name: group.size for group in groups}
    saved = {name: count(widths) - count(widths | {name: size - 1}) for name, size in widths.items()}
    most = max(saved.values())
    return [saved[group.name] / most for group in groups for _ in group.norms]


def _rescaled(shrunk: Float[Tensor, " c"], gamma: Float[Tensor, " c"]) -> Float[Tensor, " c"]:
    """`shrunk` with the sum of |gamma|; a step that would kill the whole layer is not taken."""
    left = shrunk.abs().sum()
    return torch.where(left > 0, shrunk * (gamma.abs().sum() / left), gamma)


def gamma_names(net: nn.Module, example: Example, output: Output | None = None) -> tuple[str, ...]:
    """Names of the parameters to penalise, like "trunks.face.blocks.0.bn.weight": gammas of removable channels only.

    Args:
        example, output: as for `compress.slim`.
    """
    return tuple(f"{norm}.weight" for group in channel_groups(net, example, output) for norm in group.norms)


def penalised(net: nn.Module, example: Example, output: Output | None = None) -> list[nn.Parameter]:
    """The gammas of `gamma_names`. Put them in an optimiser group without weight decay (`compress.fit` does).

    Raises:
        ValueError: the network has none.
    """
    return [net.get_parameter(name) for name in gamma_names(net, example, output)]


def mean_gamma(net: nn.Module, example: Example) -> float:
    """Mean |gamma| over all removable channels."""
    return float(_gammas(net, example).mean())


def zero_share(net: nn.Module, example: Example) -> float:
    """Share of removable channels whose gamma is exactly 0."""
    return float((_gammas(net, example) == 0).double().mean())


def gamma_histogram(net: nn.Module, example: Example, bins: int = 40) -> dict[str, Any]:
    """|gamma| of every group in `bins` equal bins from 0 to the largest: {"edges": [...], "counts": {group: [...]}}."""
    top = max(float(_gammas(net, example).max()), 1e-12)
    counts = {}
    for group in channel_groups(net, example):
        values = torch.cat([net.get_parameter(f"{norm}.weight").detach().abs().float() for norm in group.norms]).cpu()
        counts[group.name] = torch.histc(values, bins=bins, min=0, max=top).int().tolist()
    return {"edges": torch.linspace(0, top, bins + 1).tolist(), "counts": counts}


def _gammas(net: nn.Module, example: Example) -> Float[Tensor, " channels"]:
    return torch.cat([gamma.detach().abs().float() for gamma in penalised(net, example)])


def _parameters(gammas: Iterable[nn.Parameter]) -> list[nn.Parameter]:
    found = list(gammas)
    if not all(isinstance(gamma, nn.Parameter) for gamma in found):
        raise ValueError("gammas hold something else than parameters: give penalised(net, example)")
    return found


def _positive(strength: float) -> float:
    if not isinstance(strength, Real) or not 0 < strength < math.inf:
        raise ValueError(f"strength={strength}: a positive number, like 1e-4; train without a penalty to have none")
    return strength
