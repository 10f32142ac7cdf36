"""TensorRT and TensorRT for RTX: one code path, since the precision lies in the ONNX file and the API goes by name.

The ONNX file is the artefact, an engine is a cache: beside it lies a sidecar (hashes of both files, versions, GPU,
settings, precision of every layer), and an engine that does not fit it is refused before TensorRT sees a byte. Engines
are built without a GPU where the package can (TensorRT for RTX, for stated compute capabilities); running needs one.
"""

import hashlib
import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, final

import torch

from compress.exporting.signed_onnx import checked, whole
from compress.files import plain, write_atomic
from compress.libraries import Unavailable, library
from compress.runtimes.buffers import BUFFERS
from compress.runtimes.engine_builder import build_engine
from compress.runtimes.engine_session import TensorRtSession
from compress.runtimes.engines import engine_path, mismatches, sidecar, told, trtexec
from compress.runtimes.session import ANY, Session, Target, asked, honoured

PACKAGES = {"tensorrt": "tensorrt", "tensorrt-rtx": "tensorrt_rtx"}
"""Runtime: module."""
HONOURED = {"fp32": ("fp32",), "fp16": ("fp16", "fp32"), "int8": ("int8", "fp32")}
FORMAT = 2


@final
@dataclass(frozen=True)
class TensorRt:
    """One of `PACKAGES`. `buffers` and `graphs` say how an engine is run: they make no other engine of it."""

    name: str
    precisions: tuple[str, ...] = ("fp32", "fp16", "int8")
    buffers: str = "torch"
    """Whose memory the engine reads and writes, one of `BUFFERS`."""
    graphs: bool = False
    """Replay a CUDA graph per combination of input shapes, into which inputs are copied (see `TensorRtSession`)."""

    def __post_init__(self) -> None:
        if self.buffers not in BUFFERS:
            raise ValueError(f'buffers="{self.buffers}": the libraries are {", ".join(BUFFERS)}')

    def require(self) -> None:
        library(PACKAGES[self.name])

    def source(self, onnx: Path) -> Path:
        return onnx

    def build(self, onnx: Path, *, precision: str, target: Target = ANY) -> Path:
        """The engine of `onnx`, from the cache beside it when its sidecar fits, else built."""
        asked(self, precision)
        whole(onnx)  # a missing file is told before a missing library
        trt, model = library(PACKAGES[self.name]), checked(onnx)
        if not target.capabilities and not torch.cuda.is_available():
            raise Unavailable(
                f"{self.name} builds for the GPU at hand and there is none (tensorrt-rtx: --capability 8.6)"
            )
        engine, wanted = engine_path(onnx, self.name, target), self._conditions(trt, onnx, precision, target)
        if engine.is_file() and not mismatches(engine, wanted):
            return engine
        # TensorRT for RTX chooses kernels without measuring them: its timing cache is deprecated and does nothing
        timings = engine.with_name("timing.cache") if self.name == "tensorrt" else None
        start = time.perf_counter()
        plan, layers = build_engine(trt, onnx, target, timings)
        write_atomic(engine, plan)
        built = {"engine_sha256": hashlib.sha256(plan).hexdigest(), "bytes": len(plan), "layers": layers}
        built |= {"build_s": round(time.perf_counter() - start, 3), "trtexec": trtexec(onnx, _sides(model), target)}
        write_atomic(sidecar(engine), json.dumps(plain(wanted | built), indent=1) + "\n")
        return engine

    def open(self, artefact: Path, *, precision: str) -> Session:
        """A session on an engine of this very GPU and version.

        Raises:
            Unavailable: no GPU, or the library of `buffers` is missing.
            ValueError: the engine is damaged, or was built elsewhere or for something else; says what differs.
        """
        asked(self, precision)
        trt = library(PACKAGES[self.name])
        said = told(artefact)
        if not torch.cuda.is_available():
            raise Unavailable(f"{self.name} needs an NVIDIA GPU with its driver to run; {artefact.name} was only built")
        named = said["config"]["capabilities"]
        here = {name: value for name, value in _machine(trt).items() if name != "gpu" or not named}
        if wrong := [
            f"{name} {said.get(name)!r}, here {value!r}" for name, value in here.items() if said.get(name) != value
        ]:
            raise ValueError(
                f"{artefact} was built elsewhere ({'; '.join(wrong)}): engines do not travel, build it anew"
            )
        session = TensorRtSession(
            trt, artefact, runtime=self.name, precision=precision, buffers=self.buffers, graphs=self.graphs
        )
        return honoured(session, HONOURED)

    def _conditions(self, trt: Any, onnx: Path, precision: str, target: Target) -> dict[str, Any]:
        """Everything that, when it changes, makes an engine another one."""
        digest = hashlib.sha256(onnx.read_bytes()).hexdigest()
        conditions = {"format": FORMAT, "runtime": self.name, "precision": precision, "onnx_sha256": digest}
        return conditions | {"config": plain(asdict(target))} | _machine(trt)


def _sides(model: Any) -> dict[str, tuple[int, ...]]:
    """Shape of every input without its batch."""
    return {one.name: tuple(side.dim_value for side in one.type.tensor_type.shape.dim[1:]) for one in model.graph.input}


def _machine(trt: Any) -> dict[str, Any]:
    gpu = None
    if torch.cuda.is_available():
        properties = torch.cuda.get_device_properties(torch.cuda.current_device())
        gpu = {
            "model": properties.name,
            "capability": f"{properties.major}.{properties.minor}",
            "cuda": torch.version.cuda,
        }
    return {"version": trt.__version__, "gpu": gpu}
