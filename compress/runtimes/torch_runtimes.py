"""PyTorch itself, eager, compiled and replayed: the references every other runtime is held to.

They run on the current GPU where PyTorch sees one (`CUDA_VISIBLE_DEVICES=` hides it), else on the CPU. The artefact is
the program that `compress.export` puts beside the ONNX file: no source code of the network is needed.
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import torch
from torch import Tensor, fx, nn
from torch.export import ExportedProgram

from compress.exporting.program import PROGRAM, load_program
from compress.exporting.signed_onnx import described
from compress.forked import computing
from compress.libraries import Unavailable
from compress.runtimes.cuda_graphs import Cuda, Gpu
from compress.runtimes.engine_session import Recent
from compress.runtimes.session import ANY, IO, Session, Target, TensorSpec, asked

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
Call = Callable[..., tuple[Tensor, ...]]


@final
class TorchSession(Session):
    """A program in inference mode, channels_last, on one device; inputs and outputs are float32 in any precision."""

    def __init__(self, module: nn.Module, call: Call, io: IO, *, runtime: str, precision: str) -> None:
        super().__init__(io, runtime=runtime, precision=precision)
        self.module, self.call = module, call

    def _run(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        dtype, device = DTYPES[self.precision], self.io.device
        computing()
        with torch.inference_mode():
            fed = [batch[spec.name].to(device) for spec in self.io.inputs]
            answers = self.call(*(one.to(dtype) if one.is_floating_point() else one for one in fed))
            named = zip(self.io.outputs, answers, strict=True)
            found = {spec.name: answer.to(spec.dtype, copy=answer.is_cuda) for spec, answer in named}
            if device != "cpu":
                torch.cuda.synchronize()
        return found

    def precision_by_layer(self) -> dict[str, str]:
        names = {dtype: name for name, dtype in DTYPES.items()}
        return {name: names[weight.dtype] for name, weight in self.module.named_parameters() if weight.ndim > 1}


class Eager:
    """PyTorch as it is."""

    name = "torch"
    precisions = ("fp32", "bf16")

    def require(self) -> None:
        """PyTorch is always there."""

    def source(self, onnx: Path) -> Path:
        return onnx.with_name(PROGRAM)

    def build(self, onnx: Path, *, precision: str, target: Target = ANY) -> Path:
        """The program beside `onnx`, where it is of the same weights."""
        asked(self, precision)
        program = self.source(onnx)
        if not program.is_file():
            raise ValueError(f"{self.name} runs {PROGRAM} beside {onnx}, and there is none: export the network again")
        if onnx.is_file() and described(onnx)["weights"] != load_program(program)[1]["weights"]:
            raise ValueError(f"{onnx} comes from another network than {PROGRAM} beside it: export them together")
        return program

    def open(self, artefact: Path, *, precision: str) -> Session:
        asked(self, precision)
        program, said = load_program(artefact)
        io = _io(program, said)
        module = _free_of_casts(program.module())
        module.to(DTYPES[precision])
        module.to(device(), memory_format=torch.channels_last)  # type: ignore[call-overload]
        return TorchSession(module, self._callable(module), io, runtime=self.name, precision=precision)

    def _callable(self, module: nn.Module) -> Call:
        return module


VARIANTS = 256
"""Networks times batch sizes that one process may compile. Beyond its own limit of 8, dynamo would run eagerly."""


@final
class Compiled(Eager):
    """torch.compile with frozen weights; the first run of every batch size compiles.

    The whole graph is compiled or nothing (`fullgraph`): a part left to eager mode would carry the wrong name. On a GPU
    its launches are replayed as a CUDA graph.
    """

    name = "torch-compile"

    def _callable(self, module: nn.Module) -> Call:
        options: dict[str, Any] = {"freezing": True, "triton.cudagraphs": device() == "cuda"}
        return torch.compile(module, options=options, dynamic=False, fullgraph=True, **_up_to(VARIANTS))


def _up_to(variants: int) -> dict[str, Any]:
    """The setting of torch.compile for so many variants, where it has one: dynamo's own is then each thread's alone."""
    if "recompile_limit" in inspect.signature(torch.compile).parameters:
        return {"recompile_limit": variants}
    torch._dynamo.config.recompile_limit = variants
    return {}


@final
@dataclass(frozen=True)
class _Record:
    """The launches of one batch size, and the buffers they read and write."""

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    replay: Callable[[], None]


@final
class Replayed:
    """A module whose launches are recorded once for every combination of input shapes, and replayed after that."""

    def __init__(self, module: Call, gpu: Gpu) -> None:
        self.module, self.gpu = module, gpu
        self._records = Recent[_Record]()

    def __call__(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        record = self._records.get(tuple(tuple(one.shape) for one in inputs), lambda: self._recorded(inputs))
        for own, given in zip(record.inputs, inputs, strict=True):
            self.gpu.copy(own, given)
        record.replay()
        return record.outputs

    def _recorded(self, inputs: tuple[Tensor, ...]) -> _Record:
        own = tuple(self.gpu.resident(one).clone() for one in inputs)
        outputs: list[Tensor] = []

        def launch(stream: int) -> None:
            outputs[:] = self.module(*own)

        try:
            replay = self.gpu.captured(launch)
        except RuntimeError as error:
            raise Unavailable(f"this network cannot be recorded as a CUDA graph: {error}") from error
        return _Record(own, tuple(outputs), replay)


@final
class Graphed(Eager):
    """Eager PyTorch without the wait for Python: all launches of a run are replayed as one CUDA graph."""

    name = "torch-graphs"

    def open(self, artefact: Path, *, precision: str) -> Session:
        if device() != "cuda":
            raise Unavailable(f"{self.name} replays CUDA graphs: it needs an NVIDIA GPU that PyTorch sees")
        return super().open(artefact, precision=precision)

    def _callable(self, module: nn.Module) -> Call:
        return Replayed(module, Cuda())


def device() -> str:
    """Where PyTorch's sessions run: "cuda" or "cpu"."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def _io(program: ExportedProgram, said: Mapping[str, Any]) -> IO:
    """What the program eats and gives, by the names in its metadata."""
    values = {node.name: node.meta["val"] for node in program.graph.nodes if "val" in node.meta}
    signature = program.graph_signature
    inputs = [_spec(name, values[node]) for name, node in zip(said["inputs"], signature.user_inputs, strict=True)]
    outputs = [_spec(name, values[node]) for name, node in zip(said["outputs"], signature.user_outputs, strict=True)]
    return IO(inputs=tuple(inputs), outputs=tuple(outputs), device=device())


def _spec(name: str, value: Tensor) -> TensorSpec:
    shape = tuple(side if isinstance(side, int) else None for side in value.shape)
    return TensorSpec(name=name, dtype=value.dtype, shape=shape)


def _free_of_casts(module: nn.Module) -> nn.Module:
    """`module` without casts that change nothing and checks of types, which keep it in the type it was traced in."""
    assert isinstance(module, fx.GraphModule)
    for node in list(module.graph.nodes):
        if node.target is torch.ops.aten._assert_tensor_metadata.default:
            module.graph.erase_node(node)
        elif node.target is torch.ops.aten.to.dtype and node.args[0].meta["val"].dtype == node.args[1]:
            node.replace_all_uses_with(node.args[0])
            module.graph.erase_node(node)
    module.recompile()
    return module
