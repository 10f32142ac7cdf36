"""Soft brushes on small tiles of many pictures at once: lines and areas along curves through landmarks.

A curve is a polynomial over the chord from its first to its last point, so the painted edge passes (nearly)
through the landmarks themselves. All brushes return an alpha (h, w, b) in [0, 1]; edges are one pixel wide.
The faces are the *last* axis of a tile: a number a face then meets its pixels without being reshaped, and numpy's
inner loops run over a hundred faces instead of a dozen columns.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32

Alpha = Float32[np.ndarray, "h w b"]
Points = Float32[np.ndarray, "b k 2"]


@dataclass(frozen=True, kw_only=True)
class Tile:
    """A window of the same size into each of b pictures; coordinates are shares of the image side."""

    pixels: np.ndarray
    """(3, h, w, b) float32, changed in place by `paint` and `shade`; `close_tile` writes it back."""
    x: np.ndarray
    """(1, w, b)."""
    y: np.ndarray
    """(h, 1, b)."""
    soft: float
    """The width of an edge, one pixel or a little more."""
    where: tuple[np.ndarray, np.ndarray, np.ndarray]
    """Row in the stack of pictures, upper and left edge in pixels, of each window."""


def _windows(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Every window of that size, (n, 3, rows, columns, h, w), as a writable view: no pixel is copied."""
    n, channels, rows, columns = image.shape
    shape = (n, channels, rows - height + 1, columns - width + 1, height, width)
    return np.lib.stride_tricks.as_strided(image, shape, (*image.strides, *image.strides[2:]))


def open_tile(
    image: np.ndarray, centre: Float32[np.ndarray, "b 2"], width: float, height: float, rows: np.ndarray | None = None
) -> Tile:
    """Windows of width x height (shares of the side) around `centre`, moved inside the (n, 3, s, s) pictures.

    `rows` (b,) says which pictures; all of them without it.
    """
    size = image.shape[-1]
    rows = np.arange(len(image)) if rows is None else rows
    w, h = min(size, round(width * size)), min(size, round(height * size))
    left = np.clip(np.rint(centre[:, 0] * size - w / 2).astype(np.int64), 0, size - w)
    top = np.clip(np.rint(centre[:, 1] * size - h / 2).astype(np.int64), 0, size - h)
    pixels = np.ascontiguousarray(_windows(image, h, w)[rows, :, top, left].transpose(1, 2, 3, 0))
    x = ((left + (np.arange(w) + 0.5)[:, None]) / size).astype(np.float32)[None]
    y = ((top + (np.arange(h) + 0.5)[:, None]) / size).astype(np.float32)[:, None]
    return Tile(pixels=pixels, x=x, y=y, soft=1.15 / size, where=(rows, top, left))


def close_tile(image: np.ndarray, tile: Tile) -> None:
    """Puts the windows back."""
    rows, top, left = tile.where
    _windows(image, *tile.pixels.shape[1:3])[rows, :, top, left] = tile.pixels.transpose(3, 0, 1, 2)


def per_face(value: float | np.ndarray) -> np.ndarray:
    """A number, or one number a face, as float32: meets (h, w, b) as it is."""
    return np.asarray(value, np.float32)


def paint(tile: Tile, alpha: np.ndarray, colour: np.ndarray) -> None:
    """Covers with `colour` (b or 1, 3)."""
    step = colour.astype(np.float32).T[:, None, None] - tile.pixels
    step *= alpha
    tile.pixels[...] += step


def moved(points: Float32[np.ndarray, "b 2"], right: float, down: float) -> Float32[np.ndarray, "b 2"]:
    """The points, shifted by shares of the image side."""
    return points + np.array([right, down], np.float32)


_WARM = np.array([0.62, 0.88, 1.0], np.float32)


def shade(tile: Tile, alpha: np.ndarray) -> None:
    """Darkens what is there (a negative alpha lightens), blue most and red least, as skin does in shadow."""
    for channel, share in enumerate(_WARM):
        tile.pixels[channel] *= 1 - share * alpha


def curve(along: np.ndarray, across: np.ndarray, degree: int) -> np.ndarray:
    """Least-squares coefficients (b, degree + 1), constant term first, of across over along, both (b, k)."""
    powers = along[..., None].astype(np.float64) ** np.arange(degree + 1)
    square = np.einsum("bki,bkj->bij", powers, powers) + 1e-7 * np.eye(degree + 1)
    right = np.einsum("bki,bk->bi", powers, across.astype(np.float64))
    return np.linalg.solve(square, right[..., None])[..., 0].astype(np.float32)


def height_of(coefficients: np.ndarray, along: np.ndarray) -> np.ndarray:
    """The curve at `along` (h, w, b), by Horner's rule."""
    total = per_face(coefficients[:, -1])
    for column in range(coefficients.shape[1] - 2, -1, -1):
        total = total * along + per_face(coefficients[:, column])
    return total


