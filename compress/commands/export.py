"""The command that exports a network: an artefact of one runtime, verified on real inputs.

    python -m compress.export slim60 --runtime onnxruntime --precision int8 --data fer2013:fer2013.csv --out deployed
    python -m compress.export --net timm:resnet18 --input 3,224,224 --out deployed

OUT then holds program.pt2 (what PyTorch runs), the ONNX file of the precision, and the runtime's engine.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

from compress.commands.networks import CHECKPOINTS, example_of, named, network
from compress.commands.parser import status_of
from compress.exporting.artefacts import Artefacts
from compress.exporting.graph import graph_of
from compress.exporting.parity import TOLERANCES, verified
from compress.exporting.triton import repository_from_artefact
from compress.files import must_be_folder, plain, size_bytes
from compress.program import program
from compress.runtimes import RUNTIMES, Runtime, Session, Target, Unavailable


class Deployment(Protocol):
    """What a checkpoint becomes; `compress.commands.networks.CHECKPOINTS` gives one."""

    @property
    def files(self) -> Artefacts: ...

    def scores(self, session: Session) -> dict[str, Any]:
        """What `session` is worth on the data set, for the command's answer."""
        ...


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog=program("compress.export"),
        description="Exports a network to ONNX, builds the file that the runtime needs, and compares it with PyTorch.",
        epilog="Without --data the comparison uses random inputs. int8 needs --data for its calibration.",
    )
    parser.add_argument("checkpoint", type=Path, nargs="?", help="folder that fermodels.save wrote")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the files")
    parser.add_argument("--runtime", default="onnxruntime", choices=RUNTIMES, help="default: onnxruntime")
    parser.add_argument(
        "--precision", default="fp32", help="fp32, fp16, bf16, int8: what the runtime has (default: fp32)"
    )
    parser.add_argument("--batch", default="1,32,128", help="smallest, usual, largest batch of an engine or of Triton")
    parser.add_argument("--capability", default="", help='for tensorrt-rtx: compute capabilities of GPUs, "8.6,8.9"')
    parser.add_argument("--triton", type=Path, metavar="DIR", help="also write a Triton model repository to DIR")
    faces = parser.add_argument_group("a checkpoint of faces")
    faces.add_argument("--data", metavar="NAME:PATH", help="data set to compare on (its validation split)")
    faces.add_argument("--runs", type=Path, default=Path("reports/runs"), metavar="DIR", help="cache of decoded faces")
    faces.add_argument("--stored", type=int, help="side of the aligned face in pixels, if the checkpoint does not say")
    own = parser.add_argument_group("a network of your own")
    own.add_argument("--net", metavar="SPEC", help="timm:NAME, or package.module:function that gives the network")
    own.add_argument(
        "--input", action="append", metavar="C,H,W", help="shape of an input, like 3,224,224; once for each"
    )
    return parser.parse_args(argv)


def run(given: argparse.Namespace) -> dict[str, Any]:
    """Exports, builds and verifies; returns what the last line of standard output says."""
    runtime, target = _asked(given)
    for option in ("out", "triton"):
        if folder := getattr(given, option):
            must_be_folder(folder, f"--{option}")
    runtime.require()
    made, deployment = _network(given)
    path = made.onnx(given.precision)
    artefact = runtime.build(path, precision=given.precision, target=target)
    said: dict[str, Any] = {"onnx": str(path), "artefact": str(artefact), "bytes": size_bytes(artefact)}
    if given.triton:
        served = path if artefact.suffix not in (".onnx", ".engine") else artefact
        place = repository_from_artefact(served, path, given.triton, given.out.resolve().name, target=target)
        said["triton"] = str(place)
    try:
        session = runtime.open(artefact, precision=given.precision)
    except Unavailable as missing:
        print(f"built, but not run here: {missing}", file=sys.stderr)
        return said | {"verified": None}
    same = verified(session, made.graph, made.checks).checked(TOLERANCES[session.precision])
    scores = {} if deployment is None else deployment.scores(session)
    return said | {"verified": plain(asdict(same)) | {"inputs": given.data or "random inputs"} | scores}


def _network(given: argparse.Namespace) -> tuple[Artefacts, Deployment | None]:
    """The network's files, and what a checkpoint knows beside them."""
    if (given.checkpoint is None) == (given.net is None):
        raise ValueError("which network? give the folder of a checkpoint, or --net, and not both")
    if given.net is None:
        opened = named(CHECKPOINTS)(given.checkpoint, given.out, data=given.data, stored=given.stored, runs=given.runs)
        return opened.files, opened
    if given.data or given.precision == "int8":
        raise ValueError("--data holds faces for a checkpoint: for int8 of a network of your own call compress.export")
    return Artefacts(
        folder=given.out, graph=graph_of(network(given.net), example_of(given.input or ["3,224,224"]))
    ), None


def _asked(given: argparse.Namespace) -> tuple[Runtime, Target]:
    """The runtime and what to build for; a precision it lacks and a batch that makes no sense are refused."""
    runtime = RUNTIMES[given.runtime]
    if given.precision not in runtime.precisions:
        raise ValueError(f'{given.runtime} has no precision "{given.precision}": {", ".join(runtime.precisions)}')
    try:
        low, best, high = (int(batch) for batch in given.batch.split(","))
    except ValueError as error:
        raise ValueError(f"--batch {given.batch}: three numbers are needed, like 1,32,128") from error
    capabilities = tuple(word for word in given.capability.split(",") if word)
    return runtime, Target(batches=(low, best, high), capabilities=capabilities)


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point: status 2 and a sentence for a mistake in the input or a missing library."""
    return status_of("compress.export", run, arguments(argv))


if __name__ == "__main__":
    sys.exit(main())
