"""What an engine is built for, and the sidecar beside it that says so.

An engine that does not fit its sidecar (truncated, damaged, exchanged, built elsewhere) is refused before TensorRT sees
a byte of it.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from compress.files import plain
from compress.runtimes.session import Target


def engine_path(onnx: Path, runtime: str, target: Target) -> Path:
    """Where the engine of `onnx` for `target` lies."""
    gpus = "".join(f"-sm{capability.replace('.', '')}" for capability in target.capabilities)
    return onnx.with_name(f"{onnx.stem}-{runtime}{gpus}.engine")


def trtexec(onnx: Path, inputs: Mapping[str, Sequence[int]], target: Target) -> str:
    """The command that builds and times the same engine with TensorRT's own tool, in the folder of `onnx`.

    Args:
        inputs: name to shape, without the batch.
    """

    def shapes(batch: int) -> str:
        return ",".join(f"{name}:{'x'.join(map(str, (batch, *sides)))}" for name, sides in inputs.items())

    low, best, high = map(shapes, target.batches)
    profile = f"--minShapes={low} --optShapes={best} --maxShapes={high} --shapes={best}"
    return f"trtexec --onnx={onnx.name} --stronglyTyped {profile} --memPoolSize=workspace:{target.workspace_mib}M"


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
