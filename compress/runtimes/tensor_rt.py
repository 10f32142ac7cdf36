"""TensorRT and TensorRT for RTX: one code path, since the precision lies in the ONNX file and the API goes by name.

The ONNX file is the artefact, an engine is a cache: beside it lies a sidecar (hashes of both files, versions, GPU,
settings, precision of every layer), and an engine that does not fit it is refused before TensorRT sees a byte. Engines
are built without a GPU where the package can (TensorRT for RTX, for stated compute capabilities); running needs one.
"""

import hashlib
import importlib
import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from compress.runtimes.engine_builder import build_engine, logger_of
from compress.runtimes.engines import EngineConfig, mismatches, sidecar, told
from compress.runtimes.session import IO, Session, TensorSpec, Unavailable, asked, honoured, onnx_file
from fermodels.files import plain, write_atomic

PACKAGES = {"tensorrt": ("tensorrt", "trt"), "tensorrt-rtx": ("tensorrt_rtx", "trt-rtx")}
"""Runtime: (module, extra that installs it)."""
DTYPES = {"FLOAT": torch.float32, "HALF": torch.float16, "INT8": torch.int8, "INT32": torch.int32, "INT64": torch.int64}
HONOURED = {"fp32": ("fp32",), "fp16": ("fp16", "fp32"), "int8": ("int8", "fp32")}
FORMAT = 1


@dataclass(frozen=True)
class TensorRt:
    """One of `PACKAGES`."""

    name: str
    config: EngineConfig = field(default_factory=EngineConfig)
    precisions: tuple[str, ...] = ("fp32", "fp16", "int8")

    def build(self, onnx: Path, *, precision: str) -> Path:
        """The engine of `onnx`, from the cache beside it when its sidecar fits, else built."""
        asked(self, precision)
        onnx_file(onnx)
        trt = _library(self.name)
        if not self.config.capabilities and not torch.cuda.is_available():
            raise Unavailable(
                f"{self.name} builds for the GPU at hand and there is none (tensorrt-rtx: --capability 8.6)"
            )
        engine = onnx.with_name(f"{onnx.stem}-{self.name}{self.config.suffix}.engine")
        wanted = self._conditions(trt, onnx, precision)
        if engine.is_file() and not mismatches(engine, wanted):
            return engine
        # TensorRT for RTX chooses kernels without measuring them: its timing cache is deprecated and does nothing
        timings = engine.with_name("timing.cache") if self.name == "tensorrt" else None
        start = time.perf_counter()
        plan, layers = build_engine(trt, onnx, self.config, timings)
        write_atomic(engine, plan)
        built = {"engine_sha256": hashlib.sha256(plan).hexdigest(), "bytes": len(plan), "layers": layers}
        built |= {"build_s": round(time.perf_counter() - start, 3)}
        write_atomic(sidecar(engine), json.dumps(plain(wanted | built), indent=1) + "\n")
        return engine

    def open(self, artefact: Path, *, precision: str) -> Session:
        """A session on an engine of this very GPU and version.

        Raises:
            ValueError: the engine is damaged, or was built elsewhere or for something else; says what differs.
        """
        asked(self, precision)
        trt = _library(self.name)
        said = told(artefact)
        if not torch.cuda.is_available():
            raise Unavailable(f"{self.name} needs an NVIDIA GPU with its driver to run; {artefact.name} was only built")
        here = {name: value for name, value in _machine(trt).items() if name != "gpu" or not self.config.capabilities}
        if wrong := [
            f"{name} {said.get(name)!r}, here {value!r}" for name, value in here.items() if said.get(name) != value
        ]:
            raise ValueError(
                f"{artefact} was built elsewhere ({'; '.join(wrong)}): engines do not travel, build it anew"
            )
        return honoured(TensorRtSession(trt, artefact, runtime=self.name, precision=precision), HONOURED)

    def _conditions(self, trt: Any, onnx: Path, precision: str) -> dict[str, Any]:
        """Everything that, when it changes, makes an engine another one."""
        conditions = {"format": FORMAT, "runtime": self.name, "precision": precision}
        conditions |= {
            "onnx_sha256": hashlib.sha256(onnx.read_bytes()).hexdigest(),
            "config": plain(asdict(self.config)),
        }
        return conditions | _machine(trt)


