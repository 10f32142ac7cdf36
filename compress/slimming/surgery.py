"""A smaller network of the same class: choose channels, absorb their constants, cut, prove it, rebuild, recalibrate.

The one thing to know: the cut is proved every time. The network with its removed channels silenced (gamma = beta = 0)
and the network without them must give the same logits, or slimming stops.

> slim_net, plan = slim(net, example, ratio=0.6, align=8, calibrate=batches)
> plan.achieved, plan.macs_after / plan.macs_before
"""

import copy
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import torch
import torch_pruning as tp
from torch import Tensor, nn

import fermodels
from compress.calling import Output, first_tensor
from compress.cost import macs_by_positions, params, positions
from compress.inputs import Example, evaluating, inputs_from
from compress.slimming.absorb import Removed, Views, absorb, silence
from compress.slimming.choose import choose
from compress.slimming.criteria import CRITERIA, Context, Labelled, Loss, warn_of_gammas
from compress.slimming.groups import (
    TRACE_SIDE_PX,
    ChannelGroup,
    channel_groups,
    cropped,
    dependency_graph,
)
from compress.slimming.plan import Plan
from compress.slimming.recalibrate import recalibrate
from compress.slimming.select import Floor, Kept
from compress.slimming.targets import Subject, one_target
from fermodels.nets.attention import CBAM

ABSORB_BATCHES = 8
"""Constants are measured on at most so many calibration batches: only the mean of an attention map needs them."""
PROOF_SIDE_PX = 64
"""Side of the random image on which silenced and cut network are compared: 2 x 2 positions after five pools."""
SPREAD_TOLERANCE, SIZE_TOLERANCE = 1e-3, 1e-5
"""How much their logits may differ: as a share of the logits' spread, plus one of their size for float32 rounding."""


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
    calibrate: Iterable[Views] | None = None,
    labelled: Iterable[Labelled] | None = None,
    loss: Loss | None = None,
    absorb: bool = True,
    seed: int = 0,
    output: Output | None = None,
) -> tuple[Any, Plan]:
    """A network of the class of `net` with batch-normed channels removed until it meets one target, and the plan.

    Args:
        net: a network of `fermodels.MODELS`; left unchanged.
        example: a tensor or a tuple of tensors that the network can be called with.
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
        calibrate: batches of views (training images): batch norms are measured anew on them.
        labelled: batches of (inputs, targets) for `criterion="taylor"`.
        loss: of `criterion="taylor"`: `loss(what the network returns, targets)`; cross-entropy of the logits when None.
        absorb: move what removed channels leave (relu(beta)) into the next biases instead of dropping it.
        seed: of `criterion="random"`.
        output: which tensor of the network's result is traced and compared; the first one where None.

    Raises:
        ValueError: a setting out of range, nothing to slim, or a budget that cannot be met; the mend is said.
    """
    if criterion not in CRITERIA:
        raise ValueError(f'criterion="{criterion}": allowed are {", ".join(CRITERIA)}')
    asked = {"ratio": ratio, "macs_share": macs_share, "params_share": params_share, "target_ms": target_ms}
    target = one_target(asked, runtime=runtime, batch=batch)
    given = _Network(net=net, inputs=inputs_from(example, net), output=output or first_tensor)
    groups = channel_groups(net, example, output)
    warn_of_gammas(net, groups, criterion)
    context = Context(labelled=labelled, seed=seed, loss=loss, output=output or first_tensor)
    subject = Subject(
        net=net,
        example=example,
        output=output,
        groups=groups,
        scores=CRITERIA[criterion](net, groups, context),
        rule=rule,
        floor=floor or Floor(),
        align=align,
        trial=lambda kept: _carve(given, groups, kept, _Care(absorb=False, calibrate=None)),
    )
    kept, timing = choose(target, subject)
    slim_net = _carve(given, groups, kept, _Care(absorb=absorb, calibrate=calibrate))
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
        widths_before={group.name: group.size for group in groups},
        **_costs(net, slim_net),
    )
    return slim_net, plan


def _costs(net: nn.Module, slim_net: nn.Module) -> dict[str, Any]:
    """Of the plan: parameters, and MACs of both at the same positions."""
    at = positions(net)
    return {
        "params_before": params(net),
        "params_after": params(slim_net),
        "macs_before": macs_by_positions(net, at),
        "macs_after": macs_by_positions(slim_net, at),
    }


def apply(
    plan: Plan,
    net: nn.Module,
    example: Example,
    calibrate: Iterable[Views] | None = None,
    *,
    output: Output | None = None,
) -> Any:
    """`net` cut as `plan` says; on the network it was made from, with the same `calibrate`, the same result again.

    Raises:
        ValueError: the plan was made for a network of other layers or widths.
    """
    plan.check()
    groups = channel_groups(net, example, output)
    widths = {group.name: group.size for group in groups}
    if widths != plan.widths_before:
        odd = sorted({name for name, _ in widths.items() ^ plan.widths_before.items()})
        raise ValueError(f"this plan is for another network (other widths: {', '.join(odd)}): slim this one itself")
    given = _Network(net=net, inputs=inputs_from(example, net), output=output or first_tensor)
    return _carve(given, groups, plan.kept, _Care(absorb=plan.absorb, calibrate=calibrate))


