"""Examples and calibration batches as a network takes them, on its device and in its type; and evaluation mode."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from compress.calling import inputs_of

Example = Tensor | Sequence[Tensor]
"""One tensor, or one for each argument of the network."""


def inputs_from(example: Example, net: nn.Module) -> tuple[Tensor, ...]:
    """`example` as a tuple on the device of `net`, floating tensors in its type.

    Raises:
        ValueError: it is neither a tensor nor a tuple of tensors.
    """
    return _like_weights(inputs_of(example), net)


def batches_from(calibrate: Iterable[Any], inputs: int, net: nn.Module) -> Iterator[tuple[Tensor, ...]]:
    """The inputs of every batch of `calibrate`, on the device of `net`.

    Args:
        calibrate: batches as the network takes them (a tensor or a tuple of tensors), or pairs (inputs, targets) as a
            DataLoader gives them; what follows the inputs is left aside.
        inputs: how many tensors `net` is called with.

    Raises:
        ValueError: a batch of another form, or with values that are not finite.
    """
    if isinstance(calibrate, Tensor) or not isinstance(calibrate, Iterable):
        raise ValueError(f"calibrate is a {type(calibrate).__name__}: give a list of batches, or a loader")
    for number, batch in enumerate(calibrate):
        found = _inputs_of(batch, inputs)
        if found is None:
            wanted = "a tensor" if inputs == 1 else f"a tuple of {inputs} tensors"
            raise ValueError(
                f"batch {number} of calibrate is a {type(batch).__name__} that does not hold what the network takes: "
                f"give {wanted}, or (inputs, targets)"
            )
        if not all(bool(torch.isfinite(each).all()) for each in found):
            raise ValueError(f"batch {number} of calibrate holds NaN or infinite values: mend the data")
        yield _like_weights(found, net)


def placement(net: nn.Module) -> tuple[torch.device, torch.dtype]:
    """Device and floating type of `net`: those of its first floating tensor; the CPU and float32 where it has none."""
    floating = (each for each in (*net.parameters(), *net.buffers()) if each.is_floating_point())
    first = next(floating, torch.zeros(()))
    return first.device, first.dtype


@contextmanager
def evaluating(net: nn.Module) -> Iterator[None]:
    """`net` in evaluation mode inside the block; every module's own training flag is restored after it."""
    flags = {module: module.training for module in net.modules()}
    net.eval()
    try:
        yield
    finally:
        for module, training in flags.items():
            module.training = training


def _like_weights(inputs: Iterable[Tensor], net: nn.Module) -> tuple[Tensor, ...]:
    device, dtype = placement(net)
    return tuple(each.to(device, dtype if each.is_floating_point() else each.dtype) for each in inputs)


def _inputs_of(batch: Any, inputs: int) -> tuple[Tensor, ...] | None:
    if isinstance(batch, Tensor):
        batch = (batch,)
    if not isinstance(batch, Sequence) or not batch:
        return None
    found = tuple(batch[0] if isinstance(batch[0], (tuple, list)) else batch[:inputs])
    return found if len(found) == inputs and all(isinstance(each, Tensor) for each in found) else None
