"""Building an engine: parse, profile, target, build, with progress and a timing cache that later builds start from."""

import sys
from pathlib import Path
from typing import Any

from compress.files import write_atomic
from compress.runtimes.session import Target

COMPUTING = ("CONVOLUTION", "MATRIX_MULTIPLY")
NAMES = {"FLOAT": "fp32", "HALF": "fp16", "INT8": "int8", "BF16": "bf16"}


def build_engine(trt: Any, onnx: Path, target: Target, timing_cache: Path | None) -> tuple[bytes, dict[str, str]]:
    """Serialised engine, and the precision of every computing layer as the strongly typed network has it.

    Args:
        timing_cache: measured kernel times of earlier builds; read where it fits this library and GPU, then rewritten.
            None: the library measures none.

    Raises:
        ValueError: TensorRT does not read the file or builds nothing of it; says why.
    """
    logger = logger_of(trt)
    logger.lines.clear()
    builder = trt.Builder(logger)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, logger)
    if not parser.parse(onnx.read_bytes()):
        errors = "; ".join(str(parser.get_error(i)) for i in range(parser.num_errors))
        raise ValueError(f"TensorRT does not read {onnx} ({errors}); export it with compress.export")
    settings = builder.create_builder_config()
    settings.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, target.workspace_mib << 20)
    settings.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
    settings.add_optimization_profile(_profile(builder, network, target))
    _target(trt, settings, target)
    if timing_cache is not None:
        _start_from(settings, timing_cache)
    settings.progress_monitor = _monitor(trt, onnx.name)
    plan = builder.build_serialized_network(network, settings)
    if plan is None:
        raise ValueError(f"TensorRT built no engine of {onnx}: {'; '.join(logger.lines[-3:]) or 'it gave no reason'}")
    if timing_cache is not None:
        write_atomic(timing_cache, bytes(settings.get_timing_cache().serialize()))
    return bytes(plan), _typed(network)


def _start_from(settings: Any, timing_cache: Path) -> None:
    """Gives the builder the times kept in `timing_cache`; those of another library or GPU are left."""
    kept = timing_cache.read_bytes() if timing_cache.is_file() else b""
    if not settings.set_timing_cache(settings.create_timing_cache(kept), ignore_mismatch=False):
        settings.set_timing_cache(settings.create_timing_cache(b""), ignore_mismatch=False)


def _monitor(trt: Any, title: str) -> Any:
    """TensorRT's progress monitor: a line on standard error for every step of the outermost phase that was begun."""

    class Monitor(trt.IProgressMonitor):
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)
            self.steps: dict[str, int] = {}
            self.outermost: set[str] = set()

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            self.steps[phase_name] = num_steps
            if parent_phase is None:
                self.outermost.add(phase_name)

        def step_complete(self, phase_name: str, step: int) -> bool:
            if phase_name in self.outermost:
                print(f"{title}: {phase_name} {step + 1}/{self.steps[phase_name]}", file=sys.stderr, flush=True)
            return True  # go on

        def phase_finish(self, phase_name: str) -> None:
            self.steps.pop(phase_name, None)

    return Monitor()


def _profile(builder: Any, network: Any, target: Target) -> Any:
    profile = builder.create_optimization_profile()
    for index in range(network.num_inputs):
        given = network.get_input(index)
        profile.set_shape(given.name, *((batch, *tuple(given.shape)[1:]) for batch in target.batches))
    return profile


def _target(trt: Any, settings: Any, target: Target) -> None:
    """The compute capabilities to build for; TensorRT proper knows only the GPU at hand."""
    known = getattr(trt, "ComputeCapability", None)
    if known is None:
        if target.capabilities:
            raise ValueError("capabilities can only be named for tensorrt-rtx: tensorrt builds for the GPU at hand")
        return
    wanted = [f"SM{capability.replace('.', '')}" for capability in target.capabilities] or ["CURRENT"]
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


def logger_of(trt: Any) -> Any:
    """The one logger of this library in this process; `lines` are its warnings and errors since the last build."""
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
    return _LOGGERS[trt.__name__]
