"""`python -m compress.export`: a checkpoint becomes an artefact of one runtime, verified on real faces.

    python -m compress.export slim60 --runtime onnxruntime --precision int8 --data fer2013:fer2013.csv --out deployed

OUT then holds checkpoint/ (what PyTorch runs), fp32.onnx, the ONNX file of the precision, and the runtime's engine.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

import fermodels
from compress.command import dataset_of, parser_of, status_of
from compress.export import PRECISIONS, TOLERANCES, Parity, onnx_from_net, parity, verify
from compress.quantize import int8_from_onnx
from compress.runtimes import RUNTIMES, Runtime, Session, Unavailable
from compress.runtimes.tensor_rt import EngineConfig, TensorRt
from compress.runtimes.torch_runtimes import CHECKPOINT, graph_from_checkpoint
from fermodels.data.base import Dataset
from fermodels.deployed import Deployed
from fermodels.files import plain
from fermodels.views import Views

CALIBRATION = 1024
"""Training faces on which the ranges of activations are measured."""
RANDOM_FACES = 64
"""Without a data set the artefact is verified on so many random images, which says little about accuracy."""


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


@dataclass(frozen=True)
class _Export:
    given: argparse.Namespace
    graph: Deployed
    about: dict[str, Any]

    @cached_property
    def data(self) -> Dataset | None:
        return dataset_of(self.given, stored=self.graph.stored) if self.given.data else None

    def views(self, split: str) -> Views:
        assert self.data is not None, "asked only where there is a data set"
        return Views(self.data.splits[split], self.graph.view_config, self.graph.inputs)

    @cached_property
    def faces(self) -> list[tuple[Tensor, ...]]:
        """What artefacts are verified on: the validation split, or random images."""
        if self.data is None:
            return [self.graph.example(RANDOM_FACES)]
        return [batch.views for batch in self.views("validation").evaluation(128)]

    @cached_property
    def wanted(self) -> np.ndarray:
        """PyTorch's probabilities on `faces`."""
        with torch.inference_mode():
            return np.concatenate([self.graph(*faces)[0].numpy() for faces in self.faces])

    def accuracy(self, probabilities: np.ndarray) -> float | None:
        if self.data is None:
            return None
        return float((probabilities.argmax(1) == np.asarray(self.data.validation.labels)).mean())

    def onnx(self) -> Path:
        """The ONNX file of the asked precision, made and verified."""
        precision = self.given.precision
        base = onnx_from_net(self.graph, self.given.out / "fp32.onnx", self.about)
        verify(base, self.graph, self.faces[:2]).checked(TOLERANCES["fp32"])
        if precision == "int8":
            return self._int8(base)
        if PRECISIONS.get(precision) in (None, torch.float32):
            return base  # bf16 is the runtime's own doing
        half = onnx_from_net(self.graph, self.given.out / f"{precision}.onnx", self.about, precision=precision)
        verify(half, self.graph, self.faces[:2]).checked(TOLERANCES[precision])
        return half

    def _int8(self, base: Path) -> Path:
        if self.data is None:
            raise ValueError("int8 measures the ranges of activations on training faces: name a data set with --data")
        feeds = [
            dict(zip(self.graph.inputs, (view.numpy() for view in batch.views), strict=True))
            for batch in self.views("train").spread(CALIBRATION)
        ]
        made = int8_from_onnx(base, self.given.out / "int8.onnx", feeds, self._score)
        print(f"calibration: {made.scores} -> {made.method}", file=sys.stderr)
        return made.path

    def _score(self, path: Path) -> float:
        session = RUNTIMES["onnxruntime"].open(path, precision="int8")
        return self.accuracy(self.through(session)) or 0.0

    def through(self, session: Session) -> np.ndarray:
        """Probabilities of `faces` as `session` gives them."""
        names = self.graph.inputs
        answers = [session.run(dict(zip(names, faces, strict=True)))["probabilities"] for faces in self.faces]
        return np.concatenate([answer.cpu().numpy() for answer in answers])


def run(given: argparse.Namespace) -> dict[str, Any]:
    """Exports, builds and verifies; returns what the last line of standard output says."""
    runtime = _runtime(given)
    net, about = fermodels.load(given.checkpoint)
    about |= {"stored": given.stored} if given.stored else {}
    fermodels.save(net, given.out / CHECKPOINT, about)
    export = _Export(given, graph_from_checkpoint(given.out / CHECKPOINT), about)
    path = export.onnx()
    artefact = runtime.build(path, precision=given.precision)
    said: dict[str, Any] = {"artefact": str(artefact), "onnx": str(path), "bytes": _size(artefact)}
    if isinstance(runtime, TensorRt):
        sides = {name: (3, side, side) for name, side in export.graph.sides.items()}
        said["trtexec"] = runtime.config.trtexec(path, sides)
        print(said["trtexec"], file=sys.stderr)
    try:
        session = runtime.open(artefact, precision=given.precision)
    except Unavailable as missing:
        print(f"built, but not run here: {missing}", file=sys.stderr)
        return said | {"verified": None}
    return said | {"verified": _verified(export, session)}


def _verified(export: _Export, session: Session) -> dict[str, Any]:
    """Parity with PyTorch through the artefact itself, and both accuracies on the validation split."""
    found = export.through(session)
    same: Parity = parity(found, export.wanted).checked(TOLERANCES[export.given.precision])
    accuracies = {"accuracy": export.accuracy(found), "accuracy_pytorch": export.accuracy(export.wanted)}
    return plain(asdict(same)) | accuracies | {"faces": export.given.data or "random images"}


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


def _size(artefact: Path) -> int:
    files = artefact.rglob("*") if artefact.is_dir() else [artefact]
    return sum(file.stat().st_size for file in files if file.is_file())


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point: status 2 and a sentence for a mistake in the input or a missing library."""
    return status_of("compress.export", run, arguments(argv))
