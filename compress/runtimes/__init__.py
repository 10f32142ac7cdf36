"""Where a network runs: one small contract, one dict.

    artefact = RUNTIMES["onnxruntime"].build(Path("net.onnx"), precision="fp32")
    session = RUNTIMES["onnxruntime"].open(artefact, precision="fp32")
    session.run({"face": pixels})["probabilities"]

A runtime whose library, driver or device is missing raises `Unavailable` with the mend, which tables print as a row.
"""

from compress.libraries import Unavailable
from compress.runtimes.onnx_runtime import OnnxRuntime
from compress.runtimes.open_vino import OpenVino
from compress.runtimes.session import IO, Runtime, Session, Target, TensorSpec
from compress.runtimes.tensor_rt import TensorRt
from compress.runtimes.torch_runtimes import Compiled, Eager, Graphed

RUNTIMES: dict[str, Runtime] = {
    "torch": Eager(),
    "torch-compile": Compiled(),
    "torch-graphs": Graphed(),
    "onnxruntime": OnnxRuntime(),
    "openvino": OpenVino(),
    "tensorrt": TensorRt("tensorrt"),
    "tensorrt-rtx": TensorRt("tensorrt-rtx"),
}

__all__ = ["IO", "RUNTIMES", "Runtime", "Session", "Target", "TensorSpec", "Unavailable"]
