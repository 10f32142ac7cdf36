"""Faces in photographs: boxes, five points, probabilities, by one of the `DETECTORS`.

>>> faces = open_detector("mtcnn").detect([photograph])[0]      # largest first; [] where there is none
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from jaxtyping import Float64, UInt8

from fermodels.faces.mtcnn import Mtcnn
from fermodels.faces.tiles import Found, reduced, searched
from fermodels.faces.yunet import Yunet

SMALLEST = 20.0
"""Side in pixels of the smallest face looked for, unless said otherwise."""

ENOUGH = 48
"""Pixels of a face's side: no detector here looks at a face more finely, so where only larger ones are asked for, the
photograph is made smaller."""


class Backend(Protocol):
    """What a detection library is wrapped into; `detect` checks, groups, sorts. Safe to share between threads, and it
    can be pickled."""

    version: str
    """The library, its version and its model: part of every cache key and record."""

    def find(self, photographs: UInt8[np.ndarray, "n h w 3"]) -> list[Found]:
        """Boxes, five points and probabilities in each RGB photograph (pixels)."""
        ...


DETECTORS: dict[str, Callable[[str | None, float], Backend]] = {"mtcnn": Mtcnn, "yunet": Yunet}
"""name -> backend(path, smallest). A new detector is a module with a `Backend` and one line here."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Face:
    """One face in a photograph; pixels, origin at the upper left corner of the photograph."""

    box: tuple[float, float, float, float]
    """x0, y0, x1, y1; may leave the photograph."""
    points: Float64[np.ndarray, "5 2"]
    """Eye, eye, nose tip, mouth corner, mouth corner, each pair from the left of the picture to its right."""
    probability: float
    """In [0, 1], as the detector says."""

    @property
    def area(self) -> float:
        """Square pixels of the box."""
        return (self.box[2] - self.box[0]) * (self.box[3] - self.box[1])

    @property
    def centre(self) -> tuple[float, float]:
        return (self.box[0] + self.box[2]) / 2, (self.box[1] + self.box[3]) / 2


@dataclass(frozen=True, kw_only=True)
class Detector:
    """A detector that is ready."""

    name: str
    """A key of `DETECTORS`."""
    smallest: float
    """Side in pixels of the smallest face that is given."""
    backend: Backend

    @property
    def version(self) -> str:
        return self.backend.version

    def detect(self, photographs: Sequence[UInt8[np.ndarray, "_h _w 3"]], *, color: str = "rgb") -> list[list[Face]]:
        """The faces of each photograph, the largest box first; an empty list where there is none.

        Args:
            photographs: of any sizes; those of one size are searched together.
            color: "rgb", or "bgr" for arrays as OpenCV reads them.

        Raises:
            ValueError: an array that is grey, has a fourth channel or is not uint8, or an unknown colour order.
        """
        if color not in ("rgb", "bgr"):
            raise ValueError(f'color="{color}": allowed are "rgb" and "bgr" (the order in which OpenCV reads)')
        arrays = [as_photograph(p, number)[..., :: 1 if color == "rgb" else -1] for number, p in enumerate(photographs)]
        block = _block(self.smallest)
        small = [reduced(array, block) for array in arrays]
        return [self._faces(*found, block) for found in searched(self.backend.find, small, self.smallest / block)]

    def _faces(self, boxes: np.ndarray, points: np.ndarray, probabilities: np.ndarray, block: int) -> list[Face]:
        """Those that are large enough and have a place, the largest first."""
        each = zip(block * boxes, block * points, probabilities, strict=True)
        placed = [_face(*one) for one in each if all(np.isfinite(part).all() for part in one)]
        large = [face for face in placed if max(_sides(face)) >= self.smallest]
        return sorted(large, key=lambda face: (-face.area, face.box))


def open_detector(spec: str = "mtcnn", *, smallest: float = SMALLEST) -> Detector:
    """The detector that `spec` names: "mtcnn", or "yunet:PATH" with the path of its model.

    Raises:
        ValueError: an unknown name, a missing library or model file, a smallest face below 12 pixels; the sentence
            says what to do.
    """
    name, _, path = spec.partition(":")
    if name not in DETECTORS:
        raise ValueError(f'no detector "{name}": a detector is NAME or NAME:PATH, NAME one of {", ".join(DETECTORS)}')
    if not 12 <= smallest < np.inf:
        raise ValueError(f"smallest={smallest}: no detector finds faces below 12 pixels a side; give 12 or more")
    return Detector(name=name, smallest=smallest, backend=DETECTORS[name](path or None, smallest / _block(smallest)))


def as_photograph(array: np.ndarray, number: int = 0) -> UInt8[np.ndarray, "h w 3"]:
    """`array`, when it is an RGB photograph.

    Raises:
        ValueError: it is grey, has a fourth channel, is empty or is not uint8.
    """
    if not isinstance(array, np.ndarray) or array.dtype != np.uint8:
        kind = getattr(array, "dtype", type(array).__name__)
        raise ValueError(f"photograph {number} is {kind}: give a uint8 array with values 0 to 255")
    if array.ndim == 2 or (array.ndim == 3 and array.shape[2] == 1):
        raise ValueError(
            f"photograph {number} is grey, {array.shape}: give RGB, (height, width, 3), for instance "
            'Image.convert("RGB")'
        )
    if array.ndim != 3 or array.shape[2] != 3 or not array.size:
        raise ValueError(f"photograph {number} has shape {array.shape}: give RGB, (height, width, 3), without alpha")
    return array


def _face(box: np.ndarray, points: np.ndarray, probability: np.floating) -> Face:
    x0, y0, x1, y1 = (float(value) for value in box)
    return Face(
        box=(x0, y0, x1, y1), points=points.astype(np.float64), probability=min(1.0, max(0.0, float(probability)))
    )


def _sides(face: Face) -> tuple[float, float]:
    return face.box[2] - face.box[0], face.box[3] - face.box[1]


def _block(smallest: float) -> int:
    """Pixels a side that are averaged before the search."""
    return max(1, int(smallest // ENOUGH))
