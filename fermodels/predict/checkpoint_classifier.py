"""A checkpoint that predicts in PyTorch, on any of its devices."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8

from compress.forked import computing
from fermodels import checkpoint
from fermodels.data.base import Split
from fermodels.faces.landmarks import Landmarker, landmarker, with_landmarks
from fermodels.predict.classifier import FACES_AT_ONCE, Answers, answers_of, classes_of
from fermodels.predict.deployed import Deployed
from fermodels.training.views import Views, recorded_views

CROP = 7 / 8
"""Share of the aligned side that the network sees, where a checkpoint is silent: so it is at every scale."""


class CheckpointClassifier:
    """The network of a checkpoint; where it takes regions cut at landmarks, those of "own" are found first.

    Args:
        device: as PyTorch names it.

    Raises:
        ValueError: no checkpoint of a classifier, or no such device.
    """

    def __init__(self, folder: Path, device: str = "cpu") -> None:
        self.device = _checked_device(device)
        net, self.about = checkpoint.load(folder)
        if not hasattr(net.config, "classes"):
            raise ValueError(
                f"{folder} holds {self.about['architecture']}, which tells no expressions: give a classifier"
            )
        size = (self.about.get("preprocessing") or {}).get("size", 0)
        config, self.side = recorded_views(self.about, stored=self.about.get("stored") or round(size / CROP))
        self.graph = Deployed(net, config, stored=self.side, regions=self.about.get("regions") or "fixed")
        self.graph.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.classes, self.crop = classes_of(self.about, folder), config.size / self.side
        self.find: Landmarker | None = landmarker("own") if self.graph.regions == "given" else None

    def __call__(self, faces: UInt8[np.ndarray, "n side side 3"]) -> Answers:
        computing()
        try:
            with torch.inference_mode():
                parts = [self.graph(*(view.to(self.device) for view in views)) for views in self._views(faces)]
        except RuntimeError as error:  # PyTorch's
            reason = str(error).partition("\n")[0]
            raise ValueError(f"this network cannot be run on faces of {self.side} px ({reason})") from error
        columns = (torch.cat(part).cpu().numpy() for part in zip(*parts, strict=True))
        return answers_of(dict(zip(self.graph.outputs, columns, strict=True)), len(self.classes))

    def _views(self, faces: UInt8[np.ndarray, "n side side 3"]) -> Iterator[tuple[torch.Tensor, ...]]:
        """The graph's inputs in pixels, batch by batch."""
        n = len(faces)
        split = Split(images=faces, labels=np.zeros(n, np.int64), names=[str(i) for i in range(n)])
        if self.find is not None:
            split = with_landmarks(split, self.find)
        for batch in Views(split, self.graph.view_config, self.graph.inputs).evaluation(FACES_AT_ONCE):
            yield batch.views


def _checked_device(name: str) -> torch.device:
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (AssertionError, ImportError, RuntimeError) as error:  # one for each kind of absence
        reason = str(error).partition("\n")[0]
        raise ValueError(f'PyTorch cannot use the device "{name}" here ({reason}): give cpu, or leave it out') from None
    return device