def _library(name: str) -> Any:
    module, extra = PACKAGES[name]
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise Unavailable(f"{name} is not installed: pip install 'fermodels[{extra}]' ({error})") from error


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


class TensorRtSession:
    """An engine on the current GPU, on PyTorch's stream and with PyTorch tensors as buffers: one context for both."""

    def __init__(self, trt: Any, engine: Path, *, runtime: str, precision: str) -> None:
        self.trt, self.runtime, self.precision = trt, runtime, precision
        self._runtime = trt.Runtime(logger_of(trt))
        self._engine = self._runtime.deserialize_cuda_engine(engine.read_bytes())
        if self._engine is None:
            raise ValueError(f"TensorRT cannot load {engine}: {'; '.join(logger_of(trt).lines[-3:])}; build it again")
        self._context = self._engine.create_execution_context()
        names = [self._engine.get_tensor_name(i) for i in range(self._engine.num_io_tensors)]
        specs = {name: self._spec(name) for name in names}
        reads = [name for name in names if self._engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT]
        self.io = IO(
            inputs=tuple(specs[name] for name in reads),
            outputs=tuple(spec for name, spec in specs.items() if name not in reads),
            device="cuda",
        )

    def run(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        self.io.check(batch)
        fed = {name: tensor.cuda().contiguous() for name, tensor in batch.items()}  # alive until the stream is done
        for name, tensor in fed.items():
            self._context.set_input_shape(name, tuple(tensor.shape))
            self._context.set_tensor_address(name, tensor.data_ptr())
        found = {}
        for spec in self.io.outputs:
            shape = tuple(self._context.get_tensor_shape(spec.name))
            found[spec.name] = torch.empty(shape, dtype=spec.dtype, device="cuda")
            self._context.set_tensor_address(spec.name, found[spec.name].data_ptr())
        stream = torch.cuda.current_stream()
        if not self._context.execute_async_v3(stream.cuda_stream):
            raise RuntimeError(f"{self.runtime} failed to run: {'; '.join(logger_of(self.trt).lines[-3:])}")
        stream.synchronize()
        return found

    def precision_by_layer(self) -> dict[str, str]:
        """Read from the engine by TensorRT's inspector."""
        inspector = self._engine.create_engine_inspector()
        text = inspector.get_engine_information(self.trt.LayerInformationFormat.JSON)
        layers = [layer for layer in json.loads(text)["Layers"] if isinstance(layer, dict)]
        return {layer["Name"]: _inspected(layer) for layer in layers if _computes(layer)}

    def _spec(self, name: str) -> TensorSpec:
        shape = tuple(None if side < 0 else side for side in self._engine.get_tensor_shape(name))
        return TensorSpec(name=name, dtype=DTYPES[self._engine.get_tensor_dtype(name).name], shape=shape)


def _computes(layer: Mapping[str, Any]) -> bool:
    words = f"{layer.get('LayerType', '')} {layer.get('ParameterType', '')}".lower()
    return any(word in words for word in ("conv", "gemm", "matrix", "matmul"))


def _inspected(layer: Mapping[str, Any]) -> str:
    """Precision of a layer of the inspector's report: the element type of its first input."""
    inputs = layer.get("Inputs") or [{}]
    kind = str(inputs[0].get("Format/Datatype", "")).lower()
    for word, name in (("int8", "int8"), ("half", "fp16"), ("fp16", "fp16"), ("float", "fp32"), ("fp32", "fp32")):
        if word in kind:
            return name
    return kind or "unknown"
