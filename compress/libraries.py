"""Optional libraries, imported here and nowhere else: those that report home are told not to before they are loaded.

    onnxruntime = library("onnxruntime")

ONNX Runtime and OpenVINO look up an analytics host when they are imported and keep an identity in the home folder, Ray
sends usage statistics. This project reads faces: nothing leaves the machine. Afterwards is too late, so `ruff` forbids
every other import of them.
"""

import importlib
import os
import sys
from typing import Any, cast

EXTRAS = {
    "onnx": "onnx",
    "onnxruntime": "onnx",
    "openvino": "openvino",
    "tensorrt": "trt",
    "tensorrt_rtx": "trt-rtx",
    "pycuda": "pycuda",
    "ray": "ray",
}
"""Library -> the extra that installs it."""


class Unavailable(RuntimeError):
    """A runtime cannot work here; the sentence says what is missing and how to get it."""


def library(module: str) -> Any:
    """The imported `module` of one of `EXTRAS`, like "onnxruntime.quantization".

    Raises:
        Unavailable: it is not installed; the sentence names the extra.
    """
    silence()
    try:
        return importlib.import_module(module)
    except ImportError as error:
        name = module.partition(".")[0]
        raise Unavailable(f"{name} is not installed: pip install 'fermodels[{EXTRAS[name]}]' ({error})") from error


def silence() -> None:
    """Switches the telemetry of libraries off that are not imported yet."""
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    # without its sender OpenVINO takes its own stub, which sends and writes nothing
    cast(dict[str, Any], sys.modules).setdefault("openvino_telemetry", None)
