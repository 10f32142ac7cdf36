"""Landmarks from any 68-point ONNX model, and a confidence for models that give none.

The model: one input (b, 3, side, side), RGB in [0, 1]; an output of 136 numbers a face (x0, y0, x1, ...), or of 204
(x, y, confidence), as shares of the side or in pixels of it; beside 136, an output of 68 numbers is the confidence.

Without one, the model is asked again about the mirrored and the slightly shifted face: a point that is seen moves with
the picture, a guessed one stays behind. The answers are averaged, and the less they agree, the less they are trusted.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch.nn import functional

from compress.libraries import Unavailable
from compress.onnx_session import onnx_session
from fermodels.faces.landmark_base import EYE_CORNERS, FLIP, POINTS, Crops, FacePoints, as_pixels, checked

DEFAULT_SIDE = 112
"""Pixels, where the model leaves the side of its input open."""
STEP = 0.03
"""How far the asked-again views are shifted, as a share of the side."""
SHIFTS = ((0, 0), (-1, 0), (1, 0), (0, -1), (0, 1))
"""(x, y) in steps; each is asked about plain and mirrored."""
DOUBT, SLOPE = 0.045, 1.4
"""Confidence is one half where the answers spread by `DOUBT` of the distance of the outer eye corners; its logit falls
by `SLOPE` as the spread grows e-fold. Fitted (maximum likelihood of being visible) to a PFLD on eight drawn faces
behind occluders. It is a weak sign: a visible point had the higher confidence in 67 of 100 pairs."""
CHUNK = 32
"""Pictures a call, where the model leaves their number open."""


class OnnxLandmarks:
    """A model on ONNX Runtime's CPU provider."""

    def __init__(self, session: Any, path: str) -> None:
        self.session, self.path = session, path
        entries = session.get_inputs()
        shape = entries[0].shape
        if len(entries) != 1 or len(shape) != 4 or shape[1] != 3:
            given = ", ".join(str(entry.shape) for entry in entries)
            raise ValueError(f"{path} takes {given}; a landmark model takes one RGB picture (b, 3, side, side)")
        self.entry = entries[0].name
        self.fixed = isinstance(shape[0], int)
        self.chunk = shape[0] if self.fixed else CHUNK
        self.side = shape[2] if isinstance(shape[2], int) else DEFAULT_SIDE
        blank = self._ask(np.full((1, 3, self.side, self.side), 0.5, np.float32))
        self.gives_confidence = blank.shape[2] == 3
        # Shares of a face that fills its crop are not far beyond 1; pixels are.
        self.unit = self.side if np.abs(blank[..., :2]).max() > 2 else 1

    def __call__(self, crops: Crops, given: FacePoints | None = None) -> FacePoints:
        pictures = self._resized(checked(crops))
        if self.gives_confidence:
            answer = self._ask(pictures)
            return FacePoints(as_pixels(answer[..., :2] / self.unit, crops), answer[..., 2].clip(0, 1))
        answers = self.answers(pictures)
        return FacePoints(as_pixels(answers.mean(0), crops), agreement(answers))

    def _resized(self, crops: Crops) -> Float[np.ndarray, "b 3 side side"]:
        pictures = torch.from_numpy(np.array(crops)).permute(0, 3, 1, 2).float() / 255
        size = (self.side, self.side)
        return functional.interpolate(pictures, size, mode="bilinear", align_corners=False, antialias=True).numpy()

    def answers(self, pictures: Float[np.ndarray, "b 3 side side"]) -> Float[np.ndarray, "views b 68 2"]:
        """What the model says of every view, as shares in the frame of the plain picture."""
        step = max(1, round(STEP * self.side))
        wide = np.pad(pictures, ((0, 0), (0, 0), (step, step), (step, step)), mode="edge")
        found = []
        for x, y in SHIFTS:
            left, top = step * (1 + x), step * (1 + y)
            view = wide[..., top : top + self.side, left : left + self.side]
            back = np.array([x, y]) * step / self.side
            found.append(self._ask(view)[..., :2] / self.unit + back)
            mirrored = self._ask(view[..., ::-1])[:, list(FLIP), :2] / self.unit
            found.append(mirrored * (-1, 1) + (1, 0) + back)
        return np.stack(found).astype(np.float32)

    def _ask(self, pictures: Float[np.ndarray, "b 3 side side"]) -> Float[np.ndarray, "b 68 k"]:
        """The model's own answer: x, y and, where it gives one, the confidence."""
        parts = [self._run(pictures[start : start + self.chunk]) for start in range(0, len(pictures), self.chunk)]
        return np.concatenate(parts) if parts else np.empty((0, POINTS, 2 + self.gives_confidence), np.float32)

    def _run(self, pictures: Float[np.ndarray, "b 3 side side"]) -> Float[np.ndarray, "b 68 k"]:
        filled = np.arange(self.chunk) % len(pictures) if self.fixed else slice(None)
        fed = np.ascontiguousarray(pictures[filled])
        outputs = [np.asarray(one)[: len(pictures)] for one in self.session.run(None, {self.entry: fed})]
        by_size = {one[0].size: one.reshape(len(pictures), POINTS, -1) for one in outputs if one[0].size % POINTS == 0}
        if 3 * POINTS in by_size:
            return by_size[3 * POINTS]
        if 2 * POINTS not in by_size:
            sizes = ", ".join(str(one[0].size) for one in outputs)
            raise ValueError(
                f"{self.path} answers with {sizes} numbers a face; a 68-point model gives 136 (x, y of each point), "
                "204 (x, y, confidence), or 136 and 68 in two outputs"
            )
        parts = [by_size[2 * POINTS]] + ([by_size[POINTS]] if POINTS in by_size else [])
        return np.concatenate(parts, 2)


def agreement(answers: Float[np.ndarray, "views b 68 2"]) -> Float[np.ndarray, "b 68"]:
    """Confidence of every point from how far the views' answers about it lie apart (root mean square distance from
    their mean, over the distance of the outer eye corners)."""
    mean = answers.mean(0)
    left, right = EYE_CORNERS
    unit = np.linalg.norm(mean[:, left] - mean[:, right], axis=-1).clip(1e-3)
    spread = np.sqrt(((answers - mean) ** 2).sum(-1).mean(0)) / unit[:, None]
    return (1 / (1 + (spread / DOUBT) ** SLOPE)).astype(np.float32)


def open_onnx(path: str | None) -> OnnxLandmarks:
    """The model in the file `path`.

    Raises:
        ValueError: no file, no ONNX Runtime, or no 68-point model; the sentence says what is allowed.
    """
    if path is None or not Path(path).is_file():
        raise ValueError(f'landmarks "onnx:{path or ""}": no such file; name a 68-point ONNX model, as in onnx:FILE')
    try:
        session = onnx_session(Path(path))
    except Unavailable as error:
        raise ValueError(str(error)) from error
    return OnnxLandmarks(session, path)
