"""`python -m fermodels.predict` with what `compress.export` built: an engine, or an ONNX file in any runtime.

    python -m compress.predict photo.jpg --model deployed/fp16-tensorrt.engine --annotate pictures
    python -m compress.predict clip.mp4 --model deployed/int8.onnx --runtime openvino --csv

An engine says in its sidecar which runtime, precision and ONNX file it belongs to; the classes and the side of the
faces come from that file, so both lie together, as `compress.export` leaves them.
"""

import argparse
import hashlib
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8

from compress.exporting.onnx_file import described
from compress.runtimes import RUNTIMES, Session, Unavailable
from compress.runtimes.engines import told
from fermodels.predict import __main__ as predict
from fermodels.predict.classifier import CROP, Answers

ENGINE = ".engine"
BATCH = 32
"""Faces that run together: within the profile that `compress.export` builds engines for."""


class SessionClassifier:
    """A session of any runtime as `fermodels.predict` wants a model.

    Args:
        about: the metadata of the ONNX file (`compress.exporting.onnx_file.described`).
        name: of the model, for its errors.

    Raises:
        ValueError: the network takes regions cut at landmarks.
    """

    def __init__(self, session: Session, about: dict, name: str) -> None:
        if about["regions"] != "fixed":
            raise ValueError(f"{name} takes regions cut at landmarks: give fermodels.predict the checkpoint behind it")
        self.session, self.crop = session, CROP
        self.classes, self.side = tuple(about["classes"]), int(about["inputs"]["face"]["side"])

    def __call__(self, faces: UInt8[np.ndarray, "n side side 3"]) -> Answers:
        parts = []
        for start in range(0, len(faces), BATCH):
            pixels = torch.from_numpy(np.ascontiguousarray(faces[start : start + BATCH].transpose(0, 3, 1, 2)))
            found = self.session.run({"face": pixels.float()})
            parts.append({name: tensor.float().cpu().numpy().copy() for name, tensor in found.items()})
        named = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        attention = named.get("attention")
        return Answers(named["probabilities"], None if attention is None else attention[:, 0])


def open_deployed(path: Path, runtime: str | None = None, precision: str | None = None) -> SessionClassifier:
    """What `compress.export` built, ready to predict.

    Args:
        path: an engine, or an ONNX file.
        runtime: for an ONNX file, in which of `RUNTIMES` it runs; None: ONNX Runtime.
        precision: for an ONNX file, where the runtime's differs from the file's (bf16); None: the file's.

    Raises:
        ValueError: no such file, an engine without its sidecar or ONNX file, or an option that an engine settles.
        Unavailable: the runtime, or a GPU for an engine, is missing.
    """
    if not path.is_file():
        raise ValueError(f"there is no file {path}: give an engine or an ONNX file that compress.export wrote")
    if path.suffix == ENGINE:
        if runtime or precision:
            raise ValueError(f"{path.name} is built for one runtime and precision: leave out --runtime and --precision")
        said = told(path)
        session = RUNTIMES[said["runtime"]].open(path, precision=said["precision"])
        return SessionClassifier(session, described(_onnx_of(path, said["onnx_sha256"])), path.name)
    about, running = described(path), RUNTIMES[runtime or "onnxruntime"]
    wanted = str(precision or about["precision"])
    session = running.open(running.build(path, precision=wanted), precision=wanted)
    return SessionClassifier(session, about, path.name)


def _onnx_of(engine: Path, digest: str) -> Path:
    """The ONNX file beside `engine` that it was built from."""
    for path in sorted(engine.parent.glob("*.onnx")):
        if hashlib.sha256(path.read_bytes()).hexdigest() == digest:
            return path
    raise ValueError(
        f"the ONNX file that {engine.name} was built from does not lie beside it: export the network again"
    )


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line: that of `fermodels.predict`, and how the model runs."""
    parser = predict.parser_of("compress.predict", "ENGINE|ONNX", "what compress.export wrote")
    parser.add_argument("--runtime", choices=RUNTIMES, help="of an ONNX file (default: onnxruntime)")
    parser.add_argument("--precision", help="of an ONNX file, where it is not the file's: bf16")
    given = predict.arguments(argv, parser)
    if given.model is None:
        parser.error("--model is missing: an engine or an ONNX file that compress.export wrote")
    return given


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point: status 2 and a sentence for a mistake in the input, or for what is missing on this machine."""
    given = arguments(argv)
    try:
        model = open_deployed(Path(given.model).expanduser(), given.runtime, given.precision)
        return predict.run(given, model)
    except (ValueError, Unavailable) as error:
        print(f"compress.predict: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
