"""What a network costs beside time: peak memory while it runs, bytes of its artefact, seconds to build it.

built(RUNTIMES["onnxruntime"], Path("net.onnx"), precision="fp32").build_s
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from compress.exporting.artefacts import Artefacts
from compress.files import size_bytes
from compress.runtimes import RUNTIMES, Runtime, Session

STATUS = Path("/proc/self/status")
CLEAR_REFS = Path("/proc/self/clear_refs")
RESET_PEAK = "5"
"""What Linux takes in `CLEAR_REFS` to forget the peak of the resident set (man 5 proc)."""


@dataclass(frozen=True, kw_only=True)
class PeakMemory:
    """Largest memory while a subject ran."""

    process_bytes: int | None
    """Resident set of the whole process, with the interpreter and every network loaded; None where not told."""
    device_bytes: int | None
    """PyTorch's allocator on the GPU: weights, inputs, activations. What another library takes by itself is not in it.

    None without a GPU in use.
    """


@dataclass(frozen=True, kw_only=True)
class Built:
    """An artefact and what making it cost."""

    artefact: Path
    artefact_bytes: int
    """Of the file, or of all files in the folder."""
    build_s: float
    """Near zero where the runtime takes the exported file as it is, or found a cached engine."""


def peak_memory(subject: Callable[[], None], status: Path = STATUS, clear: Path = CLEAR_REFS) -> PeakMemory:
    """Runs `subject` once and tells the peaks of that run.

    Args:
        status, clear: Linux's files of the process, absent or closed elsewhere.
    """
    on_gpu = torch.cuda.is_initialized()
    if on_gpu:
        torch.cuda.reset_peak_memory_stats()
    forgotten = _forget_peak(clear)
    subject()
    return PeakMemory(
        process_bytes=_high_water(status) if forgotten else None,
        device_bytes=torch.cuda.max_memory_allocated() if on_gpu else None,
    )


def built(runtime: Runtime, onnx: Path, *, precision: str, clock: Callable[[], float] = time.perf_counter) -> Built:
    """Builds the artefact of `runtime` and tells its size and the time it took.

    Args:
        clock: seconds.

    Raises:
        Unavailable, ValueError: those of `runtime.build`.
    """
    start = clock()
    artefact = runtime.build(onnx, precision=precision)
    return Built(artefact=artefact, build_s=clock() - start, artefact_bytes=size_bytes(artefact))


def opened(made: Artefacts, name: str, precision: str) -> tuple[Session, dict[str, float]]:
    """A session of runtime `name` on its own artefact, and what that cost: `artefact_bytes` and `build_s`.

    Raises:
        Unavailable, ValueError: those of the export, of `Runtime.build` and of `Runtime.open`.
    """
    RUNTIMES[name].require()  # else an export and a calibration would end in "not installed"
    return opened_file(made.onnx(precision), name, precision)


def opened_file(onnx: Path, name: str, precision: str) -> tuple[Session, dict[str, float]]:
    """As `opened`, from an ONNX file as it lies.

    Raises:
        Unavailable, ValueError: those of `Runtime.build` and of `Runtime.open`.
    """
    runtime = RUNTIMES[name]
    artefact = built(runtime, onnx, precision=precision)
    session = runtime.open(artefact.artefact, precision=precision)
    return session, {"artefact_bytes": artefact.artefact_bytes, "build_s": round(artefact.build_s, 3)}


def _forget_peak(clear: Path) -> bool:
    try:
        clear.write_text(RESET_PEAK)
    except OSError:
        return False
    return True


def _high_water(status: Path) -> int | None:
    """`VmHWM` of a Linux status file, bytes."""
    try:
        lines = status.read_text().splitlines()
    except OSError:
        return None
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM:")), None)
