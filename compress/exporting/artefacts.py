"""The files that one network becomes in one folder: program.pt2, fp32.onnx, fp16.onnx, int8.onnx, and engines of them.

    made = Artefacts(folder=Path("deployed"), graph=graph_of(net, example))
    session = made.session(RUNTIMES["onnxruntime"], "fp32")

Every ONNX file is held to PyTorch's answers before anything is built from it.
"""

import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, final

from torch import Tensor
from torch.export import ExportedProgram

from compress.exporting.graph import Graph
from compress.exporting.onnx_file import interface, onnx_from_graph, onnx_name
from compress.exporting.parity import TOLERANCES, Parity, verified
from compress.exporting.program import PROGRAM, program_of, save_program, weights_digest
from compress.exporting.quantize import Quantised, int8_from_onnx
from compress.exporting.signed_onnx import described
from compress.runtimes.onnx_runtime import OnnxRuntimeSession
from compress.runtimes.session import Runtime, Session

Batches = Sequence[tuple[Tensor, ...]]
NO_CALIBRATION = "int8 measures the ranges of activations on real inputs: name a data set (--data), or give calibrate="


@final
@dataclass(frozen=True, kw_only=True)
class Exported:
    """One ONNX file, verified."""

    path: Path
    parity: Parity
    """Against PyTorch, on the batches that verify."""
    calibration: str | None
    """How INT8's ranges were found; None in other precisions."""


@final
@dataclass(frozen=True, kw_only=True)
class Artefacts:
    """One network and the folder for all it becomes."""

    folder: Path
    graph: Graph
    about: Mapping[str, Any] = field(default_factory=dict)
    """Kept in every file: class names, the crop, what a user must know. JSON's own types."""
    calibrate: Callable[[], Batches] | None = None
    """Gives the inputs on which INT8's ranges are measured; None: int8 cannot be made."""
    verify: Callable[[], Batches] | None = None
    """Gives the inputs on which files are held to PyTorch; None: the graph's example."""
    score: Callable[[Session], float] | None = None
    """What chooses between calibrations; None: how often the answers stay the same."""
    keep: bool = False
    """Take ONNX files of the same weights as they lie in the folder."""

    def onnx(self, precision: str) -> Path:
        """The ONNX file of `precision` (`onnx_name`) in the folder, made and verified; errors as for `write`."""
        path = self.folder / onnx_name(precision)
        if precision == "int8" and self.calibrate is None:
            raise ValueError(NO_CALIBRATION)
        if not (self.keep and self._lies(path)):
            self.write(path, path.stem, source=self.onnx("fp32") if precision == "int8" else None)
        return path

    def write(self, path: Path, precision: str, *, source: Path | None = None) -> Exported:
        """Makes and verifies the ONNX file of `precision`; the program beside it becomes this network's.

        Args:
            source: for int8, the float32 file of this network, if there is one.

        Raises:
            ValueError: the file does not answer as the network does, or int8 without inputs to calibrate on.
            Unavailable: onnx or onnxruntime is not installed.
        """
        save_program(self.program, path.with_name(PROGRAM), self.said)
        chosen = None
        if precision == "int8":
            chosen = self._quantised(path, source)
            print(f"calibration: {chosen.scores} -> {chosen.method}", file=sys.stderr)
        else:
            onnx_from_graph(self.graph, self.program, path, self.said, precision=precision)
        found = verified(OnnxRuntimeSession(path, precision), self.graph, self.checks)
        method = None if chosen is None else chosen.method
        return Exported(path=path, parity=found.checked(TOLERANCES[precision]), calibration=method)

    def session(self, runtime: Runtime, precision: str) -> Session:
        """`runtime` running this network; errors as for `write` and `Runtime.build`."""
        return runtime.open(runtime.build(self.onnx(precision), precision=precision), precision=precision)

    @cached_property
    def program(self) -> ExportedProgram:
        """The graph as PyTorch traced it."""
        return program_of(self.graph)

    @cached_property
    def weights(self) -> str:
        """Digest of the weights, by which artefacts of one network know each other."""
        return weights_digest(self.graph.state_dict())

    @property
    def said(self) -> dict[str, Any]:
        """What every file says of itself."""
        return {**self.about, **interface(self.graph), "weights": self.weights}

    @cached_property
    def checks(self) -> Batches:
        """The inputs on which files are verified."""
        return [self.graph.example] if self.verify is None else self.verify()

    def _lies(self, path: Path) -> bool:
        if not path.is_file() or not path.with_name(PROGRAM).is_file():
            return False
        return described(path).get("weights") == self.weights

    def _quantised(self, path: Path, source: Path | None) -> Quantised:
        if self.calibrate is None:
            raise ValueError(NO_CALIBRATION)
        batches = self.calibrate()
        feeds = [dict(zip(self.graph.inputs, (one.numpy() for one in batch), strict=True)) for batch in batches]
        with tempfile.TemporaryDirectory() as folder:
            source = source or onnx_from_graph(self.graph, self.program, Path(folder) / "fp32.onnx", self.said)
            return int8_from_onnx(source, path, feeds, self._scored)

    def _scored(self, path: Path) -> float:
        session = OnnxRuntimeSession(path, "int8")
        return verified(session, self.graph, self.checks).agreement if self.score is None else self.score(session)
