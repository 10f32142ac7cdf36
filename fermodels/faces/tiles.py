"""Large photographs are searched twice: whole, made smaller, for large faces, and in overlapping tiles for small ones.

One thing to know: so the smallest face that is found is the same in every photograph, and memory has a bound. What is
not larger than `WHOLE` is searched once, as it is.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, UInt8
from PIL import Image

Found = tuple[Float32[np.ndarray, "k 4"], Float32[np.ndarray, "k 5 2"], Float32[np.ndarray, " k"]]
"""Boxes (x0, y0, x1, y1), five points and probabilities of one photograph's faces; pixels."""
Find = Callable[[UInt8[np.ndarray, "n h w 3"]], list[Found]]

WHOLE = 2**21
"""Pixels that are searched at a time: of one photograph, of one tile, of several small photographs of one size."""
TILE = 1448
"""Pixels: side of a tile, unless `OVERLAP` asks for more."""
OVERLAP = 1.5
"""How far tiles overlap, in sides of the smallest face that is found in the whole, made smaller: a face across the
border of one tile lies within another, or is found in the whole."""
NOWHERE = False, False, False, False
SAME, INSIDE = 0.4, 0.7
"""Two boxes are one face from so much intersection over union on, or over the smaller of the two."""


class Part(NamedTuple):
    """What is searched at once."""

    pixels: UInt8[np.ndarray, "h w 3"]
    corner: tuple[int, int]
    """x, y of its upper left corner in the photograph."""
    block: int
    """Pixels of the photograph per pixel here."""
    inner: tuple[bool, bool, bool, bool]
    """Whether its left, upper, right, lower border lies within the photograph."""


def searched(find: Find, photographs: Sequence[UInt8[np.ndarray, "_h _w 3"]], smallest: float) -> list[Found]:
    """The faces in each photograph, by a `find` that takes photographs of one size.

    Args:
        smallest: side in pixels of the smallest face that `find` looks for.
    """
    parts = [(number, part) for number, pixels in enumerate(photographs) for part in _parts(pixels, smallest)]
    found: list[list[Found]] = [[] for _ in photographs]
    for indices in _groups([part.pixels for _, part in parts]):
        faces = find(np.stack([parts[i][1].pixels for i in indices]))
        for index, of_part in zip(indices, faces, strict=True):
            number, part = parts[index]
            found[number].append(_placed(of_part, part))
    return [several[0] if len(several) == 1 else _merged(several) for several in found]


def _parts(pixels: UInt8[np.ndarray, "h w 3"], smallest: float) -> list[Part]:
    height, width = pixels.shape[:2]
    if height * width <= WHOLE:
        return [Part(pixels, (0, 0), 1, NOWHERE)]
    block = int(np.ceil(np.sqrt(height * width / WHOLE)))
    whole = reduced(pixels, block)
    overlap = int(np.ceil(OVERLAP * block * smallest))
    side = max(TILE, 2 * overlap)
    tiles = [
        Part(pixels[y0:y1, x0:x1], (x0, y0), 1, (x0 > 0, y0 > 0, x1 < width, y1 < height))
        for y0, y1 in _spans(height, side, overlap)
        for x0, x1 in _spans(width, side, overlap)
    ]
    return [Part(whole, (0, 0), block, NOWHERE), *tiles]


def reduced(pixels: UInt8[np.ndarray, "h w 3"], block: int) -> UInt8[np.ndarray, "_h _w 3"]:
    """Averages of `block` x `block` pixels."""
    return pixels if block == 1 else np.asarray(Image.fromarray(np.ascontiguousarray(pixels)).reduce(block))


def _spans(length: int, side: int, overlap: int) -> list[tuple[int, int]]:
    """Beginnings and ends of as few equal tiles as cover `length` and overlap enough."""
    if length <= side:
        return [(0, length)]
    count = -(-(length - overlap) // (side - overlap))
    starts = np.linspace(0, length - side, count).astype(int).tolist()
    return [(start, start + side) for start in starts]


def _groups(arrays: Sequence[np.ndarray]) -> list[list[int]]:
    """Positions of what is searched together: of one size, and not too many pixels."""
    by_size: dict[tuple[int, ...], list[int]] = {}
    for index, array in enumerate(arrays):
        by_size.setdefault(array.shape, []).append(index)
    groups = []
    for (height, width, _), indices in by_size.items():
        step = max(1, WHOLE // (height * width))
        groups += [indices[start : start + step] for start in range(0, len(indices), step)]
    return groups


def _placed(found: Found, part: Part) -> Found:
    """Faces of a part in pixels of its photograph; without those that the border of a tile cuts."""
    boxes, points, scores = found
    height, width = part.pixels.shape[:2]
    left, upper, right, lower = part.inner
    cut = (left & (boxes[:, 0] <= 0)) | (upper & (boxes[:, 1] <= 0))
    cut |= (right & (boxes[:, 2] >= width)) | (lower & (boxes[:, 3] >= height))
    corner, whole = np.array(part.corner, np.float32), ~cut
    boxes = part.block * boxes[whole].reshape(-1, 2, 2) + corner
    return boxes.reshape(-1, 4), part.block * points[whole] + corner, scores[whole]


def _merged(found: Sequence[Found]) -> Found:
    """The faces of overlapping parts, each once: of two that are one, the surer."""
    boxes, points, scores = (np.concatenate(values) for values in zip(*found, strict=True))
    kept: list[int] = []
    for index in np.argsort(-scores, kind="stable").tolist():
        if not any(_one_face(boxes[index], boxes[other]) for other in kept):
            kept.append(index)
    return boxes[kept], points[kept], scores[kept]


def _one_face(a: np.ndarray, b: np.ndarray) -> bool:
    shared = float(np.prod((np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])).clip(0)))
    areas = [float(np.prod(box[2:] - box[:2])) for box in (a, b)]
    return shared > SAME * (sum(areas) - shared) or shared > INSIDE * min(areas)
