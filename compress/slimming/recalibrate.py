"""Batch-norm statistics measured anew: after a cut they still describe inputs that are no more."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from compress.calling import answered
from compress.inputs import evaluating


@torch.no_grad()
def recalibrate(net: nn.Module, batches: Iterable[tuple[Tensor, ...]]) -> None:
    """Replaces running means and variances in place by plain averages over `batches`; all else is left as it was.

    Args:
        batches: tuples of tensors as `net` takes them, training images without augmentation that the test will not see.

    Raises:
        ValueError: there is no batch.
    """
    norms = [module for module in net.modules() if isinstance(module, _BatchNorm) and module.running_mean is not None]
    count = 0
    with evaluating(net), _restored(norms):
        for inputs in batches:
            for norm in norms if not count else ():  # not before a batch is there: an empty iterable must not harm
                norm.reset_running_stats()
                norm.momentum = None  # cumulative average
                norm.train()
            answered(net, inputs)
            count += 1
    if not count:
        raise ValueError("calibrate holds no batch: give at least one, or None")


@contextmanager
def _restored(norms: Sequence[_BatchNorm]) -> Iterator[None]:
    momenta = [norm.momentum for norm in norms]
    try:
        yield
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
