"""What a network costs: parameters, and multiply-accumulates (MACs) of one image.

Convention: one MAC is one multiply with its add; papers on faces call this FLOPs, others call twice this FLOPs. `macs`
counts those of convolution and linear layers, as a closed form without arithmetic; tests hold it to PyTorch's counter
and to `macs_by_fvcore` (which also says what it did not count). `macs_outside` counts those of all other matrix
products, such as attention and recurrent layers.
"""

import copy
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd
from torch.utils.flop_counter import FlopCounterMode

from compress.inputs import Example, evaluating, inputs_from
from compress.shapes import on_shapes

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
    """Number of all parameters, frozen ones too; a shared one counts once.

    >>> params(nn.Linear(3, 2))
    8
    """
    return sum(parameter.numel() for parameter in net.parameters())


def macs(net: nn.Module, example: Example) -> int:
    """MACs of one image in the convolutions and linear layers of `net`, in evaluation mode. `net` is left as it was.

    >>> macs(nn.Conv2d(3, 8, 3, padding=1), torch.zeros(1, 3, 10, 10))
    21600
    """
    return macs_by_positions(net, positions(net, example))


def macs_outside(net: nn.Module, example: Example) -> int:
    """MACs of one image that `macs` leaves out: matrix products that belong to no convolution or linear layer.

    These are the attention of transformers, recurrent layers, and products that the forward pass itself computes.

    >>> macs_outside(nn.LSTM(5, 3, batch_first=True), torch.zeros(1, 10, 5))  # 10 steps, 4 gates of 5 + 3 inputs
    960
    """
    inputs = inputs_from(example, net)
    return on_shapes(net, inputs, _products) - macs(net, inputs)


def positions(net: nn.Module, example: Example) -> dict[str, int]:
    """Convolution or linear layer -> output positions for one image: height * width * how often it sees the image.

    They depend on the geometry and not on the widths. The first axis of `example` counts the images.
    """
    inputs = inputs_from(example, net)
    return on_shapes(net, inputs, _positions)


def macs_by_positions(net: nn.Module, at: Mapping[str, int]) -> int:
    """MACs of one image by closed form: every output position of a layer costs one MAC for each of its weights.

    `at` are the `positions` of `net`, or of any network of the same geometry.
    """
    with evaluating(net):  # a weight may be computed when it is asked for
        return sum(_numbers(net.get_submodule(name)) * count for name, count in at.items())


def macs_by_fvcore(net: nn.Module, example: Example) -> Macs:
    """MACs of one image through fvcore. It runs the network once on real tensors, which takes as long as an image does.

    >>> macs_by_fvcore(nn.Sequential(nn.Linear(3, 2), nn.ReLU()), torch.zeros(1, 3)).uncounted
    {}
    """
    inputs = tuple(each[:1] for each in inputs_from(example, net))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # importing fvcore scripts a loss that nobody uses here
        from fvcore.nn import FlopCountAnalysis

        analysis = FlopCountAnalysis(_twin(net), inputs)
        analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False).tracer_warnings("none")
        with torch.no_grad():
            counts = analysis.by_operator()
    counted = {name: round(count) for name, count in counts.items() if name in MAC_OPERATORS}
    other = {name: 1 for name in counts if name not in MAC_OPERATORS | NOT_MACS}
    uncounted = {name.removeprefix("aten::"): count for name, count in analysis.unsupported_ops().items()}
    return Macs(total=sum(counted.values()), uncounted=dict(sorted({**uncounted, **other}.items())))


@torch.no_grad()
def _products(net: nn.Module, inputs: tuple[Tensor, ...]) -> int:
    """MACs of one image in every convolution and matrix product that PyTorch computes."""
    with FlopCounterMode(display=False) as counter:
        net(*inputs)
    return counter.get_total_flops() // 2 // len(inputs[0])


@torch.no_grad()
def _positions(net: nn.Module, inputs: tuple[Tensor, ...]) -> dict[str, int]:
    counts: dict[str, int] = {}
    layers = {name: module for name, module in net.named_modules() if isinstance(module, (_ConvNd, nn.Linear))}
    for name, module in layers.items():
        module.register_forward_hook(partial(_count, counts, name))
    net(*inputs)
    return {name: count // len(inputs[0]) for name, count in counts.items()}


def _count(counts: dict[str, int], name: str, module: Any, inputs: Any, output: Tensor) -> None:
    """Transposed convolutions use each weight once for every position of their input, others of their output."""
    at, channels = (
        (inputs[0], module.in_channels) if getattr(module, "transposed", False) else (output, _outputs(module))
    )
    counts[name] = counts.get(name, 0) + at.numel() // channels


def _numbers(module: Any) -> int:
    return module.weight.numel()


def _outputs(module: Any) -> int:
    return module.out_channels if isinstance(module, _ConvNd) else module.out_features


def _twin(net: nn.Module) -> nn.Module:
    """A copy of the modules of `net` in evaluation mode that shares all its tensors."""
    return copy.deepcopy(net, {id(tensor): tensor for tensor in (*net.parameters(), *net.buffers())}).eval()
