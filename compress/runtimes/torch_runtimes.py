"""PyTorch itself, eager, compiled and replayed: the references every other runtime is held to.

They run on the current GPU where PyTorch sees one (`CUDA_VISIBLE_DEVICES=` hides it), else on the CPU. The artefact is
the checkpoint that `compress.export` puts beside the ONNX file, wrapped in the same `Deployed` graph.
"""

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import torch
from torch import Tensor, nn

from compress.runtimes.cuda_graphs import Cuda, Gpu
from compress.runtimes.engine_session import Recent
from compress.runtimes.session import IO, Session, TensorSpec, Unavailable, asked
from fermodels import checkpoint
from fermodels.predict.deployed import Deployed
from fermodels.training.views import recorded_views

CHECKPOINT = "checkpoint"
"""Name of the checkpoint's folder beside the ONNX file."""
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


class TorchSession:
    """A `Deployed` graph in inference mode, channels_last, on one device."""

    def __init__(self, graph: Deployed, call: Callable[..., Any], *, runtime: str, precision: str) -> None:
        self.graph, self.call, self.runtime, self.precision = graph, call, runtime, precision
        inputs = [
            TensorSpec(name=name, dtype=torch.float32, shape=(None, 3, side, side))
            for name, side in graph.sides.items()
        ]
        outputs = [TensorSpec(name=name, dtype=torch.float32, shape=(None,)) for name in graph.outputs]
        self.io = IO(inputs=tuple(inputs), outputs=tuple(outputs), device=str(next(graph.parameters()).device))

    def run(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        self.io.check(batch)
        with torch.inference_mode():
            found = self.call(*(batch[name].to(self.io.device) for name in self.graph.inputs))
            if found[0].is_cuda:
                torch.cuda.synchronize(found[0].device)
        return dict(zip(self.graph.outputs, found, strict=True))

    def precision_by_layer(self) -> dict[str, str]:
        names = {dtype: name for name, dtype in DTYPES.items()}
        layers = [(name, m) for name, m in self.graph.net.named_modules() if isinstance(m, nn.Conv2d | nn.Linear)]
        return {name: names[module.weight.dtype] for name, module in layers}


class Eager:
    """PyTorch as it is."""

    name = "torch"
    precisions = ("fp32", "bf16")

    def build(self, onnx: Path, *, precision: str) -> Path:
        asked(self, precision)
        folder = onnx.parent / CHECKPOINT
        if not (folder / checkpoint.CONFIG).is_file():
            raise ValueError(f"{self.name} runs the checkpoint beside {onnx}, and {folder} holds none: export it again")
        return folder

    def open(self, artefact: Path, *, precision: str) -> Session:
        asked(self, precision)
        graph = graph_from_checkpoint(artefact)
        graph.net.to(DTYPES[precision])
        graph.to(device(), memory_format=torch.channels_last)  # type: ignore[call-overload]
        return TorchSession(graph, self._callable(graph), runtime=self.name, precision=precision)

    def _callable(self, graph: Deployed) -> Callable[..., Any]:
        return graph


VARIANTS = 256
"""Networks times batch sizes that one process may compile. Beyond its own limit of 8, dynamo would run eagerly."""


class Compiled(Eager):
    """torch.compile with frozen weights; the first run of every batch size compiles.

    The whole graph is compiled or nothing (`fullgraph`): a part left to eager mode would carry the wrong name. On a GPU
    its launches are replayed as a CUDA graph, so outputs are good until the next run.
    """

    name = "torch-compile"

    def _callable(self, graph: Deployed) -> Callable[..., Any]:
        frozen = copy.deepcopy(graph).requires_grad_(False)
        torch._dynamo.config.recompile_limit = VARIANTS
        options: dict[str, Any] = {"freezing": True, "triton.cudagraphs": device() == "cuda"}
        return torch.compile(frozen, options=options, dynamic=False, fullgraph=True)


@final
@dataclass(frozen=True)
class _Record:
    """The launches of one batch size, and the buffers they read and write."""

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    replay: Callable[[], None]


@final
class Replayed:
    """A graph whose launches are recorded once for every combination of input shapes, and replayed at once after that.

    Outputs are overwritten by the next run of the same shapes.
    """

    def __init__(self, graph: Callable[..., tuple[Tensor, ...]], gpu: Gpu) -> None:
        self.graph, self.gpu = graph, gpu
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
            outputs[:] = self.graph(*own)

        try:
            replay = self.gpu.captured(launch)
        except RuntimeError as error:
            raise Unavailable(f"this network cannot be recorded as a CUDA graph: {error}") from error
        return _Record(own, tuple(outputs), replay)


class Graphed(Eager):
    """Eager PyTorch without the wait for Python: all launches of a run are replayed as one CUDA graph."""

    name = "torch-graphs"

    def open(self, artefact: Path, *, precision: str) -> Session:
        if device() != "cuda":
            raise Unavailable(f"{self.name} replays CUDA graphs: it needs an NVIDIA GPU that PyTorch sees")
        return super().open(artefact, precision=precision)

    def _callable(self, graph: Deployed) -> Callable[..., Any]:
        return Replayed(graph, Cuda())


def device() -> str:
    """Where PyTorch's sessions run: "cuda" or "cpu"."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def graph_from_checkpoint(folder: Path, *, stored: int | None = None, regions: str | None = None) -> Deployed:
    """The deployable graph of a checkpoint.

    Args:
        stored: side of the aligned face in pixels; by default what the checkpoint says.
        regions: "fixed" or "given" (see `Deployed`); by default what the checkpoint says, else "fixed".

    Raises:
        ValueError: as `fermodels.training.views.recorded_views`.
    """
    net, about = checkpoint.load(folder)
    config, side = recorded_views(about, stored=stored)
    return Deployed(net, config, stored=side, regions=regions or about.get("regions") or "fixed")
