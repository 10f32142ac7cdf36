"""A smaller network: choose channels, absorb their constants, cut, prove it, recalibrate.

The one thing to know: the cut is proved every time. The network with its removed channels silenced (gamma = beta = 0)
and the network without them must give the same answer, or slimming stops.
"""

import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import torch
from torch import Tensor, nn

from compress.calling import Output
from compress.cost import macs_by_positions, macs_outside, params, positions
from compress.inputs import Example, batches_from
from compress.slimming.absorb import Removed, absorb, silence
from compress.slimming.choose import choose
from compress.slimming.criteria import CRITERIA, Context, Labelled, Loss, warn_of_gammas
from compress.slimming.groups import ChannelGroup, survey
from compress.slimming.plan import Plan
from compress.slimming.proof import holds
from compress.slimming.recalibrate import recalibrate
from compress.slimming.select import Floor, Kept, floor_of
from compress.slimming.specimen import Specimen, plain_numbers, specimen_of
from compress.slimming.targets import Subject, one_target

OUTSIDE = 0.01
"""From this share on it is told that a plan's MACs leave some out."""
ABSORB_BATCHES = 8
"""Constants are measured on at most so many calibration batches: only the mean of an attention map needs them."""


def slim(  # noqa: PLR0913 - what users type: every keyword has a default
    net: nn.Module,
    example: Example,
    *,
    ratio: float | None = None,
    macs_share: float | None = None,
    params_share: float | None = None,
    target_ms: float | None = None,
    runtime: str = "onnxruntime",
    batch: int = 1,
    rule: str = "exact",
    criterion: str = "gamma",
    align: int = 1,
    floor: Floor | None = None,
    calibrate: Iterable[Any] | None = None,
    labelled: Iterable[Labelled] | None = None,
    loss: Loss | None = None,
    absorb: bool = True,
    seed: int = 0,
    output: Output | None = None,
) -> tuple[nn.Module, Plan]:
    """A copy of `net` with batch-normed channels removed until it meets one target, and the plan.

    >>> net = nn.Sequential(nn.Conv2d(3, 32, 3), nn.BatchNorm2d(32), nn.ReLU(), nn.Conv2d(32, 10, 3))
    >>> small, plan = slim(net, torch.zeros(1, 3, 8, 8), ratio=0.5)
    >>> small[0], plan.params_before, plan.params_after
    (Conv2d(3, 16, kernel_size=(3, 3), stride=(1, 1)), 3850, 1930)

    Args:
        net: any network with convolutions that batch norms stand behind, on one device; left unchanged. DataParallel,
            DistributedDataParallel and torch.compile are taken off. Half precision is kept, and computed in float32.
        example: a tensor or a tuple of tensors that the network can be called with; the first axis counts images.
        ratio: share of the removable channels to remove, 0 <= ratio < 1; 0.6 where no target is given.
        macs_share: or the share of MACs that may stay, 0 < share <= 1: met from below, within one step of `align`.
        params_share: or the share of parameters that may stay, likewise.
        target_ms: or milliseconds of a batch on `runtime`, measured on this machine: within 2 %, or below it where a
            step of `align` is coarser.
        runtime: of `target_ms`, one of `compress.RUNTIMES`, in float32 with as many threads as PyTorch has.
        batch: of `target_ms`, images that run at once.
        rule: "exact" (budget met, floor kept) or "liu" (the reference's global threshold; `ratio` only).
        criterion: one of `CRITERIA`; "random" is the control.
        align: widths that change become multiples of this; 8 suits CPU and GPU kernels.
        floor: what each layer keeps at least, `Floor(channels=8, share=0.1)` when None.
        calibrate: batches of training images as the network takes them, or a loader of (inputs, targets): batch norms
            are measured anew on them.
        labelled: batches of (inputs, targets) for `criterion="taylor"`.
        loss: of `criterion="taylor"`: `loss(what the network returns, targets)`; cross-entropy of the logits when None.
        absorb: move what removed channels leave (relu(beta)) into the next biases instead of dropping it.
        seed: of `criterion="random"`.
        output: which tensor of the network's result is traced and compared; the first one where None.

    Raises:
        ValueError: a setting out of range, a network that cannot be slimmed, nothing to slim, or a budget that cannot
            be met; the mend is said.
    """
    if type(seed) is not int:
        raise ValueError(f"seed={seed!r}: a whole number")
    if criterion not in list(CRITERIA):
        raise ValueError(f'criterion="{criterion}": allowed are {", ".join(CRITERIA)}')
    asked = {"ratio": ratio, "macs_share": macs_share, "params_share": params_share, "target_ms": target_ms}
    target = one_target(asked, runtime=runtime, batch=batch)
    with plain_numbers(net):
        specimen = specimen_of(net, example, output)
        found = survey(specimen)
        warn_of_gammas(specimen.net, found.groups, criterion)
        context = Context(labelled=labelled, seed=seed, loss=loss, output=specimen.output)
        subject = Subject(
            net=specimen.net,
            example=specimen.inputs,
            output=output,
            groups=found.groups,
            scores=CRITERIA[criterion](specimen.net, found.groups, context),
            rule=rule,
            floor=floor_of(floor),
            align=align,
            trial=lambda kept: _carve(specimen, found.groups, kept, _Care(absorb=False, calibrate=None)),
        )
        kept, timing = choose(target, subject)
        small = _carve(specimen, found.groups, kept, _Care(absorb=absorb, calibrate=calibrate))
        plan = Plan(
            requested=target.wanted,
            target=target.unit,
            timing=timing,
            rule=rule,
            criterion=criterion,
            align=align,
            floor=subject.floor,
            seed=seed,
            absorb=absorb,
            kept=kept,
            widths_before={group.name: group.size for group in found.groups},
            whole=found.whole,
            **_costs(specimen, small),
        )
    return small, plan


