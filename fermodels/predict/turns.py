"""Photographs that lie on their side or stand on their head, without a word of it in the file."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import UInt8

from fermodels.faces.detect import Face

Detect = Callable[[Sequence[UInt8[np.ndarray, "h w 3"]]], list[list[Face]]]


def found_turned(detect: Detect, pixels: UInt8[np.ndarray, "h w 3"]) -> list[Face]:
    """The faces in `pixels` after a turn by 90, 180 or 270 degrees, whichever shows the surest; in pixels of `pixels`.

    Their points keep the order of the turned picture, so that aligning by them sets the face upright.
    """
    best: list[Face] = []
    for quarters in (1, 2, 3):
        (faces,) = detect([np.ascontiguousarray(np.rot90(pixels, quarters))])
        if _sureness(faces) > _sureness(best):
            best = [_turned_back(face, quarters, pixels.shape[:2]) for face in faces]
    return best


def _sureness(faces: Sequence[Face]) -> float:
    return max((face.probability for face in faces), default=0.0)


def _turned_back(face: Face, quarters: int, size: tuple[int, int]) -> Face:
    """`face`, found after `quarters` turns against the clock of a picture of `size` (height, width)."""
    corners = _moved_back(np.array(face.box).reshape(2, 2), quarters, size)
    (x0, y0), (x1, y1) = corners.min(0).tolist(), corners.max(0).tolist()
    return replace(face, box=(x0, y0, x1, y1), points=_moved_back(face.points, quarters, size))


def _moved_back(points: np.ndarray, quarters: int, size: tuple[int, int]) -> np.ndarray:
    (height, width), (x, y) = size, points.T
    back = {1: (width - y, x), 2: (width - x, height - y), 3: (y, height - x)}[quarters]
    return np.stack(back, 1)
