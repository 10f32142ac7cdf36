"""Rectangles that hide a part of every face of a batch: random erasing (Zhong et al. 2020), paper 2's local occlusion.

An augmentation, on any device. `fermodels.faces.occlude` covers pictures for measuring: exactly, one by one, from a
manifest; of its occluders this module shows `SEEN`, and those of `UNSEEN` never.
"""

from collections.abc import Iterator

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

FILLS = ("noise", "mean", "black")
"""What hides a face, equally often: noise, its mean, black."""
AREA = (0.05, 0.3)
"""Share of the view that is hidden, as in paper 2's Fig 3."""
DRAWS = 6
"""Uniform numbers that `erased` takes for a face."""
Chance = Iterator[Float[Tensor, " b"]]
"""Numbers in [0, 1) drawn for the faces, one after another."""


def erased(
    faces: Float[Tensor, "b c s s"], chance: Chance, *, probability: float, area: tuple[float, float] = AREA
) -> Float[Tensor, "b c s s"]:
    """`faces` (in [0, 1]), each with `probability` behind one rectangle of aspect 0.5 to 2, filled as one of `FILLS`.

    Args:
        chance: `DRAWS` numbers are taken.
        area: least and largest share of the face that a rectangle hides.
    """
    side = faces.shape[-1]
    hidden = _rectangles(chance, side, probability, area)[:, None]
    last = next(chance)
    kind = (last * len(FILLS)).long()
    faces = torch.where(hidden, faces.mean((1, 2, 3), keepdim=True) * per_face(kind == FILLS.index("mean")), faces)
    noise = kind == FILLS.index("noise")
    where = worth_computing(hidden.flatten(1).any(1) & noise)
    strips = _noise((last[where] * len(FILLS)).frac(), side)
    filled = torch.where(hidden[where] & per_face(noise[where]), strips, faces[where])
    return faces.index_copy(0, where, filled)


def _rectangles(chance: Chance, side: int, probability: float, area: tuple[float, float]) -> Bool[Tensor, "b s s"]:
    """True where a face is hidden."""
    on = next(chance) < probability
    share = between(next(chance), *area)
    aspect = (2 * next(chance) - 1).exp2()
    width, height = (share * aspect).sqrt().clamp(max=1), (share / aspect).sqrt().clamp(max=1)
    x0, y0 = next(chance) * (1 - width), next(chance) * (1 - height)
    centres = (torch.arange(side, device=on.device) + 0.5) / side
    columns = (centres >= x0[:, None]) & (centres < (x0 + width)[:, None])
    rows = (centres >= y0[:, None]) & (centres < (y0 + height)[:, None])
    return rows[:, :, None] & columns[:, None, :] & on[:, None, None]


def _noise(where: Float[Tensor, " b"], side: int) -> Float[Tensor, "b 1 side side"]:
    """Grey noise, each the pixels from `where` (in [0, 1)) on of one fixed strip: cheaper than drawing every pixel."""
    cells = side * side
    strip = torch.rand(2 * cells, generator=torch.Generator().manual_seed(0)).to(where.device)
    start = (where * cells).long()
    return strip[start[:, None] + torch.arange(cells, device=where.device)].view(-1, 1, side, side)


def worth_computing(on: Bool[Tensor, " b"]) -> Int[Tensor, " k"]:
    """Positions to compute: those that are `on`; on a GPU all, which costs less than waiting to learn which."""
    return torch.arange(len(on), device=on.device) if on.is_cuda else on.nonzero()[:, 0]


def between(draw: Tensor, low: float, high: float) -> Tensor:
    """Uniform numbers in [0, 1) as such in [low, high)."""
    return low + (high - low) * draw


def per_face(values: Tensor) -> Tensor:
    """One value a face, ready to be combined with a batch of pictures."""
    return values[:, None, None, None]