def _costs(specimen: Specimen, small: nn.Module) -> dict[str, Any]:
    """Of the plan: parameters, and MACs of both at the same positions."""
    at = positions(specimen.net, specimen.inputs)
    costs = {
        "params_before": params(specimen.net),
        "params_after": params(small),
        "macs_before": macs_by_positions(specimen.net, at),
        "macs_after": macs_by_positions(small, at),
    }
    outside = macs_outside(specimen.net, specimen.inputs)
    share = outside / (outside + costs["macs_before"])
    if share >= OUTSIDE:
        warnings.warn(
            f"{share:.0%} of this network's multiply-accumulates are outside of its convolution and linear layers "
            "(attention, recurrent layers, other matrix products): the MACs of the plan leave them out",
            stacklevel=3,
        )
    return costs


def apply(
    plan: Plan,
    net: nn.Module,
    example: Example,
    calibrate: Iterable[Any] | None = None,
    *,
    output: Output | None = None,
) -> nn.Module:
    """`net` cut as `plan` says; on the network it was made from, with the same `calibrate`, the same result again.

    >>> net = nn.Sequential(nn.Conv2d(3, 32, 3), nn.BatchNorm2d(32), nn.ReLU(), nn.Conv2d(32, 10, 3))
    >>> small, plan = slim(net, torch.zeros(1, 3, 8, 8), ratio=0.5)
    >>> apply(plan, net, torch.zeros(1, 3, 8, 8))[0]
    Conv2d(3, 16, kernel_size=(3, 3), stride=(1, 1))

    Args:
        plan: of `slim`; `net`, `example`, `calibrate` and `output` are those of `slim`.

    Raises:
        ValueError: the plan was made for a network of other layers or widths.
    """
    if not isinstance(plan, Plan):
        raise ValueError(f"plan is a {type(plan).__name__}: give the Plan of compress.slim, or Plan.load(path)")
    plan.check()
    with plain_numbers(net):
        specimen = specimen_of(net, example, output)
        groups = survey(specimen).groups
        widths = {group.name: group.size for group in groups}
        if widths != plan.widths_before:
            odd = sorted({name for name, _ in widths.items() ^ plan.widths_before.items()})
            raise ValueError(f"this plan is for another network (other widths: {', '.join(odd)}): slim this one itself")
        return _carve(specimen, groups, plan.kept, _Care(absorb=plan.absorb, calibrate=calibrate))


@dataclass(frozen=True, kw_only=True)
class _Care:
    """What is done so that accuracy survives the cut."""

    absorb: bool
    calibrate: Iterable[Any] | None


def _carve(specimen: Specimen, groups: Sequence[ChannelGroup], kept: Kept, care: _Care) -> nn.Module:
    """The network of the channels in `kept`, as a deep copy that was cut; the network given is left unchanged."""
    batches = None if care.calibrate is None else _Batches(care.calibrate, specimen)
    removed = _removed(groups, kept)
    small = specimen.copy()
    silence(small, groups, removed, beta=False)
    if care.absorb and any(len(gone) for gone in removed.values()):
        absorb(small, groups, removed, islice([specimen.noise(0)] if batches is None else batches, ABSORB_BATCHES))
    if not holds(specimen, small, specimen.noise(1), groups, removed):
        raise ValueError(
            "cutting these channels changed what the network answers, although cutting half of each layer did not: its "
            "answers are too large or too uneven to compare in float32 (give it in float64, net.double()), or it needs "
            "other widths (try align=2, or a higher floor)"
        )
    if batches is not None:
        recalibrate(small, batches)
    return specimen.as_before(small)


def _removed(groups: Sequence[ChannelGroup], kept: Mapping[str, Sequence[int]]) -> Removed:
    removed = {}
    for group in groups:
        stays = set(kept[group.name])
        removed[group.name] = torch.tensor([i for i in range(group.size) if i not in stays], dtype=torch.long)
    return removed


class _Batches:
    """The calibration batches as the network takes them, as often as they are asked for."""

    def __init__(self, calibrate: Iterable[Any], specimen: Specimen) -> None:
        self.calibrate = list(calibrate) if isinstance(calibrate, Iterator) else calibrate  # it gives them once
        self.specimen = specimen

    def __iter__(self) -> Iterator[tuple[Tensor, ...]]:
        return batches_from(self.calibrate, len(self.specimen.inputs), self.specimen.net)
