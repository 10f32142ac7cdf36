"""Pictures of every depth in eight bits: what black and white are is read from the values and their type.

One thing to know: nothing in a file of 16 bits says whether a camera filled 8, 10, 12, 14 or all of them. The smallest
of these depths that holds the largest value is taken; where that would be a guess, the picture is refused.
"""

import numpy as np
from PIL import Image

DEPTHS = (8, 10, 12, 14, 16)
"""Bits that cameras and programs fill of a larger type."""
DARKEST = 16
"""A picture of more than 8 bits whose values, seen as 8 bits, all lie below this is not what it says."""
MEND = "save it with 8 bits a channel"


def eight_bits(image: Image.Image) -> Image.Image:
    """`image` itself when it has 8 bits a channel; one of 16 or 32 bits or of real numbers in grey, 0 to 255.

    Whole numbers: 0 is black, 2^d - 1 white, d the smallest of `DEPTHS` that holds the largest value. Other numbers:
    0 to 1, or 0 to 255.

    Raises:
        ValueError: negative values, values that are not finite, or a range of which black and white cannot be told.
    """
    if not image.mode.startswith(("I", "F")) or 0 in image.size:
        return image
    values = np.asarray(image)
    low, high = float(values.min()), float(values.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        raise ValueError(f"its values are not all finite numbers; {MEND}")
    white = _white(values, high) if low >= 0 else None
    if white is None:
        raise ValueError(f"its values lie from {low:g} to {high:g}, so black and white cannot be told; {MEND}")
    if white <= 255:
        return Image.fromarray(np.rint(values * np.float32(255 / white)).astype(np.uint8))
    return Image.fromarray((values.astype(np.int32) >> round(np.log2(white)) - 8).astype(np.uint8))


def _white(values: np.ndarray, high: float) -> float | None:
    """The value that is white; None where it cannot be told."""
    if values.dtype.kind == "f":
        if high <= 1:
            return 1.0
        if (values != np.floor(values)).any():
            return 255.0 if DARKEST <= high <= 255 else None
    return next((float(2**bits - 1) for bits in DEPTHS if high < 2**bits), None)


def as_mode(image: Image.Image, channels: int) -> Image.Image:
    """`image` in grey (1 channel) or RGB (3), 8 bits each, whatever mode it came in; transparency is dropped.

    Raises:
        ValueError: as `eight_bits`, or a mode that has no way to RGB (LAB).
    """
    image = eight_bits(image)
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")
    mode = "L" if channels == 1 else "RGB"
    return image if image.mode == mode else image.convert(mode)