@dataclass(frozen=True, kw_only=True)
class Chord:
    """Coordinates relative to a chord p-q: `along` is 0 at p and 1 at q; `across` is in shares, down if p is left."""

    p: np.ndarray
    unit: np.ndarray
    length: np.ndarray

    def of(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(along, across) of (..., b) coordinates."""
        (px, py), (ux, uy), length = self.p.T, self.unit.T, self.length
        along = x * (ux / length) + (y * (uy / length) - (px * ux + py * uy) / length)
        across = y * ux - (x * uy + (py * ux - px * uy))
        return along, across

    def curve(self, points: Points, degree: int) -> np.ndarray:
        along, across = (value.T for value in self.of(points[..., 0].T, points[..., 1].T))
        if points.shape[1] == 3 and degree == 2:  # a parabola that is 0 at both ends: no system to solve
            bow = across[:, 1] / np.maximum(along[:, 1] * (1 - along[:, 1]), 0.05)
            return np.stack([np.zeros_like(bow), bow, -bow], axis=1)
        return curve(along, across, degree)


def chord(points: Points) -> Chord:
    p, q = points[:, 0], points[:, -1]
    length = np.maximum(np.sqrt(((q - p) ** 2).sum(1)), 1e-3).astype(np.float32)
    return Chord(p=p, unit=(q - p) / length[:, None], length=length)


def _edge(distance: np.ndarray, soft: float) -> np.ndarray:
    """1 inside (distance > 0), 0 outside, linear over `soft`."""
    return np.clip(distance * np.float32(1 / soft) + np.float32(0.5), 0, 1)


@dataclass(frozen=True, kw_only=True)
class Band:
    """Distances to a curve, from which lines of several widths are cut."""

    off: np.ndarray
    """(h, w, b) distance across the chord, in shares."""
    place: np.ndarray
    """(h, w, b) position along the chord, clipped to [0, 1]."""
    within: np.ndarray
    """(h, w, b) 0 beyond the ends."""
    soft: float

    def line(self, width: float | np.ndarray, ends: tuple[float, float] = (1.0, 1.0)) -> Alpha:
        half = per_face(width) * np.float32(ends[0] / 2)
        if ends[0] != ends[1]:
            half = half + per_face(width) * np.float32((ends[1] - ends[0]) / 2) * self.place
        # A line thinner than a pixel keeps its ink: paler, not wider.
        return _edge(half - self.off, self.soft) * self.within * np.minimum(half * np.float32(2 / self.soft), 1)


def band(tile: Tile, points: Points, degree: int = 2) -> Band:
    """The neighbourhood of the curve through `points`."""
    frame = chord(points)
    along, across = frame.of(tile.x, tile.y)
    place = np.clip(along, 0, 1)
    off = np.abs(across - height_of(frame.curve(points, degree), place))
    within = _edge(per_face(tile.soft / 2) - np.abs(along - place) * per_face(frame.length), tile.soft)
    return Band(off=off, place=place, within=within, soft=tile.soft)


def ribbon(
    tile: Tile, points: Points, width: float | np.ndarray, *, ends: tuple[float, float] = (1.0, 1.0), degree: int = 2
) -> Alpha:
    """A line along the curve through `points`; its width is scaled by ends[0] at the first and ends[1] at the last."""
    return band(tile, points, degree).line(width, ends)


def between(tile: Tile, upper: Points, lower: Points, degrees: tuple[int, int]) -> Alpha:
    """The area between two curves that share their first and last points."""
    frame = chord(upper)
    along, across = frame.of(tile.x, tile.y)
    place = np.clip(along, 0, 1)
    above = height_of(frame.curve(upper, degrees[0]), place)
    below = height_of(frame.curve(lower, degrees[1]), place)
    ends = _edge((0.5 - np.abs(along - 0.5)) * per_face(frame.length), tile.soft)
    return _edge(across - above, tile.soft) * _edge(below - across, tile.soft) * ends


def disc(tile: Tile, centre: np.ndarray, radius_x: float | np.ndarray, radius_y: float | np.ndarray) -> Alpha:
    """A filled ellipse."""
    rx, ry = per_face(radius_x), per_face(radius_y)
    x, y = (tile.x - per_face(centre[:, 0])) / rx, (tile.y - per_face(centre[:, 1])) / ry
    return _edge((1 - np.sqrt(x * x + y * y)) * np.minimum(rx, ry), tile.soft)


def glow(tile: Tile, centre: np.ndarray, radius_x: float | np.ndarray, radius_y: float | np.ndarray) -> Alpha:
    """A Gaussian spot, 1 at the centre and 0.37 at the radius."""
    x, y = (
        (tile.x - per_face(centre[:, 0])) / per_face(radius_x),
        (tile.y - per_face(centre[:, 1])) / per_face(radius_y),
    )
    # Cut at 5 radii: far tails are denormal numbers, on which arithmetic is many times slower.
    return np.exp(-np.minimum(x * x, 25)) * np.exp(-np.minimum(y * y, 25))
