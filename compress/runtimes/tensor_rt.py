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

from compress.runtimes.session import IO, Session, TensorSpec, Unavailable, asked, honoured, onnx_file
from fermodels.files import plain, write_atomic

PACKAGES = {"tensorrt": ("tensorrt", "trt"), "tensorrt-rtx": ("tensorrt_rtx", "trt-rtx")}
"""Runtime: (module, extra that installs it)."""
DTYPES = {"FLOAT": torch.float32, "HALF": torch.float16, "INT8": torch.int8, "INT32": torch.int32, "INT64": torch.int64}
NAMES = {"FLOAT": "fp32", "HALF": "fp16", "INT8": "int8", "BF16": "bf16"}
COMPUTING = ("CONVOLUTION", "MATRIX_MULTIPLY")
HONOURED = {"fp32": ("fp32",), "fp16": ("fp16", "fp32"), "int8": ("int8", "fp32")}
FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class EngineConfig:
    """What an engine is built for. All of it is in the sidecar."""

    batches: tuple[int, int, int] = (1, 32, 128)
    """Smallest, best and largest batch of the optimisation profile."""
    capabilities: tuple[str, ...] = ()
    """Compute capabilities, like "8.6"; none: the GPU at hand. Only TensorRT for RTX builds for absent ones."""
    workspace_mib: int = 1024
    """Upper limit of scratch memory while running."""

    def __post_init__(self) -> None:
        low, best, high = self.batches
        if not 1 <= low <= best <= high:
            raise ValueError(f"batches={self.batches}: smallest, best, largest, each at least 1 and rising")

    def trtexec(self, onnx: Path, inputs: Mapping[str, tuple[int, ...]]) -> str:
        """The command that builds and times the same engine with TensorRT's own tool."""

        def shapes(batch: int) -> str:
            return ",".join(f"{name}:{'x'.join(map(str, (batch, *sides)))}" for name, sides in inputs.items())

        low, best, high = map(shapes, self.batches)
        profile = f"--minShapes={low} --optShapes={best} --maxShapes={high} --shapes={best}"
        return f"trtexec --onnx={onnx} --stronglyTyped {profile} --memPoolSize=workspace:{self.workspace_mib}M"


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
        engine = onnx.with_name(f"{onnx.stem}-{self.name}{_suffix(self.config)}.engine")
        wanted = self._conditions(trt, onnx, precision)
        if engine.is_file() and not mismatches(engine, wanted):
            return engine
        start = time.perf_counter()
        plan, layers = _plan(trt, onnx, self.config)
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


def sidecar(engine: Path) -> Path:
    """Where the description of `engine` lies."""
    return engine.with_suffix(".json")


def told(engine: Path) -> dict[str, Any]:
    """The sidecar of an engine whose bytes are those that were built.

    Raises:
        ValueError: no engine, no sidecar, or a truncated, damaged or exchanged one.
    """
    if not engine.is_file() or not sidecar(engine).is_file():
        raise ValueError(
            f"{engine} needs its sidecar {sidecar(engine).name} beside it: build the engine from its ONNX file"
        )
    try:
        said = json.loads(sidecar(engine).read_text())
        right = said["engine_sha256"] == hashlib.sha256(engine.read_bytes()).hexdigest()
    except (json.JSONDecodeError, KeyError, TypeError, UnicodeDecodeError) as error:
        raise ValueError(f"{sidecar(engine)} is damaged ({error!r}): delete it and build the engine again") from error
    if not right:
        raise ValueError(
            f"{engine} is not the engine its sidecar describes (truncated, damaged or exchanged): build it again"
        )
    return said


def mismatches(engine: Path, wanted: Mapping[str, Any]) -> list[str]:
    """Names of the conditions in which the engine's sidecar differs from `wanted`; a broken engine differs in all."""
    try:
        said = told(engine)
    except ValueError:
        return list(wanted)
    return [name for name, value in plain(dict(wanted)).items() if said.get(name) != value]


def _library(name: str) -> Any:
    module, extra = PACKAGES[name]
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise Unavailable(f"{name} is not installed: pip install 'fermodels[{extra}]' ({error})") from error


def _suffix(config: EngineConfig) -> str:
    return "".join(f"-sm{capability.replace('.', '')}" for capability in config.capabilities)


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


