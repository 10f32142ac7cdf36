"""A TensorRT engine at work: shapes and addresses set, launched on PyTorch's stream, or replayed as a CUDA graph.

TensorRT waits more than it must on CUDA's default stream: time a session inside `torch.cuda.stream(...)`.
"""

import json
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Generic, TypeVar, final

import torch
from torch import Tensor

from compress.runtimes.buffers import BUFFERS
from compress.runtimes.cuda_graphs import Cuda, Gpu
from compress.runtimes.engine_builder import logger_of
from compress.runtimes.session import IO, Session, TensorSpec

DTYPES = {"FLOAT": torch.float32, "HALF": torch.float16, "INT8": torch.int8, "INT32": torch.int32, "INT64": torch.int64}
SHAPES = 8
"""Combinations of input shapes whose buffers are kept at once: those that were run last. With a graph goes an execution
context, whose scratch memory is as large as the engine's largest batch needs."""

T = TypeVar("T")
Shapes = tuple[tuple[int, ...], ...]


@final
class Recent(Generic[T]):
    """At most `SHAPES` values, made when first asked for; the one that was not asked for longest goes first."""

    def __init__(self) -> None:
        self._values: OrderedDict[Shapes, T] = OrderedDict()

    def get(self, shapes: Shapes, make: Callable[[], T]) -> T:
        """The value of `shapes`, from `make` if there is none."""
        if shapes not in self._values:
            self._values[shapes] = make()
            if len(self._values) > SHAPES:
                self._values.popitem(last=False)
        self._values.move_to_end(shapes)
        return self._values[shapes]


@final
@dataclass(frozen=True)
class Recorded:
    """A graph, the buffers it reads and writes, and the context whose state it shares: no other shapes may be set."""

    context: Any
    inputs: dict[str, Tensor]
    outputs: dict[str, Tensor]
    replay: Callable[[], None]


