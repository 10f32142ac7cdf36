"""Memory for a TensorRT engine on the current GPU, from PyTorch or from PyCUDA, always seen as PyTorch tensors.

All of it lies in the GPU's primary context, the one of PyTorch and TensorRT: PyCUDA makes none of its own.
"""

import weakref
from collections.abc import Callable
from functools import cache
from math import prod
from typing import Any

import torch
from torch import Tensor

from compress.libraries import library

Allocate = Callable[[tuple[int, ...], torch.dtype], Tensor]
"""An uninitialised contiguous tensor on the current GPU, whose memory is freed when the last tensor on it is gone.

Raises `Unavailable` where the library is missing, RuntimeError where the GPU has no memory left."""


def _from_torch(shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    return torch.empty(shape, dtype=dtype, device="cuda")


def _from_pycuda(shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    driver, size = library("pycuda.driver"), prod(shape) * dtype.itemsize
    context = _primary_context(driver, torch.cuda.current_device())
    context.push()
    try:
        memory = driver.mem_alloc(size)
    except driver.Error as error:
        raise RuntimeError(
            f'PyCUDA gets no {size:,} bytes ({error}): try smaller batches, or buffers="torch"'
        ) from error
    finally:
        context.pop()

    def free() -> None:
        context.push()
        memory.free()
        context.pop()

    shown = _Shown(int(memory), shape, torch.empty(0, dtype=dtype).numpy().dtype.str)
    weakref.finalize(shown, free).atexit = False  # what is left when the process ends goes with it
    return _as_tensor(shown)


class _Shown:
    """Memory on a GPU in the words that PyTorch reads: a tensor made of it keeps it alive."""

    def __init__(self, address: int, shape: tuple[int, ...], kind: str) -> None:
        self.__cuda_array_interface__ = {"data": (address, False), "shape": shape, "typestr": kind, "version": 3}


def _as_tensor(shown: _Shown) -> Tensor:
    return torch.as_tensor(shown, device="cuda")


@cache
def _primary_context(driver: Any, device: int) -> Any:
    """Retained once for the process: PyCUDA's way of giving it back leaves it on the thread's stack of contexts."""
    driver.init()
    return driver.Device(device).retain_primary_context()


BUFFERS: dict[str, Allocate] = {"torch": _from_torch, "pycuda": _from_pycuda}