def _plan(trt: Any, onnx: Path, config: EngineConfig) -> tuple[bytes, dict[str, str]]:
    """Serialised engine, and the precision of every computing layer as the strongly typed network has it."""
    logger = _logger(trt)
    builder = trt.Builder(logger)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, logger)
    if not parser.parse(onnx.read_bytes()):
        errors = "; ".join(str(parser.get_error(i)) for i in range(parser.num_errors))
        raise ValueError(f"TensorRT does not read {onnx} ({errors}); export it with compress.export")
    settings = builder.create_builder_config()
    settings.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, config.workspace_mib << 20)
    settings.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
    settings.add_optimization_profile(_profile(builder, network, config))
    _target(trt, settings, config)
    plan = builder.build_serialized_network(network, settings)
    if plan is None:
        raise ValueError(f"TensorRT built no engine of {onnx}: {'; '.join(logger.lines[-3:]) or 'it gave no reason'}")
    return bytes(plan), _typed(network)


def _profile(builder: Any, network: Any, config: EngineConfig) -> Any:
    profile = builder.create_optimization_profile()
    for index in range(network.num_inputs):
        given = network.get_input(index)
        profile.set_shape(given.name, *((batch, *tuple(given.shape)[1:]) for batch in config.batches))
    return profile


def _target(trt: Any, settings: Any, config: EngineConfig) -> None:
    """The compute capabilities to build for; TensorRT proper knows only the GPU at hand."""
    known = getattr(trt, "ComputeCapability", None)
    if known is None:
        if config.capabilities:
            raise ValueError("capabilities can only be named for tensorrt-rtx: tensorrt builds for the GPU at hand")
        return
    wanted = [f"SM{capability.replace('.', '')}" for capability in config.capabilities] or ["CURRENT"]
    members = known.__members__
    if unknown := [name for name in wanted if name not in members]:
        allowed = ", ".join(f"{name[2:-1]}.{name[-1]}" for name in members if name.startswith("SM"))
        raise ValueError(f"compute capability {', '.join(unknown)}: this version builds for {allowed}")
    settings.num_compute_capabilities = len(wanted)
    for index, name in enumerate(wanted):
        settings.set_compute_capability(members[name], index)


def _typed(network: Any) -> dict[str, str]:
    """Precision of every convolution and product: what it is fed decides, a dequantised input means 8 bit."""
    layers = [network.get_layer(index) for index in range(network.num_layers)]
    makers = {layer.get_output(i).name: layer for layer in layers for i in range(layer.num_outputs)}
    found = {}
    for layer in (layer for layer in layers if layer.type.name in COMPUTING):
        source = makers.get(layer.get_input(0).name)
        eight = source is not None and source.type.name == "DEQUANTIZE"
        kind = layer.get_input(0).dtype.name
        found[layer.name] = "int8" if eight else NAMES.get(kind, kind.lower())
    return found


_LOGGERS: dict[str, Any] = {}
"""TensorRT keeps the first logger of a process for good, so there is one per library."""


def _logger(trt: Any) -> Any:
    if trt.__name__ not in _LOGGERS:

        class Kept(trt.ILogger):
            """Keeps warnings and errors for the sentence that needs them."""

            def __init__(self) -> None:
                trt.ILogger.__init__(self)
                self.lines: list[str] = []

            def log(self, severity: Any, text: str) -> None:
                if severity in (trt.ILogger.INTERNAL_ERROR, trt.ILogger.ERROR, trt.ILogger.WARNING):
                    self.lines.append(text)

        _LOGGERS[trt.__name__] = Kept()
    _LOGGERS[trt.__name__].lines.clear()
    return _LOGGERS[trt.__name__]


class TensorRtSession:
    """An engine on the current GPU, on PyTorch's stream and with PyTorch tensors as buffers: one context for both."""

    def __init__(self, trt: Any, engine: Path, *, runtime: str, precision: str) -> None:
        self.trt, self.runtime, self.precision = trt, runtime, precision
        self._runtime = trt.Runtime(_logger(trt))
        self._engine = self._runtime.deserialize_cuda_engine(engine.read_bytes())
        if self._engine is None:
            raise ValueError(f"TensorRT cannot load {engine}: {'; '.join(_logger(trt).lines[-3:])}; build it again")
        self._context = self._engine.create_execution_context()
        names = [self._engine.get_tensor_name(i) for i in range(self._engine.num_io_tensors)]
        specs = {name: self._spec(name) for name in names}
        reads = [name for name in names if self._engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT]
        self.io = IO(
            inputs=tuple(specs[name] for name in reads),
            outputs=tuple(spec for name, spec in specs.items() if name not in reads),
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
            raise RuntimeError(f"{self.runtime} failed to run: {'; '.join(_logger(self.trt).lines[-3:])}")
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
