"""OpenVINO on the CPU. The artefact is the ONNX file; its own default precision on a bf16 CPU is bf16, so we ask."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, final

import torch
from torch import Tensor

from compress.exporting.signed_onnx import checked
from compress.libraries import Unavailable, library
from compress.runtimes.session import ANY, IO, Session, Target, TensorSpec, as_sentence, asked, honoured
from compress.training.loop import has_bf16

COMPUTING = {"Convolution", "MatMul", "FullyConnected", "GroupConvolution", "Subgraph:MatMul"}
HINTS = {"fp32": "f32", "bf16": "bf16", "int8": "f32"}
"""What the layers that are not quantised run in."""
NAMES = {"FP32": "fp32", "f32": "fp32", "BF16": "bf16", "bf16": "bf16", "I8": "int8", "i8": "int8", "U8": "int8"}
NAMES |= {"u8": "int8", "FP16": "fp16", "f16": "fp16"}
HONOURED = {"fp32": ("fp32",), "bf16": ("bf16", "fp32"), "int8": ("int8", "fp32")}
DTYPES = {"f32": torch.float32, "f16": torch.float16, "u8": torch.uint8, "i64": torch.int64, "i32": torch.int32}


@final
class OpenVinoSession(Session):
    """A compiled model with one inference request, tuned for latency."""

    def __init__(self, path: Path, precision: str) -> None:
        self._model = _compiled(path, precision)
        self._request = self._model.create_infer_request()
        inputs = tuple(_spec(port) for port in self._model.inputs)
        outputs = tuple(_spec(port) for port in self._model.outputs)
        super().__init__(IO(inputs=inputs, outputs=outputs), runtime="openvino", precision=precision)

    def _run(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        with as_sentence("OpenVINO"):
            found = self._request.infer({name: tensor.numpy(force=True) for name, tensor in batch.items()})
        return {spec.name: torch.from_numpy(found[spec.name]) for spec in self.io.outputs}

    def precision_by_layer(self) -> dict[str, str]:
        """Read from the graph as the CPU plug-in executes it."""
        layers = {}
        for operation in self._model.get_runtime_model().get_ops():
            info = operation.get_rt_info()
            if str(_told(info, "layerType")) in COMPUTING:
                kind = str(_told(info, "runtimePrecision"))
                layers[operation.get_friendly_name()] = NAMES.get(kind, kind)
        return layers


@final
class OpenVino:
    """OpenVINO's CPU plug-in."""

    name = "openvino"
    precisions = ("fp32", "bf16", "int8")

    def require(self) -> None:
        library("openvino")

    def source(self, onnx: Path) -> Path:
        return onnx

    def build(self, onnx: Path, *, precision: str, target: Target = ANY) -> Path:
        asked(self, precision)
        checked(onnx)
        return onnx

    def open(self, artefact: Path, *, precision: str) -> Session:
        asked(self, precision)
        if precision == "bf16" and not has_bf16("cpu"):
            raise Unavailable("openvino: this processor does not compute in bf16; use fp32 or int8 here")
        return honoured(OpenVinoSession(artefact, precision), HONOURED)


def _compiled(path: Path, precision: str) -> Any:
    openvino = library("openvino")
    checked(path)  # OpenVINO itself crashes on some invalid files
    settings = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": HINTS[precision]}
    settings |= {"INFERENCE_NUM_THREADS": str(torch.get_num_threads()), "NUM_STREAMS": "1"}
    try:
        return openvino.Core().compile_model(str(path), "CPU", settings)
    except Exception as error:  # its errors share no base class
        raise ValueError(f"OpenVINO cannot open {path} ({error}); export the network again") from error


def _spec(port: Any) -> TensorSpec:
    shape = tuple(side.get_length() if side.is_static else None for side in port.get_partial_shape())
    return TensorSpec(name=port.get_any_name(), dtype=DTYPES[port.get_element_type().to_string()], shape=shape)


def _told(info: Any, name: str) -> Any:
    value = info[name]
    return getattr(value, "value", value)