@final
class TensorRtSession(Session):
    """An engine on the current GPU, on PyTorch's current stream and in its context."""

    gpu: Gpu = Cuda()

    def __init__(
        self, trt: Any, engine: Path, *, runtime: str, precision: str, buffers: str = "torch", graphs: bool = False
    ) -> None:
        self.trt, self.allocate, self.graphs = trt, BUFFERS[buffers], graphs
        self.allocate((1,), torch.float32)  # a missing library is told now, not in the first run
        self._runtime = trt.Runtime(logger_of(trt))
        self._engine = self._runtime.deserialize_cuda_engine(engine.read_bytes())
        if self._engine is None:
            raise ValueError(f"TensorRT cannot load {engine}: {self._said()}; build it again")
        names = [self._engine.get_tensor_name(i) for i in range(self._engine.num_io_tensors)]
        reads = [name for name in names if self._engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT]
        inputs = tuple(self._spec(name) for name in reads)
        outputs = tuple(self._spec(name) for name in names if name not in reads)
        super().__init__(IO(inputs=inputs, outputs=outputs, device="cuda"), runtime=runtime, precision=precision)
        self._context = None if graphs else self._new_context()
        self._records: Recent[Recorded] = Recent()

    def _run(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """As `Session.run`; RuntimeError where TensorRT fails, or its work cannot be recorded as a graph."""
        if self.graphs:
            record = self._filled(batch)
            record.replay()
            outputs = {name: self.gpu.kept(tensor) for name, tensor in record.outputs.items()}
        else:
            fed = {name: self.gpu.resident(tensor) for name, tensor in batch.items()}
            outputs = self._bound(self._context, fed)
            self._enqueue(self._context, self.gpu.stream())
        self.gpu.synchronize()
        return outputs

    def resident(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """`batch` where the engine reads it. Feed it to `run`, as it is or with new values in it: nothing is copied."""
        self.io.check(batch)
        if self.graphs:
            with self._turn:
                return dict(self._filled(batch).inputs)
        return {name: self.gpu.resident(tensor) for name, tensor in batch.items()}

    def precision_by_layer(self) -> dict[str, str]:
        """Read from the engine by TensorRT's inspector."""
        inspector = self._engine.create_engine_inspector()
        text = inspector.get_engine_information(self.trt.LayerInformationFormat.JSON)
        layers = [layer for layer in json.loads(text)["Layers"] if isinstance(layer, dict)]
        return {layer["Name"]: _inspected(layer) for layer in layers if _computes(layer)}

    def _filled(self, batch: Mapping[str, Tensor]) -> Recorded:
        """The record of the batch's shapes, with the batch in its inputs."""
        record = self._records.get(self._shapes(batch), partial(self._record, batch))
        self._fill(record.inputs, batch)
        return record

    def _record(self, batch: Mapping[str, Tensor]) -> Recorded:
        context = self._new_context()
        inputs = {spec.name: self.allocate(tuple(batch[spec.name].shape), spec.dtype) for spec in self.io.inputs}
        self._fill(inputs, batch)
        outputs = self._bound(context, inputs)
        try:
            replay = self.gpu.captured(partial(self._enqueue, context))
        except RuntimeError as error:
            raise RuntimeError(
                f"{self.runtime} cannot be recorded as a CUDA graph for inputs {self._shapes(batch)} ({error}): "
                "open the engine with graphs=False"
            ) from error
        return Recorded(context, inputs, outputs, replay)

    def _fill(self, inputs: Mapping[str, Tensor], batch: Mapping[str, Tensor]) -> None:
        for name, own in inputs.items():
            if batch[name] is not own:
                self.gpu.copy(own, batch[name])

    def _bound(self, context: Any, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Sets shapes and addresses on `context`; returns the outputs it will write."""
        for name, tensor in inputs.items():
            if not context.set_input_shape(name, tuple(tensor.shape)):
                low, _, high = (tuple(shape) for shape in self._engine.get_tensor_profile_shape(name, 0))
                raise ValueError(
                    f'input "{name}" was given {tuple(tensor.shape)}, but the engine was built for {low} to {high}: '
                    "build it for other batches (--batch of compress.export)"
                )
            context.set_tensor_address(name, tensor.data_ptr())
        shapes = {spec.name: tuple(context.get_tensor_shape(spec.name)) for spec in self.io.outputs}
        outputs = {spec.name: self.allocate(shapes[spec.name], spec.dtype) for spec in self.io.outputs}
        for name, tensor in outputs.items():
            context.set_tensor_address(name, tensor.data_ptr())
        return outputs

    def _enqueue(self, context: Any, stream: int) -> None:
        if not context.execute_async_v3(stream):
            raise RuntimeError(f"{self.runtime} failed to run: {self._said()}")

    def _new_context(self) -> Any:
        strategies = getattr(self.trt, "DynamicShapesKernelSpecializationStrategy", None)
        settings = []
        if self.graphs and strategies is not None:  # TensorRT for RTX would swap better kernels in later, in no graph
            settings.append(self._engine.create_runtime_config())
            settings[0].dynamic_shapes_kernel_specialization_strategy = strategies.EAGER
        context = self._engine.create_execution_context(*settings)
        if context is None:
            raise RuntimeError(f"{self.runtime} has no memory for an execution context: {self._said()}")
        return context

    def _shapes(self, batch: Mapping[str, Tensor]) -> Shapes:
        return tuple(tuple(batch[spec.name].shape) for spec in self.io.inputs)

    def _spec(self, name: str) -> TensorSpec:
        shape = tuple(None if side < 0 else side for side in self._engine.get_tensor_shape(name))
        return TensorSpec(name=name, dtype=DTYPES[self._engine.get_tensor_dtype(name).name], shape=shape)

    def _said(self) -> str:
        return "; ".join(logger_of(self.trt).lines[-3:]) or "it gave no reason"


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
