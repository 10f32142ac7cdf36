"""Where the eyes and the mouth are, and which cells of the attention map a reliable landmark falls into.

Points and boxes are (x, y) as a share of the frame's side, origin at the upper left; a box is (x0, y0, x1, y1). They
move with the frame: `into_crop` and `mirrored` give them in the coordinates of a cropped and of a flipped face, so
the mask is recomputed after every augmentation (docs/papers.md, 1.8). iBUG-68 order.
"""

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

EYES = (*range(17, 27), *range(36, 48))
"""Brows and eyes: their bounding box is the eye region."""
MOUTH = tuple(range(48, 68))
MAIN_POINTS = (17, 19, 21, 22, 24, 26, *range(36, 48), 30, *range(48, 60))
"""The 31 main points behind the mask (eq 4): brows, eyes, nose tip, outer mouth; closed under mirroring."""
MARGIN = 0.2
"""Share of the box's own side added on each side."""
FALLBACK_BOXES = ((0.08, 0.18, 0.92, 0.52), (0.25, 0.62, 0.75, 0.92))
"""Eyes and mouth on an aligned face without landmarks."""
MEAN_MAIN_POINTS = (
    *((0.17, 0.29), (0.28, 0.25), (0.41, 0.28), (0.59, 0.28), (0.72, 0.25), (0.83, 0.29)),  # brows
    *((0.22, 0.39), (0.27, 0.36), (0.33, 0.36), (0.38, 0.40), (0.33, 0.41), (0.27, 0.41)),  # one eye
    *((0.62, 0.40), (0.67, 0.36), (0.73, 0.36), (0.78, 0.39), (0.73, 0.41), (0.67, 0.41)),  # the other eye
    (0.50, 0.58),  # nose tip
    *((0.33, 0.76), (0.39, 0.73), (0.46, 0.71), (0.50, 0.72), (0.54, 0.71), (0.61, 0.73), (0.67, 0.76)),  # upper lip
    *((0.61, 0.82), (0.55, 0.84), (0.50, 0.85), (0.45, 0.84), (0.39, 0.82)),  # lower lip
)
"""The main points of a mean aligned face, drawn by hand to sit in the fallback boxes: used where a set has none."""


def region_boxes(landmarks: Float[np.ndarray, "n 68 2"]) -> Float[np.ndarray, "n 2 4"]:
    """Eye and mouth boxes: bounding boxes of their points with `MARGIN`, in the frame of the points."""
    boxes = []
    for points in (EYES, MOUTH):
        low, high = landmarks[:, points].min(1), landmarks[:, points].max(1)
        margin = MARGIN * (high - low)
        boxes.append(np.concatenate((low - margin, high + margin), 1))
    return np.stack(boxes, 1).astype(np.float32)


def fallback_boxes(n: int) -> Float[np.ndarray, "n 2 4"]:
    """The same eye and mouth boxes for every one of `n` aligned faces."""
    return np.tile(np.asarray(FALLBACK_BOXES, np.float32), (n, 1, 1))


def into_crop(
    points: Float[Tensor, "b k xy"], corner: Float[Tensor, "b 2"], size: float | Tensor
) -> Float[Tensor, "b k xy"]:
    """Points or boxes (last axis alternating x, y) in the frame of a crop at `corner`, of side `size`, both shares."""
    repeats = points.shape[-1] // 2
    return (points - corner.repeat(1, repeats)[:, None]) / size


def mirrored(points: Float[Tensor, "b k xy"], flip: Bool[Tensor, " b"]) -> Float[Tensor, "b k xy"]:
    """Points or boxes after a horizontal flip of the frames where `flip` is true; a box keeps x0 < x1."""
    flipped = points.clone()
    if points.shape[-1] == 4:
        flipped[..., 0], flipped[..., 2] = 1 - points[..., 2], 1 - points[..., 0]
    else:
        flipped[..., 0] = 1 - points[..., 0]
    return torch.where(flip[:, None, None], flipped, points)


def mask_grid(
    points: Float[Tensor, "b k 2"], confidence: Float[Tensor, "b k"], *, side: int = 7, threshold: float = 0.5
) -> Float[Tensor, "b 1 side side"]:
    """f_M of eq 4 and 5: 1 in every cell that holds a point of confidence >= `threshold`, 0 elsewhere.

    Points outside the frame are dropped. A face without any reliable point has an all-zero grid: the mask loss
    leaves it out.
    """
    cell = (points * side).floor().long()
    inside = ((cell >= 0) & (cell < side)).all(-1)
    reliable = inside & (confidence >= threshold)
    index = (cell[..., 1] * side + cell[..., 0]).clamp(0, side * side - 1)
    grid = torch.zeros(len(points), side * side, device=points.device)
    return grid.scatter_reduce(1, index, reliable.float(), "amax").view(-1, 1, side, side)
