"""Several processes train one network, as `torchrun` starts them: who this one is, and what all must agree on.

    torchrun --nproc-per-node 2 my_training.py      # `compress.fit` in it joins by itself

Each process takes its rows of every batch; DistributedDataParallel averages the gradients. Everything that is decided
or written is the first process's affair: the others wait and are told. In a process alone all of this does nothing.
"""

import atexit
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar

import torch
from torch import Tensor, distributed, nn

BATCH_NORMS = ("local", "synchronised")
"""Statistics of a training batch: each process's own rows, or the rows of all of them (on CUDA devices only)."""
PATIENCE = timedelta(days=1)
"""How long one waits for the others, as for a stage that another run is at."""
_LOST = re.compile(r"gloo|nccl|connection|peer|socket", re.IGNORECASE)
_apart = False
T = TypeVar("T")


def join() -> None:
    """Joins the processes of `torchrun`, if it started this one; a second call does nothing.

    A machine's processes share its GPUs out by their local numbers: "cuda" is the own one afterwards.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1 or distributed.is_initialized():
        return
    gpus = torch.cuda.device_count()
    if gpus:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]) % gpus)
    shared = gpus < int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    cuda = "gloo" if shared else "nccl"  # NCCL refuses two processes on one GPU
    distributed.init_process_group(f"cpu:gloo,cuda:{cuda}" if gpus else "gloo", timeout=PATIENCE)
    atexit.register(distributed.destroy_process_group)


def world() -> int:
    """How many processes train together; 1 alone."""
    grouped = distributed.is_available() and distributed.is_initialized() and not _apart
    return distributed.get_world_size() if grouped else 1


def rank() -> int:
    """Number of this process, 0 of the first one and alone."""
    return distributed.get_rank() if world() > 1 else 0


def from_first(make: Callable[[], T]) -> T:
    """What `make` gives in the first process, in all of them; the others wait for it, and raise what it raises.

    Inside `make` the first process is alone.

    Raises:
        ConnectionError: another process is gone.
    """
    global _apart  # noqa: PLW0603 - a process is in one group
    if world() == 1:
        return make()
    told: list[Any] = [None, None]
    if rank() == 0:
        _apart = True
        try:
            told[0] = make()
        except (ValueError, OSError, FloatingPointError) as error:
            told[1] = error
        finally:
            _apart = False
    with watched():
        distributed.broadcast_object_list(told, device=torch.device("cpu"))
    if told[1] is not None:
        raise told[1]
    return told[0]


def gathered(own: T) -> list[T]:
    """What every process has, in the order of their numbers."""
    everyone: list[Any] = [own] * world()
    if world() > 1:
        with watched():
            distributed.all_gather_object(everyone, own)
    return everyone


def summed(own: Tensor) -> Tensor:
    """The sum over the processes."""
    if world() > 1:
        own = own.detach().clone()
        with watched():
            distributed.all_reduce(own)
    return own


def enough(rows: int) -> bool:
    """Whether a batch has two rows for each process: batch norm cannot train on one."""
    return rows >= 2 * world()


def own_rows(rows: int) -> slice:
    """Which rows of a batch are this process's."""
    return slice(rows * rank() // world(), rows * (rank() + 1) // world())


@contextmanager
def own_chance(seed: int) -> Iterator[None]:
    """Dropout inside the block differs from process to process, and what is drawn outside of it is alike in all."""
    if world() == 1:
        yield
        return
    with torch.random.fork_rng(devices=[torch.cuda.current_device()] if torch.cuda.is_initialized() else []):
        torch.manual_seed((seed * world() + rank()) % 2**63)
        yield


def same_tensors(net: nn.Module) -> None:
    """The first process's weights and buffers, such as running means of its own rows, in all of them."""
    if world() > 1:
        with watched():
            for tensor in net.state_dict().values():
                whole = tensor.contiguous()
                distributed.broadcast(whole, 0)
                tensor.copy_(whole)


@contextmanager
def parallel(net: nn.Module, batch_norm: str) -> Iterator[nn.Module]:
    """`net` as it is trained: in several processes, its calls average the gradients of its parameters over them.

    Raises:
        ValueError: an unknown `batch_norm`, or a synchronised one on a CPU.
    """
    if batch_norm not in BATCH_NORMS:
        raise ValueError(f'batch_norm="{batch_norm}": allowed are {", ".join(BATCH_NORMS)}')
    if world() == 1:
        yield net
        return
    norms = list(_synchronised(net)) if batch_norm == "synchronised" else []
    try:
        yield nn.parallel.DistributedDataParallel(net)
    finally:
        for parent, name, own in norms:
            setattr(parent, name, own)


def _synchronised(net: nn.Module) -> Iterator[tuple[nn.Module, str, nn.Module]]:
    """Puts a synchronised batch norm, with the same tensors, in the place of each; gives the places and what was there.

    Raises:
        ValueError: `net` is on no CUDA device.
    """
    if not all(parameter.is_cuda for parameter in net.parameters()):
        raise ValueError('batch_norm="synchronised" needs CUDA: PyTorch has none on a CPU, "local" runs everywhere')
    for parent in list(net.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)):
                setattr(parent, name, nn.SyncBatchNorm.convert_sync_batchnorm(child))
                yield parent, name, child


@contextmanager
def watched() -> Iterator[None]:
    """Says in a sentence that another process is gone, after which this one is alone, or that a network cannot be
    trained by several.

    Raises:
        ConnectionError: the one.
        ValueError: the other.
    """
    global _apart  # noqa: PLW0603
    try:
        yield
    except RuntimeError as error:
        if world() == 1:
            raise
        if "finished reduction in the prior iteration" in str(error):
            told = "some parameters have no gradient, so processes cannot share theirs"
            raise ValueError(f"{told}: requires_grad_(False) on what the loss does not reach") from error
        if not _LOST.search(str(error)):
            raise
        told = f"process {rank() + 1} of {world()} ends: another one is gone"
        _apart = True
        raise ConnectionError(f"{told}; finished epochs are kept, the same command goes on from them") from error
