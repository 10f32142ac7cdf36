"""Memory for inputs and outputs on the current GPU, from three libraries, always seen as PyTorch tensors.

    BUFFERS["cuda-bindings"]((32, 7), torch.float32)

All of it lies in the GPU's primary context, the one of PyTorch and TensorRT: none of them makes a context of its own.
"""

import importlib
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from math import prod
from typing import Any

import torch
from torch import Tensor

from compress.runtimes.session import Unavailable

Allocate = Callable[[tuple[int, ...], torch.dtype], Tensor]
"""An uninitialised contiguous tensor on the current GPU, whose memory is freed when the last tensor on it is gone.

Raises `Unavailable` where the library is missing, RuntimeError where the GPU has no memory left."""


def _from_torch(shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    return torch.empty(shape, dtype=dtype, device="cuda")


def _from_cuda_bindings(shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    runtime = _library("cuda.bindings.runtime", "cuda-bindings")
    device, size = torch.cuda.current_device(), _bytes(shape, dtype)

    def checked(answer: tuple[Any, ...], doing: str) -> list[Any]:
        error, *values = answer
        if error != runtime.cudaError_t.cudaSuccess:
            raise _failed("cuda-bindings", doing, device, runtime.cudaGetErrorString(error)[1].decode())
        return values

    checked(runtime.cudaSetDevice(device), "use")  # this library has a current device of its own
    (address,) = checked(runtime.cudaMalloc(size), f"get {size:,} bytes on")
    return _tensor(int(address), shape, dtype, lambda: checked(runtime.cudaFree(address), "free memory on"))


def _from_pycuda(shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    driver = _library("pycuda.driver", "pycuda")
    device, size = torch.cuda.current_device(), _bytes(shape, dtype)
    with _in_primary_context(driver, device):
        try:
            memory = driver.mem_alloc(size)
        except driver.Error as error:
            raise _failed("pycuda", f"get {size:,} bytes on", device, str(error)) from error

    def free() -> None:
        with _in_primary_context(driver, device):
            memory.free()

    return _tensor(int(memory), shape, dtype, free)


BUFFERS: dict[str, Allocate] = {"torch": _from_torch, "cuda-bindings": _from_cuda_bindings, "pycuda": _from_pycuda}


class _Shown:
    """Memory on a GPU in the words that PyTorch reads: a tensor made of it keeps it alive."""

    def __init__(self, address: int, shape: tuple[int, ...], dtype: torch.dtype) -> None:
        kind = torch.empty(0, dtype=dtype).numpy().dtype.str
        self.__cuda_array_interface__ = {"data": (address, False), "shape": shape, "typestr": kind, "version": 3}


def _tensor(address: int, shape: tuple[int, ...], dtype: torch.dtype, free: Callable[[], object]) -> Tensor:
    shown = _Shown(address, shape, dtype)
    weakref.finalize(shown, free).atexit = False  # what is left when the process ends goes with it
    return _as_tensor(shown)


def _as_tensor(shown: _Shown) -> Tensor:
    return torch.as_tensor(shown, device="cuda")


@contextmanager
def _in_primary_context(driver: Any, device: int) -> Iterator[None]:
    context = _primary_context(driver, device)
    context.push()
    try:
        yield
    finally:
        context.pop()


@cache
def _primary_context(driver: Any, device: int) -> Any:
    """Retained once for the process: PyCUDA's way of giving it back leaves it on the thread's stack of contexts."""
    driver.init()
    return driver.Device(device).retain_primary_context()


def _library(module: str, extra: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise Unavailable(f"{extra} is not installed: pip install 'fermodels[{extra}]' ({error})") from error


def _bytes(shape: tuple[int, ...], dtype: torch.dtype) -> int:
    return prod(shape) * dtype.itemsize


def _failed(library: str, doing: str, device: int, why: str) -> RuntimeError:
    return RuntimeError(f'{library} could not {doing} GPU {device} ({why}): try smaller batches, or buffers="torch"')
