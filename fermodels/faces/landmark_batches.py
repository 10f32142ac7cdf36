"""Training batches of the landmark network: synthetic faces, moved, softened, lit, covered and made noisy.

The drawn faces are clean and much alike; photographs are neither. Everything here widens the drawing towards them, on
the whole batch by tensor operations, and is a pure function of (seed, epoch).
"""

import math
from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor
from torch.nn import functional

from fermodels.data.synthetic import Faces
from fermodels.faces.landmark_base import FLIP
from fermodels.faces.landmark_net import BRIGHTNESS, SIDE, places, standardised

STORED = 72
"""Side in pixels at which the faces are drawn: more than the network sees, so that a closer view is not blurred."""
ZOOM = (0.75, 1.35)
TURN = 0.26
"""Rotation in radians, either way."""
SHIFT = 0.1
"""Share of the crop's side, either way, along each axis."""
WARP = 0.035
"""Largest deviation, as a share of the side, of a smooth random displacement: proportions that are never drawn."""
COVERED = 0.35
"""Share of the faces behind one or two rectangles, besides those behind the renderer's own occluders."""
BLURS = (0.6, 1.0, 1.5, 2.2)
"""Deviations in pixels of the crop."""
SIDES = (12, 16, 20, 26, 34)
"""Sides in pixels of a crop that was taken small and enlarged."""


_FLIP = list(FLIP)


class PointBatch(NamedTuple):
    """What `compress.training.loop.fit` feeds: `labels` are points where a classifier's are classes."""

    views: tuple[Float[Tensor, "b 1 side side"]]
    """Standardised brightness."""
    labels: Float[Tensor, "b 68 2"]
    """(x, y) as a share of the crop's side; may leave [0, 1]."""
    visible: Bool[Tensor, "b 68"]
    """Inside the crop, facing the viewer and behind nothing."""


class PointBatches:
    """All faces of a training, cut into batches that differ from epoch to epoch."""

    def __init__(self, faces: Faces, batch: int, *, seed: int) -> None:
        self.images = torch.from_numpy(faces.images)
        self.points = torch.from_numpy(faces.landmarks)
        self.visible = torch.from_numpy(faces.visibility) > 0.5
        self.size, self.seed = batch, seed

    def __len__(self) -> int:
        return math.ceil(len(self.images) / self.size)

    def epoch(self, epoch: int) -> Iterator[PointBatch]:
        random = torch.Generator().manual_seed(self.seed * 1_000_003 + epoch)
        for index in torch.randperm(len(self.images), generator=random).split(self.size):
            yield widened(self.images[index], self.points[index], self.visible[index], random)


def widened(
    images: UInt8[Tensor, "b s s 3"],
    points: Float[Tensor, "b 68 2"],
    visible: Bool[Tensor, "b 68"],
    random: torch.Generator,
) -> PointBatch:
    """One batch of faces as they might have been photographed; `points` are shares of the images' side."""
    view, points, mirrored = _moved(_grey(images, random), points, random)
    visible = torch.where(mirrored[:, None], visible[:, _FLIP], visible)
    view = _lit(_softened(view, random), random)
    view, under = _covered(view, points, random)
    deviation = 0.07 * _uniform(random, len(view)).square()
    view = view + deviation[:, None, None, None] * torch.randn(view.shape, generator=random)
    inside = ((points > 0) & (points < 1)).all(-1)
    view = standardised(view).contiguous(memory_format=torch.channels_last)
    return PointBatch((view,), points, visible & inside & ~under)


def _uniform(random: torch.Generator, *shape: int, low: float = 0.0, high: float = 1.0) -> Tensor:
    return low + (high - low) * torch.rand(shape, generator=random)


def _grey(images: UInt8[Tensor, "b s s 3"], random: torch.Generator) -> Float[Tensor, "b 1 s s"]:
    """Brightness in [0, 1] through films of other sensitivity: half the usual weights, half drawn ones."""
    drawn = _uniform(random, len(images), 3)
    weights = 0.5 * torch.tensor(BRIGHTNESS) + 0.5 * drawn / drawn.sum(1, keepdim=True)
    return torch.einsum("bhwc,bc->bhw", images.float(), weights / 255)[:, None]


def _moved(
    view: Float[Tensor, "b 1 s s"], points: Float[Tensor, "b 68 2"], random: torch.Generator
) -> tuple[Float[Tensor, "b 1 side side"], Float[Tensor, "b 68 2"], Bool[Tensor, " b"]]:
    """Zoomed, turned, shifted, bent and, half of them, mirrored about the middle; resampled to the network's side."""
    n = len(view)
    zoom = torch.exp(_uniform(random, n, low=math.log(ZOOM[0]), high=math.log(ZOOM[1])))
    turn = _uniform(random, n, low=-TURN, high=TURN)
    shift = _uniform(random, n, 2, low=-SHIFT, high=SHIFT)
    mirrored = torch.rand(n, generator=random) < 0.5
    cos, sin = zoom * turn.cos(), zoom * turn.sin()
    side = torch.where(mirrored, -1.0, 1.0)
    forward = torch.stack((cos * side, -sin, sin * side, cos), 1).view(n, 2, 2)
    moved = (points - 0.5) @ forward.mT + 0.5 + shift[:, None]
    bend = _bend(random, n)
    there = torch.stack(torch.meshgrid(places(SIDE), places(SIDE), indexing="xy"), -1) + bend.permute(0, 2, 3, 1)
    source = (there - 0.5 - shift[:, None, None]) @ torch.linalg.inv(forward).mT[:, None] + 0.5
    view = functional.grid_sample(view, 2 * source - 1, padding_mode="border", align_corners=False)
    moved = _unbent(moved, bend)
    return view, torch.where(mirrored[:, None, None], moved[:, _FLIP], moved), mirrored


