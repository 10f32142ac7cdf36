"""Scores and a budget in, the channels that stay out. Pure: no network is touched here.

Two rules. `exact` removes the asked number of channels, keeps a floor in every layer and can round widths; what a full
layer cannot give is taken elsewhere, never skipped. `liu` is the reference (Liu et al. 2017): one global threshold.
Both are nested: the channels removed at a ratio are among those removed at every larger one.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import accumulate, chain, pairwise

import torch
from jaxtyping import Float
from torch import Tensor

Scores = Mapping[str, Float[Tensor, " channels"]]
Kept = dict[str, tuple[int, ...]]
"""Group name -> indices of the channels that stay, ascending."""


@dataclass(frozen=True, kw_only=True)
class Floor:
    """How many channels a layer keeps whatever its scores: the larger of the two, or the whole of a smaller layer."""

    channels: int = 8
    """At least 1."""
    share: float = 0.1
    """Share of the layer's own width, 0 to 1."""

    def __post_init__(self) -> None:
        if self.channels < 1 or not 0 <= self.share <= 1:
            raise ValueError(f"{self}: channels must be 1 or more (an empty layer is no network), share from 0 to 1")

    def least(self, size: int) -> int:
        """Channels that a layer of `size` keeps at least."""
        return min(size, max(self.channels, math.ceil(self.share * size)))


def select(scores: Scores, ratio: float, *, rule: str = "exact", floor: Floor | None = None, align: int = 1) -> Kept:
    """The channels that stay when the share `ratio` of all channels in `scores` is removed, lowest scores first.

    Args:
        scores: for each group one number a channel; higher is worth more.
        ratio: share of all channels to remove, 0 <= ratio < 1. 0 keeps everything under every rule.
        rule: "exact" or "liu".
        floor: what each layer keeps at least (default `Floor()`); `exact` only.
        align: widths that change become multiples of this; `exact` only. The number of removed channels is then the
            nearest that such widths allow in the order of the scores: within align / 2 of the request.

    Raises:
        ValueError: a setting out of range, scores that are not finite, a budget that cannot be met.
    """
    if rule not in RULES:
        raise ValueError(f'rule="{rule}": allowed are {", ".join(RULES)}')
    if not 0 <= ratio < 1:
        raise ValueError(f"ratio={ratio}: the share of channels to remove, from 0 (none) to below 1; 0.6 removes 60 %")
    if align < 1:
        raise ValueError(f"align={align}: 1 (any width) or a multiple to round widths to, like 8")
    if not any(len(values) for values in scores.values()):
        raise ValueError("there is no channel to choose from: no convolution of this network has a batch norm")
    for name, values in scores.items():
        if not bool(torch.isfinite(values).all()):
            raise ValueError(f"the scores of {name} are not finite: the training diverged, lower its rate")
    if ratio == 0:
        return {name: tuple(range(len(values))) for name, values in scores.items()}
    return RULES[rule](scores, ratio, floor or Floor(), align)


def _exact(scores: Scores, ratio: float, floor: Floor, align: int) -> Kept:
    steps = _steps(scores, floor, align)
    total = sum(len(values) for values in scores.values())
    wanted = round(ratio * total)
    removed = list(accumulate((len(step.channels) for step in steps), initial=0))
    if wanted > removed[-1]:
        most = math.floor(1000 * removed[-1] / total) / 1000
        raise ValueError(
            f"ratio={ratio} asks for {wanted} of {total} channels, but with {floor} and align={align} "
            f"only {removed[-1]} can go: ratio={most} is the most; lower it, the floor or align"
        )
    taken = min(range(len(removed)), key=lambda count: (abs(removed[count] - wanted), count))
    gone: dict[str, set[int]] = {name: set() for name in scores}
    for step in steps[:taken]:
        gone[step.name].update(step.channels)
    return {name: tuple(sorted(set(range(len(values))) - gone[name])) for name, values in scores.items()}


@dataclass(frozen=True, kw_only=True)
class _Step:
    """From one allowed width of a layer down to the next."""

    name: str
    channels: tuple[int, ...]
    price: float
    """Mean score of `channels`; never below the price of the layer's step before."""


def _steps(scores: Scores, floor: Floor, align: int) -> list[_Step]:
    """Every step down that floors and alignment allow, cheapest first; equal prices in the order of the layers.

    Steps of a layer come in order, so a prefix of this list is a set of allowed widths, and a longer prefix only
    narrows layers: that is what makes widths monotone in the ratio. For steps of one size the prefix also has the
    smallest possible sum of removed scores.
    """
    layers = (_steps_of(name, values, floor.least(len(values)), align) for name, values in scores.items())
    return sorted(chain.from_iterable(layers), key=lambda step: step.price)


def _steps_of(name: str, values: Tensor, least: int, align: int) -> list[_Step]:
    size = len(values)
    order = torch.argsort(values, stable=True).tolist()
    exact = values.double().cpu().tolist()
    widths = [size, *range((size - 1) // align * align, least - 1, -align)]
    steps: list[_Step] = []
    for wide, narrow in pairwise(widths):
        channels = tuple(order[size - wide : size - narrow])
        mean = sum(exact[channel] for channel in channels) / len(channels)
        price = max(mean, steps[-1].price) if steps else mean  # rounding of the mean must not swap a layer's steps
        steps.append(_Step(name=name, channels=channels, price=price))
    return steps


def _liu(scores: Scores, ratio: float, floor: Floor, align: int) -> Kept:
    """Network slimming's rule: sort all |gamma|, take the one at int(total * ratio), keep what is strictly above it."""
    if align != 1:
        raise ValueError(f'align={align}, rule="liu": the reference rounds no widths; use align=1 or rule="exact"')
    every = torch.cat(list(scores.values())).sort().values
    threshold = every[int(len(every) * ratio)]
    kept = {name: tuple(torch.nonzero(values > threshold).flatten().tolist()) for name, values in scores.items()}
    if empty := [name for name, channels in kept.items() if not channels]:
        raise ValueError(
            f"the global threshold {float(threshold):.4g} of ratio={ratio} empties {', '.join(empty)}: "
            'a layer without channels is no network; use rule="exact", which keeps a floor, or a lower ratio'
        )
    return kept


RULES: dict[str, Callable[[Scores, float, Floor, int], Kept]] = {"exact": _exact, "liu": _liu}
