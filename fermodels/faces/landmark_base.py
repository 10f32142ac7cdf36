"""What every source of landmarks gives, and the 68-point scheme (iBUG-68, Sagonas et al. 2013) it is given in.

Frame: pixels of the crop that was handed in, (x, y), origin at the outer corner of its upper left pixel, so the centre
of that pixel is (0.5, 0.5) and the crop's right edge is at its width. "Left" and "right" are those of the picture.
"""

from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, UInt8

POINTS = 68
FLIP = (
    *(16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0),  # jaw
    *(26, 25, 24, 23, 22, 21, 20, 19, 18, 17),  # brows
    *(27, 28, 29, 30, 35, 34, 33, 32, 31),  # nose
    *(45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40),  # eyes
    *(54, 53, 52, 51, 50, 49, 48, 59, 58, 57, 56, 55),  # outer mouth
    *(64, 63, 62, 61, 60, 67, 66, 65),  # inner mouth
)
"""Point i of a face is point FLIP[i] of its mirror image."""
EYE_CORNERS = (36, 45)
"""The outer corners of the eyes: their distance is the unit of the error (inter-ocular, 300-W's convention)."""

Crops = UInt8[np.ndarray, "b h w 3"]
"""Aligned RGB faces, each filling its picture."""


class FacePoints(NamedTuple):
    """The landmarks of b crops, in pixels of each crop."""

    points: Float[np.ndarray, "b 68 2"]
    """(x, y); may leave the crop."""
    confidence: Float[np.ndarray, "b 68"]
    """In [0, 1]: how probable it is that the point is visible and right; how it comes about, each source says."""


@runtime_checkable
class Landmarker(Protocol):
    """A source of landmarks, ready to be asked."""

    def __call__(self, crops: Crops, given: FacePoints | None = None) -> FacePoints:
        """`given` are the points that came with the pictures, in pixels of the crops; only "given" reads them."""
        ...


def checked(crops: Crops) -> Crops:
    """`crops` as they are.

    Raises:
        ValueError: not (b, h, w, 3) uint8.
    """
    if crops.ndim != 4 or crops.shape[3] != 3 or crops.dtype != np.uint8:
        raise ValueError(
            f"landmarks are found on RGB crops of shape (b, h, w, 3) uint8, not {crops.shape} {crops.dtype}; "
            "repeat a grey channel three times, add the axis of a single picture with crop[None]"
        )
    return crops


def as_shares(points: Float[np.ndarray, "b k 2"], crops: Crops) -> Float[np.ndarray, "b k 2"]:
    """Pixels of the crops as shares of their sides: the frame of `fermodels.data.Split` and of the regions."""
    height, width = crops.shape[1:3]
    return (points / np.array([width, height])).astype(np.float32)


def as_pixels(shares: Float[np.ndarray, "b k 2"], crops: Crops) -> Float[np.ndarray, "b k 2"]:
    """The inverse of `as_shares`."""
    height, width = crops.shape[1:3]
    return (shares * np.array([width, height])).astype(np.float32)
