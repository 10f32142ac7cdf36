"""What a network costs: learnable parameters, and multiply-accumulates (MACs) of one image.

Convention: one MAC is one multiply with its add, in convolutions and matrix products only; papers on faces call this
FLOPs, others call twice this FLOPs. Two counters: `macs` (fvcore, says what it could not count) and
`macs_by_positions` (closed form, milliseconds). A test holds both to `torch.utils.flop_counter`.
"""

import copy
import warnings
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

import fermodels

MAC_OPERATORS = frozenset({"conv", "linear", "addmm", "matmul", "bmm", "einsum"})
"""fvcore's names for what counts; its batch_norm (cheap, and folded away at inference) does not."""
NOT_MACS = frozenset({"batch_norm", "layer_norm", "group_norm", "instance_norm", "adaptive_avg_pool2d"})
"""What fvcore counts although it is no multiply-accumulate here."""


@dataclass(frozen=True, kw_only=True)
class Macs:
    """MACs of one image, and what is not in them."""

    total: int
    uncounted: dict[str, int] = field(default_factory=dict)
    """Operator -> how often it occurs without a count: pooling, activations, products of maps."""


def params(net: nn.Module) -> int:
    """Number of all learnable parameters; a shared one counts once."""
    return sum(parameter.numel() for parameter in net.parameters() if parameter.requires_grad)


def macs(net: nn.Module) -> Macs:
    """MACs of one image of `net.example()` through fvcore, in evaluation mode. `net` is left as it was.

    The network is run once on real tensors (fvcore traces it), so this takes as long as one image does.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # importing fvcore scripts a loss that nobody uses here
        from fvcore.nn import FlopCountAnalysis

        twin = _twin(net)
        analysis = FlopCountAnalysis(twin, _example(net))
        analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False).tracer_warnings("none")
        with torch.no_grad():
            counts = analysis.by_operator()
    counted = {name: round(count) for name, count in counts.items() if name in MAC_OPERATORS}
    other = {name: 1 for name in counts if name not in MAC_OPERATORS | NOT_MACS}
    uncounted = {name.removeprefix("aten::"): count for name, count in analysis.unsupported_ops().items()}
    return Macs(total=sum(counted.values()), uncounted=dict(sorted({**uncounted, **other}.items())))


def positions(net: nn.Module) -> dict[str, int]:
    """Convolution or linear layer -> output positions for one image: height * width * how often it sees the image.

    They depend on the geometry and not on the widths, so they are measured on a network of the same class with one
    channel in every trunk layer, which costs nearly nothing.
    """
    with torch.random.fork_rng(devices=[]):
        thin = fermodels.rebuild(net, {trunk: (1,) * len(widths) for trunk, widths in _widths(net).items()})
    counts: dict[str, int] = {}
    for name, module in thin.named_modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            module.register_forward_hook(partial(_count, counts, name))
    with torch.no_grad():
        thin.eval()(*_example(thin))
    return counts


def macs_by_positions(net: nn.Module, at: dict[str, int] | None = None) -> int:
    """MACs of one image by closed form: every output position of a layer costs one MAC for each of its weights.

    `at` are the `positions` of `net`, or of any network of the same geometry; measured when None.
    """
    at = positions(net) if at is None else at
    return sum(net.get_parameter(f"{name}.weight").numel() * count for name, count in at.items())


def _count(counts: dict[str, int], name: str, module: Any, inputs: Any, output: Tensor) -> None:
    channels = module.out_channels if isinstance(module, nn.Conv2d) else module.out_features
    counts[name] = counts.get(name, 0) + output.numel() // channels


def _widths(net: Any) -> dict[str, tuple[int, ...]]:
    return net.config.widths


def _example(net: Any) -> tuple[Tensor, ...]:
    """One image for `net`, on its device; the random state of the caller is left alone."""
    device = next(net.parameters()).device
    with torch.random.fork_rng(devices=[]):
        return tuple(view.to(device) for view in net.example(1))


def _twin(net: nn.Module) -> nn.Module:
    """A copy of the modules of `net` in evaluation mode that shares all its tensors."""
    return copy.deepcopy(net, {id(tensor): tensor for tensor in (*net.parameters(), *net.buffers())}).eval()
