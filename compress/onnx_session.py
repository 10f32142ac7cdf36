"""An ONNX file opened in ONNX Runtime: the one place that does it, and it needs no PyTorch.

session = onnx_session(Path("net.onnx"))
session.run(None, {"face": pixels})
"""

import os
import sys
from pathlib import Path
from typing import Any

from compress.exporting.signed_onnx import whole
from compress.libraries import library

REST = ("session.force_spinning_stop", "1")
"""Threads spin during a run but not after it: as fast, and whatever runs next has its cores at once. By default they
spin on for 50 ms, in which another runtime took 1.6 times as long (measured in turns, 2 cores)."""


def onnx_session(path: Path, *, optimised: Path | None = None) -> Any:
    """An `onnxruntime.InferenceSession` on the CPU with `threads()` threads.

    Args:
        optimised: where ONNX Runtime writes the graph as it has optimised it for this machine.

    Raises:
        Unavailable: ONNX Runtime is not installed.
        ValueError: the file is damaged, or cannot be opened by it.
    """
    onnxruntime = library("onnxruntime")
    whole(path)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads()
    options.log_severity_level = 3
    options.add_session_config_entry(*REST)
    if optimised is not None:
        options.optimized_model_filepath = str(optimised)
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its errors share no base class
        raise ValueError(f"ONNX Runtime cannot open {path} ({error}): it is damaged, or no ONNX file") from error


def threads() -> int:
    """As many as PyTorch uses; where it is not loaded, OMP_NUM_THREADS or one for each usable processor."""
    if "torch" in sys.modules:
        return sys.modules["torch"].get_num_threads()
    asked = os.environ.get("OMP_NUM_THREADS", "")
    return int(asked) if asked.isdecimal() and int(asked) else len(os.sched_getaffinity(0))
