"""An exported network that predicts: an ONNX file in any runtime, or an engine. What it is fed stands in its metadata.

One thing to know: ONNX Runtime, the default, is reached without PyTorch, whose import alone takes seconds.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, UInt8

from compress.exporting.signed_onnx import METADATA
from compress.onnx_session import onnx_session
from fermodels.predict.classifier import FACES_AT_ONCE, Answers, answers_of, classes_of

DEFAULT_RUNTIME = "onnxruntime"
ENGINE = ".engine"

Run = Callable[[Float32[np.ndarray, "b 3 side side"]], Mapping[str, np.ndarray]]
"""Pixels of faces to the network's outputs by name."""


class SessionClassifier:
    """An exported network, ready.

    Args:
        path: an ONNX file, or an engine.
        runtime: for an ONNX file, in which of `compress.runtimes.RUNTIMES` it runs.
        precision: for an ONNX file, where the runtime's differs from the file's (bf16); None: the file's.

    Raises:
        ValueError: no such file, not one of ours, one that takes regions cut at landmarks, or an option that an
            engine settles.
        Unavailable: the runtime, or a GPU for an engine, is missing.
    """

    def __init__(self, path: Path, runtime: str | None = None, precision: str | None = None) -> None:
        self.given = path, runtime, precision
        if path.suffix == ENGINE:
            if runtime or precision:
                raise ValueError(
                    f"{path.name} is built for one runtime and precision: leave out --runtime and --precision"
                )
            self.run, told = _engine(path)
        elif runtime in (None, DEFAULT_RUNTIME):
            self.run, told = _in_onnxruntime(path, precision)
        else:
            self.run, told = _in_runtime(path, runtime, precision)
        self.about, self.side, self.crop = _read(told, path)
        self.classes = classes_of(self.about, path)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), self.given

    def __call__(self, faces: UInt8[np.ndarray, "n side side 3"]) -> Answers:
        parts = [
            self.run(np.ascontiguousarray(faces[start : start + FACES_AT_ONCE].transpose(0, 3, 1, 2), np.float32))
            for start in range(0, len(faces), FACES_AT_ONCE)
        ]
        named = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        return answers_of(named, len(self.classes))


def _in_onnxruntime(path: Path, precision: str | None) -> tuple[Run, str | None]:
    """How ONNX Runtime runs the file, and the file's metadata."""
    session = onnx_session(path)
    told = session.get_modelmeta().custom_metadata_map.get(METADATA)
    if precision is not None and told is not None and (has := _read(told, path)[0]["precision"]) != precision:
        raise ValueError(f"{path} is {has} and ONNX Runtime runs it as it is: leave out --precision {precision}")
    outputs = [one.name for one in session.get_outputs()]

    def run(pixels: Float32[np.ndarray, "b 3 side side"]) -> dict[str, np.ndarray]:
        try:
            return dict(zip(outputs, session.run(None, {"face": pixels}), strict=True))
        except Exception as error:  # its errors share no base class
            raise ValueError(
                f"{path} cannot be run on {pixels.shape} pixels ({error}): export the network again"
            ) from error

    return run, told


def _in_runtime(path: Path, name: str, precision: str | None) -> tuple[Run, str]:
    from compress.runtimes import RUNTIMES

    if name not in RUNTIMES:
        raise ValueError(f'there is no runtime "{name}": {", ".join(RUNTIMES)}')
    told = _metadata(path)
    wanted, runtime = str(precision or _read(told, path)[0]["precision"]), RUNTIMES[name]
    return _through(runtime.open(runtime.build(path, precision=wanted), precision=wanted)), told


def _engine(path: Path) -> tuple[Run, str]:
    """An engine says in its sidecar what it was built from; classes and side come from that file, beside it."""
    from compress.runtimes import RUNTIMES
    from compress.runtimes.engines import told

    said = told(path)
    onnx = _onnx_of(path, said["onnx_sha256"])
    return _through(RUNTIMES[said["runtime"]].open(path, precision=said["precision"])), _metadata(onnx)


def _through(session: Any) -> Run:
    """A session of `compress.runtimes`."""
    import torch

    def run(pixels: Float32[np.ndarray, "b 3 side side"]) -> dict[str, np.ndarray]:
        found = session.run({"face": torch.from_numpy(pixels)})
        return {name: tensor.float().cpu().numpy() for name, tensor in found.items()}

    return run


def _onnx_of(engine: Path, digest: str) -> Path:
    """The ONNX file beside `engine` that it was built from."""
    for path in sorted(engine.parent.glob("*.onnx")):
        if hashlib.sha256(path.read_bytes()).hexdigest() == digest:
            return path
    raise ValueError(
        f"the ONNX file that {engine.name} was built from does not lie beside it: export the network again"
    )


def _metadata(path: Path) -> str:
    from compress.exporting.signed_onnx import described

    return json.dumps(described(path))


def _read(told: str | None, path: Path) -> tuple[dict[str, Any], int, float]:
    """What an ONNX file says of itself, the side in pixels of its faces, and the share of it that the network sees."""
    if told is None:
        raise ValueError(f"{path} carries no {METADATA} metadata: give a file that compress.export wrote")
    try:
        about = json.loads(told)
        regions, side = about["regions"], int(about["side"])
        if regions != "fixed":
            raise ValueError(f"{path} takes regions cut at landmarks: give the checkpoint it was made from")
        return about, side, float(about["crop"])
    except (KeyError, TypeError, AttributeError, json.JSONDecodeError) as error:
        raise ValueError(f"the metadata of {path} is not complete ({error!r}): export the network again") from None
