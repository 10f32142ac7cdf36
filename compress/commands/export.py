"""The command that exports a checkpoint: an artefact of one runtime, verified on real faces.

    python -m compress.export slim60 --runtime onnxruntime --precision int8 --data fer2013:fer2013.csv --out deployed

OUT then holds checkpoint/ (what PyTorch runs), fp32.onnx, the ONNX file of the precision, and the runtime's engine.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

from compress.commands.parser import dataset_of, parser_of, status_of
from compress.exporting.artefacts import Artefacts, artefacts_of
from compress.exporting.onnx_file import TOLERANCES, parity
from compress.files import plain, size_bytes
from compress.runtimes import RUNTIMES, Runtime, Session, Unavailable
from compress.runtimes.tensor_rt import EngineConfig, TensorRt
from fermodels import checkpoint
from fermodels.training.views import recorded_views


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = parser_of(
        "compress.export",
        description="Exports a checkpoint to ONNX, builds the runtime's artefact, and verifies it against PyTorch.",
        epilog="Without --data the verification runs on random images; int8 needs --data for its calibration.",
        result="the artefacts",
        data="verifies on its validation split",
    )
    parser.add_argument("--runtime", default="onnxruntime", choices=RUNTIMES, help="(default: onnxruntime)")
    parser.add_argument("--precision", default="fp32", help="fp32, fp16, bf16 or int8, where the runtime has it")
    parser.add_argument("--batch", default="1,32,128", help="smallest, best, largest batch of a TensorRT engine")
    parser.add_argument("--capability", default="", help='GPUs to build a tensorrt-rtx engine for, like "8.6,8.9"')
    parser.add_argument("--stored", type=int, help="side of the aligned face in pixels, where the checkpoint is silent")
    return parser.parse_args(argv)


def run(given: argparse.Namespace) -> dict[str, Any]:
    """Exports, builds and verifies; returns what the last line of standard output says."""
    runtime = _runtime(given)
    _, stored = recorded_views(checkpoint.describe(given.checkpoint), stored=given.stored)
    data = dataset_of(given, stored=stored) if given.data else None
    made = artefacts_of(given.checkpoint, given.out, data=data, stored=stored)
    path = made.onnx(given.precision)
    said: dict[str, Any] = {"onnx": str(path), "artefact": None, "verified": None}
    if isinstance(runtime, TensorRt):
        sides = {name: (3, side, side) for name, side in made.graph.sides.items()}
        said["trtexec"] = runtime.config.trtexec(path, sides)
        print(said["trtexec"], file=sys.stderr)
    artefact = runtime.build(path, precision=given.precision)
    said |= {"artefact": str(artefact), "bytes": size_bytes(artefact)}
    try:
        session = runtime.open(artefact, precision=given.precision)
    except Unavailable as missing:
        print(f"built, but not run here: {missing}", file=sys.stderr)
        return said
    return said | {"verified": _verified(made, session) | {"faces": given.data or "random images"}}


def _verified(made: Artefacts, session: Session) -> dict[str, Any]:
    """Parity with PyTorch through the artefact itself, and both accuracies on the validation split."""
    found = made.through(session)
    same = parity(found, made.wanted).checked(TOLERANCES[session.precision])
    return plain(asdict(same)) | {"accuracy": made.accuracy(found), "accuracy_pytorch": made.accuracy(made.wanted)}


def _runtime(given: argparse.Namespace) -> Runtime:
    """The runtime as asked; a precision it lacks and a batch that makes no sense are refused before any work."""
    runtime = RUNTIMES[given.runtime]
    if given.precision not in runtime.precisions:
        raise ValueError(f'{given.runtime} has no precision "{given.precision}": {", ".join(runtime.precisions)}')
    if not isinstance(runtime, TensorRt):
        return runtime
    try:
        low, best, high = (int(batch) for batch in given.batch.split(","))
    except ValueError as error:
        raise ValueError(f"--batch {given.batch}: three numbers are needed, like 1,32,128") from error
    capabilities = tuple(word for word in given.capability.split(",") if word)
    return replace(runtime, config=EngineConfig(batches=(low, best, high), capabilities=capabilities))


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point: status 2 and a sentence for a mistake in the input or a missing library."""
    return status_of("compress.export", run, arguments(argv))


if __name__ == "__main__":
    sys.exit(main())
