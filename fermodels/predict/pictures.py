"""A photograph, and a frame of the stream that `predict` reads; what cannot be read is a sentence, no exception."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from fermodels.data.eight_bits import as_mode
from fermodels.data.open_picture import open_picture


@dataclass(frozen=True, kw_only=True, eq=False)
class Photograph:
    """An upright RGB picture."""

    pixels: UInt8[np.ndarray, "h w 3"]
    scale: float = 1.0
    """Pixels of the photograph as it was given per pixel here: 1, or more of a large JPEG file, decoded smaller."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Frame:
    """One picture of the stream, or why there is none."""

    file: str
    frame: int | None = None
    """Number in its video from 0; None for a picture that is no video's."""
    time_s: float | None = None
    """Seconds from the beginning of its video."""
    fps: float | None = None
    """Frames per second of its video, as the file says."""
    picture: Photograph | str
    """The picture, or the sentence that says why it cannot be read."""


def photograph_of(image: Image.Image, drafted: int = 1) -> Photograph:
    """An image in any of Pillow's modes as a photograph.

    Args:
        drafted: pixels of the file per pixel of `image`.

    Raises:
        ValueError: its black and white cannot be told.
    """
    return Photograph(pixels=np.asarray(as_mode(image, 3)), scale=float(drafted))


def read_photograph(path: Path | str) -> Photograph:
    """The picture in a file, turned as the camera says; of an animation the first frame.

    Raises:
        ValueError: the file is absent, damaged, no picture, or too large; says which.
    """
    picture = open_picture(path)
    return photograph_of(picture.image, picture.drafted)
