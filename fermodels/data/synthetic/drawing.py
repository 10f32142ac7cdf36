"""From indices to pictures: scenes are drawn, painted in small batches and developed."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Int64, UInt8

from fermodels.data.synthetic.camera import develop
from fermodels.data.synthetic.chance import Chance
from fermodels.data.synthetic.features import paint_features
from fermodels.data.synthetic.head import paint_head
from fermodels.data.synthetic.looks import Scene, rows_of, scene_of
from fermodels.data.synthetic.occluders import Occluder, draw_occluder, hidden, paint_occluders

VERSION = 1
"""Grows whenever the same (seed, index) gives another picture or label: caches of other versions are not read."""

_BATCH_PIXELS = 128 * 64 * 64
"""Features are painted on this many faces together (at 64 px): their tiles are small, calls cost more than pixels."""
_HEAD_PIXELS = 16 * 64 * 64
"""Whole pictures are painted and developed on fewer, so that they stay in the processor's cache."""


class Faces(NamedTuple):
    """n rendered faces."""

    images: UInt8[np.ndarray, "n size size 3"]
    labels: Int64[np.ndarray, " n"]
    """Positions in `fermodels.EXPRESSIONS`."""
    landmarks: Float32[np.ndarray, "n 68 2"]
    """(x, y) as a share of the image side, iBUG-68 order; may leave [0, 1]."""
    visibility: Float32[np.ndarray, "n 68"]
    """1 visible; 0 turned away, or under an occluder."""


def paint_scene(scene: Scene, size: int, thing: Occluder | None = None) -> UInt8[np.ndarray, "n size size 3"]:
    """Pictures of given scenes."""
    n, step = len(scene.labels), max(1, _HEAD_PIXELS // size**2)
    image = np.empty((n, 3, size, size), np.float32)
    pictures = np.empty((n, size, size, 3), np.uint8)
    parts = [slice(start, start + step) for start in range(0, n, step)]
    for rows in parts:
        image[rows] = paint_head(rows_of(scene, rows), size)
    paint_features(scene, image)
    if thing is not None:
        paint_occluders(scene, thing, image)
    for rows in parts:
        pictures[rows] = develop(image[rows], rows_of(scene.camera, rows))
    return pictures


def render(
    indices: Sequence[int] | Int64[np.ndarray, " n"], *, size: int = 64, seed: int = 0, occluders: float = 0.0
) -> Faces:
    """The faces `indices` (non-negative) of `seed`, as size x size RGB pictures.

    Face i depends on (seed, i), the size and the share of occluders only. `occluders` in [0, 1] is the share
    of faces with something in front; it changes no other property of a face.
    """
    numbers = np.asarray(indices, np.int64)
    if size < 32:
        raise ValueError(f"size {size} is too small for a face: give at least 32 pixels.")
    if not 0 <= occluders <= 1:
        raise ValueError(f"occluders is a share of the faces between 0 and 1, not {occluders}.")
    if len(numbers) and numbers.min() < 0:
        raise ValueError(f"indices count from 0; {numbers.min()} is negative.")
    chance = Chance(seed, numbers)
    scene, thing = scene_of(chance), draw_occluder(chance, occluders)
    images = np.empty((len(numbers), size, size, 3), np.uint8)
    step = max(1, _BATCH_PIXELS // size**2)
    for start in range(0, len(numbers), step):
        rows = slice(start, start + step)
        images[rows] = paint_scene(rows_of(scene, rows), size, rows_of(thing, rows) if occluders else None)
    visibility = np.where(hidden(scene, thing), 0, scene.shape.visibility).astype(np.float32)
    return Faces(images, scene.labels, scene.shape.landmarks, visibility)
