"""From five points to an aligned face: one similarity (turn, scale, shift; never a mirror) per face, and its inverse.

One thing to know: coordinates are continuous pixels, origin at the upper left corner of the upper left pixel, so the
centre of that pixel is (0.5, 0.5). Five points are, in this order: the eye, then nose tip and mouth corner, each pair
from the left of the picture to its right (eye, eye, nose, corner, corner).
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float64, UInt8
from PIL import Image

ARCFACE = ((38.2946, 51.6963), (73.5318, 51.5014), (56.0252, 71.7366), (41.5493, 92.3655), (70.7299, 92.2041))
"""Pixel indices in a 112x112 face: the template of ArcFace (Deng et al. 2019) and of most face recognition since."""
ARCFACE_SIDE = 112
RAISED = 0.08
"""Share of the side by which our template lies higher: ArcFace cuts the chin off, and a dropped jaw is what surprise
and fear look like. Eyes and mouth then lie inside `regions.FALLBACK_BOXES`."""
REDUCED_FROM = 2.0
"""From so many photograph pixels per aligned pixel on, the photograph is averaged first: bilinear sampling alone
would skip pixels."""


def template(size: float = 1.0) -> Float64[np.ndarray, "5 2"]:
    """Where the five points lie in an aligned face of `size` pixels a side; with size 1, as shares of the side."""
    shares = (np.asarray(ARCFACE) + 0.5) / ARCFACE_SIDE  # a pixel's index is half a pixel before its centre
    return (shares - (0.0, RAISED)) * size


def similarity(source: Float[np.ndarray, "k 2"], target: Float[np.ndarray, "k 2"]) -> Float64[np.ndarray, "2 3"]:
    """The turn, scale and shift that bring `source` nearest to `target`: least squares over the points.

    Umeyama (1991, eq 40-42) without reflection. In the plane it has a closed form: with points as complex numbers,
    q = a p + b, a = sum conj(p - mean p) (q - mean q) / sum |p - mean p|^2.

    Returns:
        M with M @ (x, y, 1) = the point in the frame of `target`.

    Raises:
        ValueError: points that are not finite, or all in one place.
    """
    p, q = (np.asarray(points, np.float64) @ (1, 1j) for points in (source, target))
    centred = p - p.mean()
    spread = float(np.sum(np.abs(centred) ** 2))
    if not (np.isfinite(spread) and np.isfinite(q).all()) or spread <= 1e-12 * max(1.0, float(np.abs(p).max()) ** 2):
        raise ValueError(
            f"points {np.asarray(source).tolist()} give no frame: at least two finite ones that differ are needed"
        )
    a = np.sum(np.conj(centred) * (q - q.mean())) / spread
    b = q.mean() - a * p.mean()
    return np.array([[a.real, -a.imag, b.real], [a.imag, a.real, b.imag]])


def inverse(matrix: Float64[np.ndarray, "2 3"]) -> Float64[np.ndarray, "2 3"]:
    """The map back: `inverse(M)` undoes M."""
    linear = np.linalg.inv(matrix[:, :2])
    return np.column_stack((linear, -linear @ matrix[:, 2]))


def moved(matrix: Float64[np.ndarray, "2 3"], points: Float[np.ndarray, "*n 2"]) -> Float64[np.ndarray, "*n 2"]:
    """`points` (x, y) after `matrix`."""
    return np.asarray(points, np.float64) @ matrix[:, :2].T + matrix[:, 2]


@dataclass(frozen=True, kw_only=True, eq=False)
class Aligned:
    """One aligned face and where it lies in its photograph."""

    image: UInt8[np.ndarray, "size size 3"]
    """RGB; black where the frame leaves the photograph."""
    matrix: Float64[np.ndarray, "2 3"]
    """Photograph pixels -> aligned pixels."""


def warped(
    photograph: UInt8[np.ndarray, "h w 3"], matrix: Float64[np.ndarray, "2 3"], size: int
) -> UInt8[np.ndarray, "size size 3"]:
    """The `size` x `size` picture whose pixels lie where `matrix` (photograph -> picture) puts them; bilinear.

    A photograph that is `REDUCED_FROM` times too fine or more is averaged over whole blocks of pixels first.
    """
    picture, back = Image.fromarray(photograph), inverse(matrix)
    step = float(np.sqrt(abs(np.linalg.det(back[:, :2]))))
    if step >= REDUCED_FROM:
        block = int(step + 1e-6)  # an inverse of 1/8 is a little less than 8
        picture, back = picture.reduce(block), back / block
    # Pillow samples at (x + 0.5, y + 0.5), which is our frame, and fills with black
    data = tuple(back.ravel().tolist())
    return np.asarray(picture.transform((size, size), Image.Transform.AFFINE, data, Image.Resampling.BILINEAR))


def align(photograph: UInt8[np.ndarray, "h w 3"], points: Float[np.ndarray, "5 2"], size: int) -> Aligned:
    """The face whose five `points` (photograph pixels) lie on the template, `size` x `size` pixels.

    Raises:
        ValueError: points that give no frame, or a size below one pixel.
    """
    if size < 1:
        raise ValueError(f"size {size}: an aligned face needs at least one pixel a side")
    matrix = similarity(points, template(size))
    return Aligned(image=warped(photograph, matrix, size), matrix=matrix)
