"""Shapes without arithmetic: a network on PyTorch's meta device, which keeps shapes and graph and computes no value."""

from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from compress.calling import answered
from compress.sound import copied

Result = TypeVar("Result")


def on_shapes(
    net: nn.Module, inputs: tuple[Tensor, ...], action: Callable[[nn.Module, tuple[Tensor, ...]], Result]
) -> Result:
    """`action` of a copy of `net` in evaluation mode and its inputs: without values, or with them where that fails.

    It fails where a forward pass asks for a value (`.item()`) or meets a tensor that is no parameter and no buffer.

    Raises:
        ValueError: the network does not take these inputs, or cannot be copied.
    """
    with torch.inference_mode(False):
        try:
            return action(shape_copy(net), tuple(torch.empty_like(each, device="meta") for each in inputs))
        except Exception:  # whatever it was: with values the real reason shows
            twin, given = copied(net).eval(), tuple(each.detach().clone() for each in inputs)
            with torch.no_grad():
                answered(twin, given)
            return action(twin, given)


def shape_copy(net: nn.Module) -> nn.Module:
    """The modules of `net` in evaluation mode with tensors of the same shapes and no values."""
    memo: dict[int, Any] = {}
    for weight in net.parameters():
        memo[id(weight)] = nn.Parameter(torch.empty_like(weight, device="meta"), weight.is_floating_point())
    for value in net.buffers():
        memo[id(value)] = torch.empty_like(value, device="meta")
    return copied(net, memo).eval()
