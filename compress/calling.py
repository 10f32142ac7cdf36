"""How any network is called, and which tensor of its answer counts.

Inputs are one tensor or a tuple of tensors; batches are (inputs, targets, ...). The answer may be a tensor, or hold
tensors in tuples, lists, dicts and dataclasses: the first one counts, unless the user names another.
"""

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from torch import Tensor, nn

Output = Callable[[Any], Tensor]
"""From what a network returns to the tensor that counts."""


def inputs_of(given: Any) -> tuple[Tensor, ...]:
    """What the network is called with: `given` is a tensor, or a tuple or list of tensors.

    Raises:
        ValueError: it is neither.
    """
    inputs = (given,) if isinstance(given, Tensor) else given
    if not isinstance(inputs, (tuple, list)) or not inputs or not all(isinstance(one, Tensor) for one in inputs):
        raise ValueError(f"inputs of type {type(given).__name__}: give a tensor, or a tuple of tensors")
    return tuple(inputs)


def answered(net: nn.Module, inputs: Sequence[Tensor]) -> Any:
    """What `net` returns when it is called with `inputs`.

    Raises:
        ValueError: it fails on them.
    """
    try:
        return net(*inputs)
    except Exception as error:  # of whatever its layers are
        shapes = ", ".join(f"{tuple(each.shape)} of {str(each.dtype).removeprefix('torch.')}" for each in inputs)
        raise ValueError(
            f"the network fails on inputs of shape {shapes} ({reason_of(error)}): give them as it takes them, "
            "the first axis counts the images"
        ) from error


def first_tensor(answer: Any) -> Tensor:
    """The first tensor in what a network returned.

    Raises:
        ValueError: there is none.
    """
    for _, found in named_tensors(answer):
        return found
    raise ValueError(f"the network returns {type(answer).__name__} without a tensor: give output=lambda r: ...")


def choosing(output: Output) -> Output:
    """`output`, whose mistakes are sentences: a ValueError where it finds nothing, or something else than a tensor."""

    def chosen(answer: Any) -> Tensor:
        try:
            found = output(answer)
        except (AttributeError, LookupError, TypeError) as error:
            raise ValueError(
                f"output= fails on what the network returns, a {type(answer).__name__} ({error!r})"
            ) from error
        if not isinstance(found, Tensor):
            raise ValueError(f"output= gives {type(found).__name__}, not one tensor of what the network returns")
        return found

    return chosen


def named_tensors(answer: Any, name: str = "output") -> Iterator[tuple[str, Tensor]]:
    """The tensors in what a network answers, each with a name: field, key, or `name` and a number."""
    if isinstance(answer, Tensor):
        yield name, answer
    elif isinstance(answer, Mapping):
        for key, part in answer.items():
            yield from named_tensors(part, str(key))
    elif dataclasses.is_dataclass(answer):
        for field in dataclasses.fields(answer):
            yield from named_tensors(getattr(answer, field.name), field.name)
    elif isinstance(answer, Sequence) and not isinstance(answer, str):
        fields = getattr(answer, "_fields", [f"{name}{i}" for i in range(len(answer))])
        for field, part in zip(fields, answer, strict=True):
            yield from named_tensors(part, field)


def unwrapped(net: Any) -> Any:
    """The network inside torch.compile, DataParallel or DistributedDataParallel."""
    while isinstance(net, (nn.DataParallel, nn.parallel.DistributedDataParallel)) or hasattr(net, "_orig_mod"):
        net = net._orig_mod if hasattr(net, "_orig_mod") else net.module
    return net


def reason_of(error: Exception) -> str:
    """The first line that `error` says."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), repr(error))[:300]
