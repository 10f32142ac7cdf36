"""Scores and a budget in, the channels that stay out. Pure: no network is touched here.

Two rules. `exact` removes the asked number of channels, keeps a floor in every layer and can round widths; what a full
layer cannot give is taken elsewhere, never skipped. `liu` is the reference (Liu et al. 2017): one global threshold.
`select_within` goes down the same order as `exact` until a cost (MACs, parameters) is within its budget, and so does
`compress.slimming.milliseconds` with measured times.
All are nested: the channels removed for one budget are among those removed for every tighter one.
"""

import math
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, chain, pairwise

import torch
from jaxtyping import Float
from torch import Tensor

Scores = Mapping[str, Float[Tensor, " channels"]]
Kept = dict[str, tuple[int, ...]]
"""Group name -> indices of the channels that stay, ascending."""
Widths = Mapping[str, int]
"""Group name -> channels."""


@dataclass(frozen=True, kw_only=True)
class Floor:
    """How many channels a layer keeps whatever its scores: the larger of the two, or the whole of a smaller layer."""

    channels: int = 8
    """At least 1."""
    share: float = 0.1
    """Share of the layer's own width, 0 to 1."""

    def __post_init__(self) -> None:
        if type(self.channels) is not int or self.channels < 1 or not 0 <= self.share <= 1:
            told = "channels must be a whole number, 1 or more (an empty layer is no network), share from 0 to 1"
            raise ValueError(f"{self}: {told}")

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
    check(scores, align)
    floor = floor_of(floor)
    if ratio == 0:
        return {name: tuple(range(len(values))) for name, values in scores.items()}
    return RULES[rule](scores, ratio, floor, align)


def select_within(
    scores: Scores, cost: Callable[[Widths], float], budget: float, *, floor: Floor | None = None, align: int = 1
) -> Kept:
    """The channels that stay when the cheapest go, in the order of the rule "exact", until the cost fits the budget.

    The cost is then at most `budget`, and above it without the last step, which took at most `align` channels.

    Args:
        cost: of a network with these widths; it must not grow when a layer is narrowed.
        budget: the largest cost allowed, in the unit of `cost`.

    Raises:
        ValueError: a setting out of range, scores that are not finite, a budget below the narrowest network's cost.
    """
    check(scores, align)
    floor = floor_of(floor)
    steps = descent(scores, floor, align)

    def fits(count: int) -> bool:
        return cost({name: len(channels) for name, channels in after(scores, steps[:count]).items()}) <= budget

    taken = bisect_left(range(len(steps) + 1), True, key=fits)
    if taken > len(steps):
        least = cost({name: len(channels) for name, channels in after(scores, steps).items()})
        raise ValueError(
            f"a budget of {budget:g} is out of reach: with {floor} and align={align} the narrowest network costs "
            f"{least:.3g}; allow more, or lower the floor or align"
        )
    return after(scores, steps[:taken])


def check(scores: Scores, align: int) -> None:
    """Raises ValueError when `scores` or `align` cannot be selected by."""
    if type(align) is not int or align < 1:
        raise ValueError(f"align={align}: 1 (any width) or a multiple to round widths to, like 8")
    if not any(len(values) for values in scores.values()):
        raise ValueError("there is no channel to choose from: no convolution of this network has a batch norm")
    for name, values in scores.items():
        if not bool(torch.isfinite(values).all()):
            raise ValueError(f"the scores of {name} are not finite: the training diverged, lower its rate")


def floor_of(given: Floor | None) -> Floor:
    """`given`, or the default; raises ValueError when it is something else."""
    if given is not None and not isinstance(given, Floor):
        raise ValueError(f"floor={given!r}: give compress.Floor(channels=8, share=0.1)")
    return given or Floor()


def allowed_widths(size: int, floor: Floor, align: int) -> list[int]:
    """Widths that a layer of `size` may have, widest first: its own, and the multiples of `align` down to the floor."""
    return [size, *range((size - 1) // align * align, floor.least(size) - 1, -align)]


def order_of(values: Float[Tensor, " channels"]) -> list[int]:
    """Channels in the order in which they go: lowest score first, equal scores by their index."""
    return torch.argsort(values, stable=True).tolist()


def _exact(scores: Scores, ratio: float, floor: Floor, align: int) -> Kept:
    steps = descent(scores, floor, align)
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
    return after(scores, steps[:taken])


@dataclass(frozen=True, kw_only=True)
class Step:
    """From one allowed width of a layer down to the next."""

    name: str
    channels: tuple[int, ...]
    price: float
    """Mean score of `channels`; never below the price of the layer's step before."""


def descent(scores: Scores, floor: Floor, align: int) -> list[Step]:
    """Every step down that floors and alignment allow, cheapest first; equal prices in the order of the layers.

    Steps of a layer come in order, so a prefix of this list is a set of allowed widths, and a longer prefix only
    narrows layers: that is what makes widths monotone in the ratio. For steps of one size the prefix also has the
    smallest possible sum of removed scores.
    """
    layers = (_steps_of(name, values, allowed_widths(len(values), floor, align)) for name, values in scores.items())
    return sorted(chain.from_iterable(layers), key=lambda step: step.price)


def after(scores: Scores, steps: Iterable[Step]) -> Kept:
    """What stays when `steps` have been taken."""
    gone: dict[str, set[int]] = {name: set() for name in scores}
    for step in steps:
        gone[step.name].update(step.channels)
    return {name: tuple(sorted(set(range(len(values))) - gone[name])) for name, values in scores.items()}


def _steps_of(name: str, values: Tensor, widths: Sequence[int]) -> list[Step]:
    size, order = len(values), order_of(values)
    exact = values.double().cpu().tolist()
    steps: list[Step] = []
    for wide, narrow in pairwise(widths):
        channels = tuple(order[size - wide : size - narrow])
        mean = sum(exact[channel] for channel in channels) / len(channels)
        price = max(mean, steps[-1].price) if steps else mean  # rounding of the mean must not swap a layer's steps
        steps.append(Step(name=name, channels=channels, price=price))
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
