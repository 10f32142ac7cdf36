"""What happens to a training face of a supervised training: turned, scaled, shifted, lit otherwise, partly erased.

All are tensor operations on the whole batch, before eyes and mouth are cut from the face; boxes and landmarks move with
it. The recipe is that of networks trained on FER2013 from scratch (docs/experiments.md). Contrastive pretraining has
views of its own: `fermodels.training.contrast_views`.

>>> augmentation = Augmentation(rotation=15.0)
>>> batches = views.training(128, seed=0, epoch=3, augmentation=augmentation)
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn import functional

from fermodels.training import erasing
from fermodels.training.erasing import Chance, between, erased, per_face

DRAWS = 8 + erasing.DRAWS
"""Uniform numbers that one face takes."""


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """How far a training face may be changed. The crop's random place and the flip come on top."""

    scale: tuple[float, float] = (0.8, 1.15)
    """Least and largest enlargement of the face."""
    shift: float = 0.2
    """Along each axis at most this share of the stored face's side, for half of the faces."""
    rotation: float = 10.0
    """At most so many degrees to either side, for half of the faces."""
    light: float = 0.3
    """Brightness and contrast are each multiplied by a number in 1 - light .. 1 + light."""
    erasing: float = 0.5
    """Probability of one erased rectangle (`fermodels.training.erasing`)."""
    erased_area: tuple[float, float] = (0.02, 0.25)
    """Share of the view that it hides."""

    def __post_init__(self) -> None:
        low, high = self.scale
        if not 0 < low <= high:
            raise ValueError(f"scale={self.scale}: two factors, 0 < low <= high, like (0.8, 1.15)")
        for name, most in (("shift", 0.5), ("rotation", 180.0), ("light", 1.0), ("erasing", 1.0)):
            if not 0 <= getattr(self, name) <= most:
                raise ValueError(f"{name}={getattr(self, name)}: a number from 0 to {most:g}")
        low, high = self.erased_area
        if not 0 < low <= high <= 1:
            raise ValueError(f"erased_area={self.erased_area}: two shares of the view, 0 < low <= high <= 1")


@dataclass(frozen=True, kw_only=True)
class Warp:
    """Where each view is cut: stored = centre + matrix (view - 1/2), both in shares of their image's side."""

    centre: Float[Tensor, "b 2"]
    matrix: Float[Tensor, "b 2 2"]

    def picture(self, stored: UInt8[Tensor, "b h h c"], size: int) -> Float[Tensor, "b c size size"]:
        """The views in [0, 1], bilinear; beyond the stored face its border repeats."""
        faces = stored.permute(0, 3, 1, 2).float().div_(255)
        rows = torch.cat((self.matrix, (2 * self.centre - 1)[:, :, None]), 2)
        grid = functional.affine_grid(rows, [len(faces), faces.shape[1], size, size], align_corners=False)
        return functional.grid_sample(faces, grid, padding_mode="border", align_corners=False)

    def points(self, points: Float[Tensor, "b k 2"]) -> Float[Tensor, "b k 2"]:
        """Points of the stored face in the frame of the view."""
        return (points - self.centre[:, None]) @ self.matrix.inverse().mT + 0.5

    def boxes(self, boxes: Float[Tensor, "b k 4"]) -> Float[Tensor, "b k 4"]:
        """Upright boxes around the moved centres, scaled with the face but not turned: a region is always upright."""
        centre = self.points((boxes[..., :2] + boxes[..., 2:]) / 2)
        half = (boxes[..., 2:] - boxes[..., :2]) / 2 / self.matrix.det().sqrt()[:, None, None]
        return torch.cat((centre - half, centre + half), 2)


def warp_of(augmentation: Augmentation, corner: Float[Tensor, "b 2"], share: float, chance: Chance) -> Warp:
    """The random warp of every face.

    Args:
        corner: upper left corner of the crop, and `share` its side, both in shares of the stored face's side.
        chance: six numbers are taken.
    """
    turned, angle = next(chance) < 0.5, between(next(chance), -augmentation.rotation, augmentation.rotation)
    angle = torch.where(turned, angle, 0.0) * math.pi / 180
    side = share / between(next(chance), *augmentation.scale)
    shifted = next(chance) < 0.5
    moved = torch.stack([between(next(chance), -augmentation.shift, augmentation.shift) for _ in range(2)], 1)
    centre = corner + share / 2 + torch.where(shifted[:, None], moved, 0.0)
    cosine, sine = angle.cos() * side, angle.sin() * side
    return Warp(centre=centre, matrix=torch.stack((cosine, -sine, sine, cosine), 1).view(-1, 2, 2))


def relit_and_erased(
    faces: Float[Tensor, "b c s s"], augmentation: Augmentation, chance: Chance
) -> Float[Tensor, "b c s s"]:
    """`faces` (in [0, 1]) in another light, some with one rectangle erased; takes the numbers that are left."""
    bright, contrast = (per_face(between(next(chance), 1 - augmentation.light, 1 + augmentation.light)) for _ in "bc")
    faces = faces * bright
    faces = torch.lerp(faces.mean((1, 2, 3), keepdim=True), faces, contrast).clamp_(0, 1)
    return erased(faces, chance, probability=augmentation.erasing, area=augmentation.erased_area)
