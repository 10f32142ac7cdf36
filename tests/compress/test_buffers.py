"""Memory from PyCUDA, on the CPU: a module in its place lends the machine's memory and counts."""

import ctypes
import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor

from compress.runtimes import Unavailable, buffers

SHAPE = (3, 2)
LIMIT = 1 << 20
"""Bytes that the pretended GPU has."""


class Lent:
    """The machine's memory: what was lent, and what was given back."""

    def __init__(self) -> None:
        self.blocks: dict[int, ctypes.Array] = {}
        self.freed: list[int] = []

    def take(self, size: int) -> int:
        block = ctypes.create_string_buffer(size)
        self.blocks[ctypes.addressof(block)] = block
        return ctypes.addressof(block)

    def free(self, address: int) -> None:
        del self.blocks[address]
        self.freed.append(address)


class Driver(ModuleType):
    """pycuda.driver, which lends and takes back only inside the primary context."""

    class Error(Exception):
        pass

    def __init__(self, lent: Lent) -> None:
        super().__init__("pycuda.driver")
        self.lent, self.started, self.retained, self.stack = lent, False, 0, []

    def init(self) -> None:
        self.started = True

    def Device(self, index: int) -> SimpleNamespace:
        assert self.started and index == 0

        def retain() -> SimpleNamespace:
            self.retained += 1
            return SimpleNamespace(push=lambda: self.stack.append("primary"), pop=self.stack.pop)

        return SimpleNamespace(retain_primary_context=retain)

    def mem_alloc(self, size: int) -> "Allocation":
        assert self.stack == ["primary"]
        if size > LIMIT:
            raise self.Error("cuMemAlloc failed: out of memory")
        return Allocation(self, self.lent.take(size))


class Allocation:
    """What pycuda.driver.mem_alloc gives."""

    def __init__(self, driver: Driver, address: int) -> None:
        self.driver, self.address = driver, address

    def __int__(self) -> int:
        return self.address

    def free(self) -> None:
        assert self.driver.stack == ["primary"]
        self.driver.lent.free(self.address)


class Readable:
    """Memory as NumPy reads it; an array made of this keeps it."""

    def __init__(self, shown: buffers._Shown) -> None:
        self.__array_interface__, self.shown = shown.__cuda_array_interface__, shown


def on_the_cpu(shown: buffers._Shown) -> Tensor:
    return torch.from_numpy(np.asarray(Readable(shown)))


@pytest.fixture
def lent(monkeypatch: pytest.MonkeyPatch) -> Lent:
    lent = Lent()
    monkeypatch.setitem(sys.modules, "pycuda.driver", Driver(lent))
    monkeypatch.setitem(sys.modules, "pycuda", ModuleType("pycuda"))
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(buffers, "_as_tensor", on_the_cpu)
    return lent


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.int64])
def test_a_tensor_lies_in_the_librarys_memory(lent: Lent, dtype: torch.dtype) -> None:
    tensor = buffers.BUFFERS["pycuda"](SHAPE, dtype)
    assert tensor.shape == SHAPE and tensor.dtype == dtype and tensor.is_contiguous()
    (address, block) = next(iter(lent.blocks.items()))
    assert tensor.data_ptr() == address and len(block) == tensor.nbytes
    tensor.fill_(3)
    assert bytes(block) == torch.full(SHAPE, 3, dtype=dtype).numpy().tobytes()


def test_memory_goes_back_once_and_only_with_the_last_tensor_on_it(lent: Lent) -> None:
    tensor = buffers.BUFFERS["pycuda"](SHAPE, torch.float32)
    row = tensor[1]
    del tensor
    assert not lent.freed, "a part of it is still in use"
    del row
    assert len(lent.freed) == 1 and not lent.blocks
    for _ in range(10_000):
        buffers.BUFFERS["pycuda"](SHAPE, torch.float32)
    assert not lent.blocks


def test_pycuda_retains_the_primary_context_once_and_leaves_no_context_on_the_stack(lent: Lent) -> None:
    driver = sys.modules["pycuda.driver"]
    kept = [buffers.BUFFERS["pycuda"](SHAPE, torch.float32) for _ in range(3)]
    assert driver.retained == 1 and driver.stack == []
    kept.clear()
    assert driver.retained == 1 and driver.stack == [] and len(lent.freed) == 3
    assert "pycuda.autoinit" not in sys.modules


def test_a_gpu_without_memory_is_told_in_a_sentence(lent: Lent) -> None:
    with pytest.raises(RuntimeError, match=r"PyCUDA gets no 4,194,304 bytes \(.*out of memory\): try"):
        buffers.BUFFERS["pycuda"]((LIMIT,), torch.float32)
    assert not lent.blocks and sys.modules["pycuda.driver"].stack == []


def test_a_missing_library_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pycuda", None)
    monkeypatch.delitem(sys.modules, "pycuda.driver", raising=False)
    with pytest.raises(Unavailable, match=r"pip install 'fermodels\[pycuda\]'"):
        buffers.BUFFERS["pycuda"](SHAPE, torch.float32)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")
@pytest.mark.parametrize("name", buffers.BUFFERS)
def test_on_a_gpu_memory_is_pytorchs_to_use_and_goes_back(name: str) -> None:
    try:
        tensor = buffers.BUFFERS[name]((1 << 20,), torch.float32)
    except Unavailable as missing:
        pytest.skip(str(missing))
    assert tensor.is_cuda and float((tensor.fill_(2) * tensor).sum()) == 4 << 20
    del tensor
    torch.cuda.empty_cache()
    before, _ = torch.cuda.mem_get_info()
    for _ in range(100):
        buffers.BUFFERS[name]((1 << 20,), torch.float32)
    torch.cuda.empty_cache()
    assert before - torch.cuda.mem_get_info()[0] < 8 << 20