@dataclass(frozen=True, kw_only=True)
class _Network:
    """What is cut, what it is called with, and which tensor of its result counts."""

    net: nn.Module
    inputs: tuple[Tensor, ...]
    output: Output

    def noise(self, seed: int) -> tuple[Tensor, ...]:
        """One random image a view; the random state of the caller is left alone."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return tuple(torch.randn_like(each) for each in cropped(self.inputs, PROOF_SIDE_PX))

    @torch.no_grad()
    def answer(self, net: nn.Module, inputs: tuple[Tensor, ...]) -> Tensor:
        with evaluating(net):
            return self.output(net(*inputs))


@dataclass(frozen=True, kw_only=True)
class _Care:
    """What is done so that accuracy survives the cut."""

    absorb: bool
    calibrate: Iterable[Views] | None


def _carve(given: _Network, groups: Sequence[ChannelGroup], kept: Kept, care: _Care) -> nn.Module:
    """The network of the channels in `kept`, as a fresh network of the same class; the one given is left unchanged."""
    batches = None if care.calibrate is None else _again(care.calibrate)
    removed = _removed(groups, kept)
    work = _working_copy(given.net)
    silence(work, groups, removed, beta=False)
    if care.absorb and any(len(gone) for gone in removed.values()):
        measured_on = [given.noise(0)] if batches is None else batches
        absorb(work, groups, removed, islice(measured_on, ABSORB_BATCHES))
    silence(work, groups, removed, beta=True)
    views = given.noise(1)
    silenced = given.answer(work, views)
    _cut(work, given, groups, removed)
    slim_net = _rebuilt(given.net, work)
    _assert_same(silenced, given.answer(slim_net, views))
    if batches is not None:
        recalibrate(slim_net, batches)
    return slim_net


def _removed(groups: Sequence[ChannelGroup], kept: Mapping[str, Sequence[int]]) -> Removed:
    removed = {}
    for group in groups:
        stays = set(kept[group.name])
        removed[group.name] = torch.tensor([i for i in range(group.size) if i not in stays], dtype=torch.long)
    return removed


def _again(calibrate: Iterable[Views]) -> Iterable[Views]:
    """`calibrate` as something that can be walked through twice: an iterator would be empty the second time."""
    return list(calibrate) if iter(calibrate) is calibrate else calibrate


def _working_copy(net: nn.Module) -> nn.Module:
    """A copy in evaluation mode whose large weights are shared with `net`: nothing below writes to them in place."""
    memo: dict[int, Any] = {}
    for weight in net.parameters():
        values = weight.detach()
        memo[id(weight)] = nn.Parameter(values if weight.ndim > 1 else values.clone(), requires_grad=True)
    return copy.deepcopy(net, memo).eval()


def _cut(net: nn.Module, given: _Network, groups: Sequence[ChannelGroup], removed: Removed) -> None:
    """Removes the channels in place through the dependency graph, which makes new, smaller weights."""
    attentions = {module: module.channels for module in net.modules() if isinstance(module, CBAM)}
    graph = dependency_graph(net, cropped(given.inputs, TRACE_SIDE_PX), given.output)
    for group in groups:
        gone = removed[group.name].tolist()
        if gone:
            graph.get_pruning_group(net.get_submodule(group.name), tp.prune_conv_out_channels, gone).prune()
    for attention, before in attentions.items():
        attention.spatial.narrow(attention.channels / before)


def _rebuilt(net: Any, cut: Any) -> nn.Module:
    """An ordinary network of the class of `net` with the widths and the weights of `cut`, loaded strictly."""
    widths = {name: trunk.widths for name, trunk in cut.trunks.items()}
    with torch.random.fork_rng(devices=[]):  # fresh weights are drawn, then overwritten
        fresh = fermodels.rebuild(net, widths)
    weight = next(net.parameters())
    fresh.to(device=weight.device, dtype=weight.dtype)
    fresh.load_state_dict(cut.state_dict(), strict=True)
    return fresh.train(net.training)


def _assert_same(silenced: Tensor, cut: Tensor) -> None:
    """The law of slimming: silencing channels and cutting them give the same logits, up to the order of sums."""
    spread, size = float(silenced.std()), float(silenced.abs().max())
    error = float((silenced - cut).abs().max())
    assert error <= SPREAD_TOLERANCE * spread + SIZE_TOLERANCE * size, (
        f"cutting the channels changed the logits by {error:.3g} (spread {spread:.3g}): the dependency graph misread "
        "this network, please report it with the architecture"
    )
