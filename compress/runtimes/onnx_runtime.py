"""ONNX Runtime on the CPU. The artefact is the ONNX file itself: its precision is what the file says."""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, final

import torch
from torch import Tensor

from compress.exporting.signed_onnx import checked
from compress.libraries import library
from compress.onnx_session import onnx_session
from compress.runtimes.session import ANY, IO, Session, Target, TensorSpec, as_sentence, asked, honoured

COMPUTING = {"Conv", "FusedConv", "Gemm", "FusedGemm", "MatMul", "FusedMatMul", "ConvTranspose"}
QUANTISED = {"QLinearConv", "QGemm", "QLinearMatMul", "MatMulInteger", "ConvInteger", "NhwcFusedConv"}
ELEMENTS = {1: "fp32", 10: "fp16", 16: "bf16"}
"""ONNX's numbers of element types."""
DTYPES = {"tensor(float)": torch.float32, "tensor(float16)": torch.float16, "tensor(uint8)": torch.uint8}
DTYPES |= {"tensor(int64)": torch.int64, "tensor(int32)": torch.int32, "tensor(bool)": torch.bool}
HONOURED = {"fp32": ("fp32",), "int8": ("int8", "fp32")}
"""The first is asked for; what is not quantised stays in float32."""


@final
class OnnxRuntimeSession(Session):
    """An inference session with as many threads as PyTorch has."""

    def __init__(self, path: Path, precision: str) -> None:
        checked(path)
        self.path, self._session = path, onnx_session(path)
        inputs = tuple(_spec(one) for one in self._session.get_inputs())
        outputs = tuple(_spec(one) for one in self._session.get_outputs())
        super().__init__(IO(inputs=inputs, outputs=outputs), runtime="onnxruntime", precision=precision)

    def _run(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        with as_sentence("ONNX Runtime"):
            found = self._session.run(None, {name: tensor.numpy(force=True) for name, tensor in batch.items()})
        return {spec.name: torch.from_numpy(value) for spec, value in zip(self.io.outputs, found, strict=True)}

    def precision_by_layer(self) -> dict[str, str]:
        """Read from the graph as ONNX Runtime has optimised it for this machine."""
        with tempfile.TemporaryDirectory() as folder:
            optimised = Path(folder) / "optimised.onnx"
            onnx_session(self.path, optimised=optimised)
            graph = library("onnx").load(optimised).graph
        kinds = {one.name: one.data_type for one in graph.initializer}
        kinds |= {one.name: one.type.tensor_type.elem_type for one in (*graph.value_info, *graph.input, *graph.output)}
        return {
            node.name or node.output[0]: _precision(node, kinds)
            for node in graph.node
            if node.op_type in COMPUTING | QUANTISED
        }


@final
class OnnxRuntime:
    """ONNX Runtime's CPU provider."""

    name = "onnxruntime"
    precisions = ("fp32", "int8")
    """No fp16: on a CPU it computes in float32 between casts, which `honoured` would refuse."""

    def require(self) -> None:
        library("onnxruntime")

    def source(self, onnx: Path) -> Path:
        return onnx

    def build(self, onnx: Path, *, precision: str, target: Target = ANY) -> Path:
        asked(self, precision)
        checked(onnx)
        return onnx

    def open(self, artefact: Path, *, precision: str) -> Session:
        asked(self, precision)
        return honoured(OnnxRuntimeSession(artefact, precision), HONOURED)


def _spec(one: Any) -> TensorSpec:
    shape = tuple(side if isinstance(side, int) else None for side in one.shape)
    return TensorSpec(name=one.name, dtype=DTYPES.get(one.type, torch.float32), shape=shape)


def _precision(node: Any, kinds: Mapping[str, int]) -> str:
    if node.op_type in QUANTISED and node.op_type != "NhwcFusedConv":
        return "int8"
    known = [kinds[name] for name in node.input if name in kinds]
    return next((ELEMENTS[kind] for kind in known if kind in ELEMENTS), "fp32")
