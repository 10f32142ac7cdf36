"""A model as `predict` uses it: aligned faces in, probabilities and the attention map out, classes in its own order.

>>> classify = open_model("reports/runs/FOLDER/chosen")      # or a file that compress.export wrote: "net.onnx"
>>> classify(faces).probabilities                            # (n, side, side, 3) uint8 RGB -> (n, classes)
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from jaxtyping import Float32, UInt8

from compress.libraries import Unavailable, library
from fermodels import checkpoint
from fermodels.data.base import Split
from fermodels.faces.landmarks import Landmarker, landmarker, with_landmarks
from fermodels.predict.deployed import Deployed
from fermodels.training.views import Views, recorded_views

BATCH = 64
"""Faces that go through a network together."""
CROP = 7 / 8
"""Share of the aligned side that the network sees, where a model is silent: so it is at every scale of the suite."""
METADATA = "fermodels"
"""The key under which an exported ONNX file says what it is."""
ONNX_HELP = 'an ONNX model needs onnxruntime: pip install "fermodels[onnx]", or give the checkpoint'


class Answers(NamedTuple):
    """What a model says of n faces."""

    probabilities: Float32[np.ndarray, "n classes"]
    attention: Float32[np.ndarray, "n h w"] | None
    """In [0, 1], over the centre crop that the network sees; None of a network without attention."""


class Classifier(Protocol):
    """A model that is ready."""

    classes: tuple[str, ...]
    side: int
    """Side in pixels of the aligned faces it takes."""
    crop: float
    """Share of that side, around the centre, that the network sees."""

    def __call__(self, faces: UInt8[np.ndarray, "n side side 3"]) -> Answers:
        """RGB faces, as `fermodels.faces.align` gives them."""
        ...


class CheckpointClassifier:
    """A checkpoint in PyTorch; where it takes regions cut at landmarks, those of "own" are found first."""

    def __init__(self, folder: Path) -> None:
        net, about = checkpoint.load(folder)
        if not hasattr(net.config, "classes"):
            raise ValueError(f"{folder} holds {about['architecture']}, which tells no expressions: give a classifier")
        size = (about.get("preprocessing") or {}).get("size", 0)
        config, self.side = recorded_views(about, stored=about.get("stored") or round(size / CROP))
        self.graph = Deployed(net, config, stored=self.side, regions=about.get("regions") or "fixed")
        self.graph.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.classes, self.crop = _classes(about, folder), config.size / self.side
        self.find: Landmarker | None = landmarker("own") if self.graph.regions == "given" else None

    def __call__(self, faces: UInt8[np.ndarray, "n side side 3"]) -> Answers:
        with torch.inference_mode():
            parts = [self.graph(*views) for views in self._views(faces)]
        named = dict(
            zip(self.graph.outputs, (torch.cat(part).numpy() for part in zip(*parts, strict=True)), strict=True)
        )
        return _answers(named, len(self.classes))

    def _views(self, faces: UInt8[np.ndarray, "n side side 3"]) -> Iterator[tuple[torch.Tensor, ...]]:
        """The graph's inputs in pixels, batch by batch."""
        n = len(faces)
        split = Split(images=faces, labels=np.zeros(n, np.int64), names=[str(i) for i in range(n)])
        if self.find is not None:
            split = with_landmarks(split, self.find)
        for batch in Views(split, self.graph.view_config, self.graph.inputs).evaluation(BATCH):
            yield batch.views


class OnnxClassifier:
    """A file of `compress.export` in ONNX Runtime, with as many threads as PyTorch has."""

    def __init__(self, path: Path) -> None:
        try:
            onnxruntime = library("onnxruntime")
        except Unavailable as error:
            raise ValueError(f"{ONNX_HELP} ({error})") from None
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.log_severity_level = torch.get_num_threads(), 3
        try:
            self.session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # its errors share no base class
            raise ValueError(f"ONNX Runtime cannot open {path} ({error}); export the network again") from error
        told = self.session.get_modelmeta().custom_metadata_map.get(METADATA)
        if told is None:
            raise ValueError(f"{path} carries no {METADATA} metadata: give a file that compress.export wrote")
        about = json.loads(told)
        if about["regions"] != "fixed":
            raise ValueError(f"{path} takes regions cut at landmarks: give the checkpoint it was made from")
        self.classes, self.side, self.crop = _classes(about, path), int(about["inputs"]["face"]["side"]), CROP
        self.outputs = [one.name for one in self.session.get_outputs()]

    def __call__(self, faces: UInt8[np.ndarray, "n side side 3"]) -> Answers:
        parts = []
        for start in range(0, len(faces), BATCH):
            pixels = np.ascontiguousarray(faces[start : start + BATCH].transpose(0, 3, 1, 2), np.float32)
            parts.append(self.session.run(None, {"face": pixels}))
        return _answers(
            dict(zip(self.outputs, map(np.concatenate, zip(*parts, strict=True)), strict=True)), len(self.classes)
        )


def open_model(spec: Path | str) -> Classifier:
    """The model at `spec`: the folder of a checkpoint, or an ONNX file.

    Raises:
        ValueError: neither of the two, damaged, without class names, or a missing library; the sentence says which.
    """
    path = Path(spec).expanduser()
    if not path.exists():
        raise ValueError(f"there is no model {path}: give the folder of a checkpoint (fermodels.save) or an .onnx file")
    return OnnxClassifier(path) if path.suffix == ".onnx" else CheckpointClassifier(path)


def _classes(about: dict[str, Any], where: Path) -> tuple[str, ...]:
    if not about.get("classes"):
        raise ValueError(f"{where} does not name its classes: save it again with their names, in the network's order")
    return tuple(about["classes"])


def _answers(named: dict[str, np.ndarray], classes: int) -> Answers:
    probabilities, attention = named["probabilities"], named.get("attention")
    if probabilities.shape[1] != classes:
        raise ValueError(f"the model tells {probabilities.shape[1]} expressions and names {classes}: save it again")
    return Answers(probabilities, None if attention is None else attention[:, 0])
