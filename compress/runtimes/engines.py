"""What an engine is built for, and the sidecar beside it that says so.

An engine that does not fit its sidecar (truncated, damaged, exchanged, built elsewhere) is refused before TensorRT sees
a byte of it.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from compress.files import plain


@dataclass(frozen=True, kw_only=True)
class EngineConfig:
    """What an engine is built for. All of it is in the sidecar."""

    batches: tuple[int, int, int] = (1, 32, 128)
    """Smallest, best and largest batch of the optimisation profile."""
    capabilities: tuple[str, ...] = ()
    """Compute capabilities, like "8.6"; none: the GPU at hand. Only TensorRT for RTX builds for absent ones."""
    workspace_mib: int = 1024
    """Upper limit of scratch memory while running."""

    def __post_init__(self) -> None:
        low, best, high = self.batches
        if not 1 <= low <= best <= high:
            raise ValueError(f"batches={self.batches}: smallest, best, largest, each at least 1 and rising")

    @property
    def suffix(self) -> str:
        """What tells the file of an engine for named GPUs from others of the same network."""
        return "".join(f"-sm{capability.replace('.', '')}" for capability in self.capabilities)

    def trtexec(self, onnx: Path, inputs: Mapping[str, tuple[int, ...]]) -> str:
        """The command that builds and times the same engine with TensorRT's own tool."""

        def shapes(batch: int) -> str:
            return ",".join(f"{name}:{'x'.join(map(str, (batch, *sides)))}" for name, sides in inputs.items())

        low, best, high = map(shapes, self.batches)
        profile = f"--minShapes={low} --optShapes={best} --maxShapes={high} --shapes={best}"
        return f"trtexec --onnx={onnx} --stronglyTyped {profile} --memPoolSize=workspace:{self.workspace_mib}M"


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