def _bend(random: torch.Generator, n: int) -> Float[Tensor, "n 2 side side"]:
    """Displacement (x, y) of every pixel, as shares of the side: pixel u shows what lay at u + bend(u)."""
    coarse = torch.randn(n, 2, 4, 4, generator=random) * _uniform(random, n, 1, 1, 1, high=WARP)
    return functional.interpolate(coarse, (SIDE, SIDE), mode="bicubic", align_corners=False)


def _unbent(points: Float[Tensor, "n k 2"], bend: Float[Tensor, "n 2 side side"]) -> Float[Tensor, "n k 2"]:
    """Where `points` are seen: u with u + bend(u) = point, by fixed-point iteration (the bend is a contraction)."""
    seen = points
    for _ in range(4):
        found = functional.grid_sample(bend, 2 * seen[:, None] - 1, padding_mode="border", align_corners=False)
        seen = points - found[:, :, 0].mT
    return seen


@cache
def _lenses() -> Float[Tensor, "k side side"]:
    """What one axis goes through: nothing, a Gaussian, or a small picture that was enlarged again."""
    pixel = torch.arange(SIDE, dtype=torch.float32)
    lenses = [torch.eye(SIDE)]
    for deviation in BLURS:
        weights = torch.exp(-((pixel[:, None] - pixel) ** 2) / (2 * deviation**2))
        lenses.append(weights / weights.sum(1, keepdim=True))
    for side in SIDES:
        small = functional.adaptive_avg_pool1d(torch.eye(SIDE)[None], side)
        lenses.append(functional.interpolate(small, SIDE, mode="linear", align_corners=False)[0].T)
    return torch.stack(lenses)


def _softened(view: Float[Tensor, "b 1 side side"], random: torch.Generator) -> Float[Tensor, "b 1 side side"]:
    """Four in ten stay sharp; the others get one of the lenses."""
    lenses = _lenses()
    which = torch.randint(1, len(lenses), (len(view),), generator=random)
    which = torch.where(torch.rand(len(view), generator=random) < 0.4, 0, which)
    chosen = lenses[which][:, None]
    return chosen @ view @ chosen.mT


def _field(random: torch.Generator, n: int, cells: int) -> Float[Tensor, "n 1 side side"]:
    """Smooth random fields, deviation about 1 at their cells."""
    coarse = torch.randn(n, 1, cells, cells, generator=random)
    return functional.interpolate(coarse, (SIDE, SIDE), mode="bicubic", align_corners=False)


def _lit(view: Float[Tensor, "b 1 side side"], random: torch.Generator) -> Float[Tensor, "b 1 side side"]:
    """Uneven light, coarse and fine, and another tone curve."""
    n = len(view)
    uneven = 0.3 * _uniform(random, n, 1, 1, 1) * _field(random, n, 3)
    patchy = 0.1 * _uniform(random, n, 1, 1, 1) * _field(random, n, 9)
    gamma = torch.exp(_uniform(random, n, 1, 1, 1, low=-0.6, high=0.6))
    return view.clamp(1e-3, 1).pow(gamma) * torch.exp(uneven + patchy)


def _covered(
    view: Float[Tensor, "b 1 side side"], points: Float[Tensor, "b 68 2"], random: torch.Generator
) -> tuple[Float[Tensor, "b 1 side side"], Bool[Tensor, "b 68"]]:
    """Up to two patterned rectangles; with them, which points lie under one."""
    n, under = len(view), torch.zeros(points.shape[:2], dtype=torch.bool)
    x, y = places(SIDE)[None, None, None, :], places(SIDE)[None, None, :, None]
    for probability in (COVERED, COVERED / 2):
        centre, half = _uniform(random, n, 2), _uniform(random, n, 2, low=0.05, high=0.22)
        half = torch.where(torch.rand(n, 1, generator=random) < probability, half, -1.0)
        (cx, cy), (hx, hy) = centre.T[..., None, None, None], half.T[..., None, None, None]
        inside = ((x - cx).abs() < hx) & ((y - cy).abs() < hy)
        pattern = _uniform(random, n, 1, 1, 1) + 0.2 * _uniform(random, n, 1, 1, 1) * _field(random, n, 8)
        view = torch.where(inside, pattern, view)
        under |= ((points - centre[:, None]).abs() < half[:, None]).all(-1)
    return view, under
