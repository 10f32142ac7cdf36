"""Nothing leaks: ten thousand runs take no more memory than the first thousand."""

import gc
import mmap
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
import torch
from tiny_nets import tiny_onnx
from torch import Tensor

from compress.runtimes import RUNTIMES, Session, Unavailable, tensor_rt
from compress.runtimes.buffers import BUFFERS
from compress.runtimes.tensor_rt import TensorRt

FIRST, LAST = 1_000, 10_000
"""Runs after which memory is looked at; in the first, pools fill."""
ALLOWED = 4 << 20
"""Bytes by which memory may grow in between: not half a kilobyte per run."""


class Leaky:
    """A runtime that keeps 1 KiB of every run, in pages of its own: the heap may have room that was used before."""

    def __init__(self) -> None:
        self.kept: list[mmap.mmap] = []
        self.runs = 0

    def run(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        self.runs += 1
        if self.runs % 4 == 0:
            self.kept.append(mmap.mmap(-1, 4 << 10))
            self.kept[-1].write(b"1" * (4 << 10))
        return {}


def growth(session: Session | Leaky, batch: dict[str, Tensor], used: Callable[[], int]) -> int:
    """Bytes by which `used` grows between `FIRST` and `LAST` runs."""
    for _ in range(FIRST):
        session.run(batch)
    gc.collect()
    before = used()
    for _ in range(LAST - FIRST):
        session.run(batch)
    gc.collect()
    return used() - before


def resident() -> int:
    return psutil.Process().memory_info().rss


def on_gpu() -> int:
    """Bytes of PyTorch's tensors and of all that is taken on the GPU."""
    torch.cuda.empty_cache()
    free, total = torch.cuda.mem_get_info()
    return torch.cuda.memory_allocated() + total - free


def face(session: Session, device: str = "cpu") -> dict[str, Tensor]:
    return {spec.name: torch.zeros([side or 1 for side in spec.shape], device=device) for spec in session.io.inputs}


@pytest.fixture(scope="module")
def onnx(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("onnx", reason="needs onnx: pip install -e '.[onnx]'")
    return Path(shutil.copy(tiny_onnx("local"), tmp_path_factory.mktemp("many") / "net.onnx"))


def test_a_leak_of_one_kilobyte_per_run_shows() -> None:
    assert growth(Leaky(), {}, resident) > ALLOWED


@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
def test_on_the_cpu_memory_stays(onnx: Path, name: str) -> None:
    try:
        session = RUNTIMES[name].open(onnx, precision="fp32")
    except Unavailable as missing:
        pytest.skip(str(missing))
    assert growth(session, face(session), resident) < ALLOWED


@pytest.mark.gpu
@pytest.mark.trt
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")
@pytest.mark.parametrize("name", tensor_rt.PACKAGES)
@pytest.mark.parametrize("graphs", [False, True])
@pytest.mark.parametrize("buffers", BUFFERS)
def test_on_a_gpu_memory_stays(onnx: Path, name: str, buffers: str, graphs: bool) -> None:
    runtime = replace(TensorRt(name), buffers=buffers, graphs=graphs)
    try:
        session = runtime.open(runtime.build(onnx, precision="fp32"), precision="fp32")
    except Unavailable as missing:
        pytest.skip(str(missing))
    batch = face(session, "cuda")
    assert growth(session, batch, on_gpu) < ALLOWED
    assert growth(session, batch, resident) < ALLOWED
