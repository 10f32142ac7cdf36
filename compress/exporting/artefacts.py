"""The files that one checkpoint becomes: a folder with checkpoint/, fp32.onnx, fp16.onnx, int8.onnx and engines.

    made = artefacts_of(checkpoint, Path("deployed"), data=data)
    session = made.session(RUNTIMES["onnxruntime"], "int8")
    made.through(session, "validation")

Every ONNX file is held to PyTorch's answers before anything is built from it.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

import fermodels
from compress.exporting.onnx_file import PRECISIONS, TOLERANCES, onnx_from_net, verify
from compress.exporting.quantize import int8_from_onnx
from compress.runtimes import RUNTIMES, Runtime, Session
from compress.runtimes.torch_runtimes import CHECKPOINT, graph_from_checkpoint
from fermodels.data.base import Dataset
from fermodels.predict.deployed import Deployed
from fermodels.training.views import Views

CALIBRATION = 1024
"""Training faces on which the ranges of activations are measured."""
RANDOM_FACES = 64
"""Without a data set artefacts are verified on so many random images, which says little about accuracy."""
BATCH = 32
"""Images run at once when a split goes through a session. A last part batch is filled up, so that runtimes which
compile for a batch size see only this one."""


@dataclass(frozen=True)
class Artefacts:
    """One checkpoint's graph and the folder for all it becomes."""

    folder: Path
    graph: Deployed
    about: dict[str, Any]
    """What the checkpoint says of itself."""
    data: Dataset | None
    """Training faces calibrate, validation faces verify; None: random images verify, int8 cannot be made."""
    keep: bool = False
    """Take ONNX files that lie in the folder as they are: right only where the checkpoint never changes."""

    def onnx(self, precision: str) -> Path:
        """The ONNX file of `precision` (`onnx_name`), made and verified.

        Raises:
            ValueError: the file does not answer as the network does, or int8 without a data set.
        """
        path = self.folder / onnx_name(precision)
        if self.keep and path.is_file():
            return path
        if precision == "int8":
            return self._int8(path)
        onnx_from_net(self.graph, path, self.about, precision=path.stem)
        verify(path, self.graph, self.faces[: 256 // BATCH]).checked(TOLERANCES[path.stem])
        return path

    def session(self, runtime: Runtime, precision: str) -> Session:
        """`runtime` running this network; errors as for `Runtime.build`."""
        return runtime.open(runtime.build(self.onnx(precision), precision=precision), precision=precision)

    def views(self, split: str) -> Views:
        """Faces of a split of `data` as the graph eats them: pixels."""
        assert self.data is not None, "asked only where there is a data set"
        return Views(self.data.splits[split], self.graph.view_config, self.graph.inputs)

    @cached_property
    def faces(self) -> list[tuple[Tensor, ...]]:
        """What artefacts are verified on: the validation split, or random images."""
        if self.data is None:
            return [self.graph.example(BATCH) for _ in range(RANDOM_FACES // BATCH)]
        return [batch.views for batch in self.views("validation").evaluation(BATCH)]

    @cached_property
    def wanted(self) -> Float[np.ndarray, "n classes"]:
        """PyTorch's probabilities on `faces`."""
        with torch.inference_mode():
            return np.concatenate([self.graph(*faces)[0].numpy() for faces in self.faces])

    def through(self, session: Session, faces: Sequence[tuple[Tensor, ...]] = ()) -> Float[np.ndarray, "n classes"]:
        """Probabilities of `faces` (without any: of `self.faces`) as `session` gives them."""
        return np.concatenate([answered(session, self.graph.inputs, batch) for batch in faces or self.faces])

    def accuracy(self, probabilities: Float[np.ndarray, "n classes"]) -> float | None:
        """Share of right answers on the validation split; None without a data set."""
        if self.data is None:
            return None
        return float((probabilities.argmax(1) == np.asarray(self.data.validation.labels)).mean())

    def _int8(self, path: Path) -> Path:
        if self.data is None:
            raise ValueError("int8 measures the ranges of activations on training faces: name a data set with --data")
        feeds = [
            dict(zip(self.graph.inputs, (view.numpy() for view in batch.views), strict=True))
            for batch in self.views("train").spread(CALIBRATION)
        ]
        made = int8_from_onnx(self.onnx("fp32"), path, feeds, self._score)
        print(f"calibration: {made.scores} -> {made.method}", file=sys.stderr)
        return made.path

    def _score(self, path: Path) -> float:
        return self.accuracy(self.through(RUNTIMES["onnxruntime"].open(path, precision="int8"))) or 0.0


def onnx_name(precision: str) -> str:
    """Name of the ONNX file that runs in `precision`. In bf16 computes the runtime: the file is float32."""
    own = precision == "int8" or PRECISIONS.get(precision, torch.float32) != torch.float32
    return f"{precision if own else 'fp32'}.onnx"


def artefacts_of(
    checkpoint: Path, folder: Path, *, data: Dataset | None = None, stored: int | None = None, keep: bool = False
) -> Artefacts:
    """The artefacts of `checkpoint`, to be made in `folder`, which gets a copy of it.

    Args:
        stored: side in pixels of the aligned face, where the checkpoint is silent.
    """
    net, about = fermodels.load(checkpoint)
    about |= {"stored": stored} if stored else {}
    fermodels.save(net, folder / CHECKPOINT, about)
    return Artefacts(folder, graph_from_checkpoint(folder / CHECKPOINT), about, data, keep)


def answered(
    session: Session, names: Sequence[str], views: Sequence[Tensor], batch: int = BATCH
) -> Float[np.ndarray, "n classes"]:
    """Probabilities of at most `batch` images, run as a full batch (the last image fills it up)."""
    n = len(views[0])
    full = [view if n == batch else torch.cat([view, view[-1:].expand(batch - n, -1, -1, -1)]) for view in views]
    found = session.run(dict(zip(names, full, strict=True)))["probabilities"]
    return found[:n].float().cpu().numpy()
