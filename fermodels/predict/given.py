"""What people hand to `Predictor.predict`, as photographs: where the meaning is plain it is taken, else refused."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from fermodels.data.open_picture import upright
from fermodels.predict.pictures import Photograph, photograph_of, read_photograph

COLOURS = ("rgb", "bgr")
FORMS = (
    "a path, a Pillow image, or an array (height, width, 3) or (height, width), of uint8 or real in [0, 1]; "
    "or several of them"
)


def photographs_of(images: Any, color: str) -> tuple[list[Photograph], bool]:
    """`images` as photographs, and whether it was a single one.

    Args:
        images: a path, a Pillow image (turned as its EXIF says), an array of one picture (height, width, 3) or
            (height, width), uint8 or real in [0, 1]; an array (n, height, width, 3); a PyTorch tensor of such a shape
            or with the colours first; or a list of such single pictures.
        color: of arrays: "rgb", or "bgr" as OpenCV reads them.

    Raises:
        ValueError: something else, or a file that cannot be read; the sentence names it.
    """
    if color not in COLOURS:
        raise ValueError(f'color="{color}": allowed are "rgb" and "bgr" (the order in which OpenCV reads)')
    if isinstance(images, (str, Path, Image.Image)):
        return [_photograph(images, color, 0)], True
    array = _array(images)
    if array is not None and array.ndim != 4:
        return [_photograph(array, color, 0)], True
    if array is None and (isinstance(images, (bytes, bytearray, memoryview)) or not isinstance(images, Sequence)):
        raise ValueError(f"image 0 is {type(images).__name__}: give {FORMS}")
    several = images if array is None else array
    return [_photograph(image, color, number) for number, image in enumerate(several)], False


def _photograph(image: Any, color: str, number: int) -> Photograph:
    if isinstance(image, (str, Path)):
        try:
            return read_photograph(image)
        except ValueError as error:
            raise ValueError(f"{image}: {error}") from None
    if isinstance(image, Image.Image):
        try:
            return photograph_of(upright(image))
        except Exception as error:  # it may be read only now, and whatever a decoder raises is the picture's fault
            raise ValueError(f"image {number} cannot be read: {str(error) or type(error).__name__}") from error
    array = _array(image)
    if array is None:
        raise ValueError(f"image {number} is {type(image).__name__}: give {FORMS}")
    rgb = _coloured(array, number)[..., :: 1 if color == "rgb" else -1]
    return Photograph(pixels=np.ascontiguousarray(_eight_bits(rgb, number)))


def _array(given: Any) -> np.ndarray | None:
    """An array, or a PyTorch tensor with its colours last; None of anything else.

    Raises:
        ValueError: a tensor of a kind that is no array (sparse, quantised, without data).
    """
    if isinstance(given, np.ndarray):
        return given
    if not (hasattr(given, "detach") and hasattr(given, "cpu")):
        return None
    try:
        tensor = given.detach().cpu()
        array = (tensor.float() if tensor.is_floating_point() else tensor).numpy()  # NumPy has no bfloat16
    except (RuntimeError, TypeError) as error:
        raise ValueError(f"a tensor of {given.dtype} cannot be read ({error}): give uint8, or 0 to 1") from error
    colours_first = array.ndim in (3, 4) and array.shape[-3] in (1, 3) and array.shape[-1] not in (1, 3)
    return np.moveaxis(array, -3, -1) if colours_first else array


def _coloured(array: np.ndarray, number: int) -> np.ndarray:
    """(height, width, 3) of a picture in colour or in grey."""
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim != 3 or array.shape[2] not in (1, 3) or not array.size:
        what = "has no pixels" if array.ndim == 3 and not array.size else "is no picture in colour or grey"
        raise ValueError(f"image {number} of shape {array.shape} {what}: give {FORMS}, without alpha")
    return np.broadcast_to(array, (*array.shape[:2], 3))


def _eight_bits(array: np.ndarray, number: int) -> UInt8[np.ndarray, "h w 3"]:
    if array.dtype == np.uint8:
        return array
    if array.dtype.kind not in "biuf":
        raise ValueError(f"image {number} is {array.dtype}: give uint8, or real in [0, 1]")
    low, high = float(array.min()), float(array.max())
    if array.dtype.kind == "f" and low >= 0 and high <= 1:
        return np.rint(255 * array.astype(np.float32)).astype(np.uint8)
    if array.dtype in (np.int32, np.int64) and low >= 0 and high <= 255:
        return array.astype(np.uint8)
    raise ValueError(f"image {number} is {array.dtype} with values from {low:g} to {high:g}: give uint8, or 0 to 1")
