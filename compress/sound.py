"""What is asked of any network before work on it begins: finite tensors, and that it can be copied."""

import copy
from collections.abc import Mapping
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from compress.calling import reason_of

Net = TypeVar("Net", bound=nn.Module)


def tensors_of(net: nn.Module) -> dict[str, Tensor]:
    """Weights and buffers of `net` by name, the very ones that it holds.

    Raises:
        ValueError: it is no network in floating point, a lazy layer has no size yet, or values are not there or not
            finite.
    """
    if not isinstance(net, nn.Module):
        raise ValueError(f"a {type(net).__name__} is no network: give a torch.nn.Module")
    tensors = dict(net.state_dict(keep_vars=True))
    for name, value in tensors.items():
        if is_lazy(value):
            raise ValueError(f"{name} has no size yet, its layer is lazy: call the network once")
        if not isinstance(value, Tensor) or value.is_quantized:
            raise ValueError(f"{name} is quantised, or no tensor: give the network as it was in floating point")
        if value.is_meta:
            raise ValueError(f"{name} lies on meta, where there are no values: move the network to a device")
    must_be_finite(tensors, "the training diverged, take an earlier checkpoint")
    return tensors


def must_be_finite(tensors: Mapping[str, Tensor], mend: str, where: str = "") -> None:
    """Raises ValueError with the name of the first of `tensors` that holds NaN or infinite values."""
    for name, value in tensors.items():
        if value.is_floating_point() and not bool(torch.isfinite(value.detach()).all()):
            raise ValueError(f"{where}{name} holds NaN or infinite values: {mend}")


def copied(net: Net, shared: Mapping[int, Any] | None = None) -> Net:
    """A deep copy of `net`. An answer that a module keeps, and old weight norms, are copied without their gradients.

    Args:
        shared: id of a tensor of `net` -> what stands for it in the copy.

    Raises:
        ValueError: Python cannot copy it.
    """
    kept = [value for module in net.modules() for value in vars(module).values() if isinstance(value, Tensor)]
    memo = {id(value): value.detach().clone() for value in kept if not value.is_leaf}
    try:
        return copy.deepcopy(net, memo | dict(shared or {}))
    except Exception as error:  # whatever the objects in it say
        raise ValueError(
            f"this network cannot be copied ({reason_of(error)}): it holds answers with their gradients, or something "
            "else that no copy can be made of; call it once under torch.no_grad(), or take that off"
        ) from error
