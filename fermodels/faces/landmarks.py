"""68 landmarks with confidence on aligned faces, from whichever source is named.

>>> find = landmarker("own")
>>> points, confidence = find(crops)          # (b, h, w, 3) uint8 RGB; points in pixels of the crop

"own" is the network in the package, "own:FILE" other weights of it; "onnx:FILE" any 68-point model; "fan" the network
of face-alignment; "given" what the data set brought along. Frame and order: `fermodels.faces.landmark_base`.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch

from fermodels.data.base import Split
from fermodels.faces.landmark_base import POINTS, Crops, FacePoints, Landmarker, as_pixels, as_shares, checked
from fermodels.faces.landmark_fan import open_fan
from fermodels.faces.landmark_net import LandmarkNet, read_net, seen
from fermodels.faces.landmark_onnx import open_onnx

CROPS_AT_ONCE = 64
"""Crops that go through a network together."""


class OwnLandmarks:
    """The embedded network; confidence is its probability that the point is visible."""

    def __init__(self, net: LandmarkNet) -> None:
        self.net = net

    @torch.no_grad()
    def __call__(self, crops: Crops, given: FacePoints | None = None) -> FacePoints:
        points = np.empty((len(checked(crops)), POINTS, 2), np.float32)
        confidence = np.empty((len(crops), POINTS), np.float32)
        for start in range(0, len(crops), CROPS_AT_ONCE):
            rows = slice(start, start + CROPS_AT_ONCE)
            sight = self.net(seen(torch.from_numpy(np.array(crops[rows]))))
            points[rows], confidence[rows] = sight.points.numpy(), sight.visible.sigmoid().numpy()
        return FacePoints(as_pixels(points, crops), confidence)


class GivenLandmarks:
    """The points that came with the pictures, and their confidence, untouched."""

    def __call__(self, crops: Crops, given: FacePoints | None = None) -> FacePoints:
        if given is None:
            raise ValueError('landmarks "given": these pictures came without points; choose "own" or "onnx:FILE"')
        assert given.points.shape == (len(checked(crops)), POINTS, 2), given.points.shape
        return given


def _own(path: str | None) -> Landmarker:
    return OwnLandmarks(read_net(path))


def _given(path: str | None) -> Landmarker:
    if path is not None:
        raise ValueError(f'landmarks "given:{path}": they come with the data set and from no file; write "given"')
    return GivenLandmarks()


LANDMARKS: dict[str, Callable[[str | None], Landmarker]] = {
    "own": _own,
    "onnx": open_onnx,
    "fan": open_fan,
    "given": _given,
}
"""name -> opener(path). A new source is a callable as `Landmarker` describes it, and one line here."""


def landmarker(spec: str) -> Landmarker:
    """The source of landmarks that `spec` names: "own", "own:FILE", "onnx:FILE", "fan", "fan:FILE", "given".

    Raises:
        ValueError: an unknown name, a missing file or library; the sentence says what is allowed.
    """
    name, _, path = spec.partition(":")
    if name not in LANDMARKS:
        raise ValueError(f'no landmarks "{name}": write NAME or NAME:FILE, NAME one of {", ".join(LANDMARKS)}')
    return LANDMARKS[name](path or None)


def with_landmarks(split: Split, find: Landmarker) -> Split:
    """`split` with the points and confidence that `find` gives, as shares of the stored side: regions and masks of
    `fermodels.training.views.Views` are then made of them."""
    points, confidence = [], []
    for start in range(0, len(split), CROPS_AT_ONCE):
        rows = slice(start, start + CROPS_AT_ONCE)
        stored = np.asarray(split.images[rows])
        crops = np.repeat(stored, 3, 3) if stored.shape[3] == 1 else stored
        found = find(crops, _own_points(split, rows, crops))
        points.append(as_shares(found.points, crops))
        confidence.append(found.confidence)
    return replace(split, landmarks=np.concatenate(points), confidence=np.concatenate(confidence))


def _own_points(split: Split, rows: slice, crops: Crops) -> FacePoints | None:
    if split.landmarks is None:
        return None
    sure = np.ones((len(crops), POINTS), np.float32)
    confidence = sure if split.confidence is None else np.asarray(split.confidence[rows], np.float32)
    return FacePoints(as_pixels(np.asarray(split.landmarks[rows]), crops), confidence)
