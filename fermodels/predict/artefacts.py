"""A checkpoint as it leaves PyTorch: aligned faces in pixels in, probabilities out, verified on a data set's faces.

made = artefacts_of(checkpoint, Path("deployed"), data=data)
made.through(made.files.session(RUNTIMES["onnxruntime"], "int8"))
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from compress.exporting.artefacts import Artefacts
from compress.exporting.graph import graph_of
from compress.runtimes import Session
from fermodels import checkpoint
from fermodels.data import open_dataset
from fermodels.data.base import Dataset
from fermodels.predict.deployed import Deployed
from fermodels.training.views import Views, recorded_views

CALIBRATION = 1024
"""Training faces on which the ranges of activations are measured."""
RANDOM_FACES = 64
"""Without a data set artefacts are verified on so many random images, which says little about accuracy."""
VERIFYING = 256
"""Faces of the validation split on which a file is held to PyTorch before anything is built from it."""
CLAIMS = ("classes", "data", "split", "n", "accuracy", "trust")
"""What a checkpoint claims, and its files repeat."""
SPLIT_BATCH = 32
"""Images run at once when a split goes through a session. A last part batch is filled up, so that runtimes which
compile for a batch size see only this one."""


@final
@dataclass(frozen=True)
class FaceArtefacts:
    """One checkpoint's graph, the files it becomes, and the faces they are held to."""

    deployed: Deployed
    data: Dataset | None
    """Training faces calibrate, validation faces verify; None: random images verify, int8 cannot be made."""
    about: dict[str, Any]
    """What the checkpoint says of itself."""
    folder: Path
    keep: bool = False
    """Take ONNX files of the same weights as they lie in the folder."""

    @cached_property
    def files(self) -> Artefacts:
        """The files, each made when it is first asked for."""
        deployed = self.deployed
        return Artefacts(
            folder=self.folder,
            graph=graph_of(deployed, deployed.example(2), inputs=deployed.inputs, outputs=deployed.outputs),
            about=deployed.described() | {name: self.about.get(name) for name in CLAIMS},
            calibrate=self._calibration if self.data is not None else None,
            verify=lambda: self.faces[: VERIFYING // SPLIT_BATCH],
            score=(lambda session: self.accuracy(self.through(session)) or 0.0) if self.data is not None else None,
            keep=self.keep,
        )

    def views(self, split: str) -> Views:
        """Faces of a split of `data` as the graph eats them: pixels."""
        assert self.data is not None, "asked only where there is a data set"
        return Views(self.data.splits[split], self.deployed.view_config, self.deployed.inputs)

    @cached_property
    def faces(self) -> list[tuple[Tensor, ...]]:
        """What artefacts are verified on: the validation split, or random images."""
        if self.data is None:
            return [self.deployed.example(SPLIT_BATCH) for _ in range(RANDOM_FACES // SPLIT_BATCH)]
        return [batch.views for batch in self.views("validation").evaluation(SPLIT_BATCH)]

    @cached_property
    def wanted(self) -> Float[np.ndarray, "n classes"]:
        """PyTorch's probabilities on `faces`."""
        with torch.inference_mode():
            return np.concatenate([self.deployed(*faces)[0].numpy() for faces in self.faces])

    def through(self, session: Session, faces: Sequence[tuple[Tensor, ...]] = ()) -> Float[np.ndarray, "n classes"]:
        """Probabilities of `faces` (without any: of `self.faces`) as `session` gives them."""
        return np.concatenate([answered(session, self.deployed.inputs, batch) for batch in faces or self.faces])

    def accuracy(self, probabilities: Float[np.ndarray, "n classes"]) -> float | None:
        """Share of right answers on the validation split; None without a data set."""
        if self.data is None:
            return None
        return float((probabilities.argmax(1) == np.asarray(self.data.validation.labels)).mean())

    def scores(self, session: Session) -> dict[str, float | None]:
        """Accuracy on the validation split through `session` and in PyTorch; None without a data set."""
        return {
            "accuracy": self.accuracy(self.through(session)),
            "accuracy_pytorch": self.accuracy(self.wanted),
        }

    def _calibration(self) -> list[tuple[Tensor, ...]]:
        return [batch.views for batch in self.views("train").spread(CALIBRATION)]


def artefacts_of(
    folder: Path, out: Path, *, data: Dataset | None = None, stored: int | None = None, keep: bool = False
) -> FaceArtefacts:
    """The artefacts of the checkpoint in `folder`, to be made in `out`.

    Args:
        stored: side in pixels of the aligned face, where the checkpoint is silent.

    Raises:
        ValueError: no checkpoint, or a data set of other classes than it was trained on.
    """
    net, about = checkpoint.load(folder)
    config, side = recorded_views(about, stored=stored)
    if data is not None and tuple(data.classes) != tuple(about["classes"]):
        raise ValueError(
            f"{data.name} names {', '.join(data.classes)}, and the checkpoint {', '.join(about['classes'])}: its "
            "answers would be counted against other classes; give a data set with the same ones in this order"
        )
    deployed = Deployed(net, config, stored=side, regions=about.get("regions") or "fixed")
    return FaceArtefacts(deployed, data, about, out, keep)


def answered(
    session: Session, names: Sequence[str], views: Sequence[Tensor], batch: int = SPLIT_BATCH
) -> Float[np.ndarray, "n classes"]:
    """Probabilities of at most `batch` images, run as a full batch (the last image fills it up)."""
    n = len(views[0])
    full = [view if n == batch else torch.cat([view, view[-1:].expand(batch - n, -1, -1, -1)]) for view in views]
    found = session.run(dict(zip(names, full, strict=True)))["probabilities"]
    return found[:n].float().cpu().numpy()


def deployment(folder: Path, out: Path, *, data: str | None, stored: int | None, runs: Path) -> FaceArtefacts:
    """As `artefacts_of`, with the data set named as in "fer2013:fer2013.csv": what `compress.export` calls."""
    _, side = recorded_views(checkpoint.describe(folder), stored=stored)
    faces = open_dataset(data, size=side, cache=runs / "data", progress=True) if data else None
    return artefacts_of(folder, out, data=faces, stored=stored)
