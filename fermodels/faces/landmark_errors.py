"""How far landmarks are off, and whether their confidence means what it says.

The error is a share of the distance between the outer eye corners (inter-ocular NME, as 300-W reports it; 0.05 is five
hundredths of it). A confidence is calibrated when, of the points that get 0.8, eight in ten are visible.
"""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from fermodels.faces.landmark_base import EYE_CORNERS, FacePoints

BINS = 10


class Bin(NamedTuple):
    """Points whose confidence lies within a tenth."""

    points: int
    confidence: float
    """Their mean confidence."""
    visible: float
    """The share of them that is visible."""


def point_errors(found: Float[np.ndarray, "n 68 2"], true: Float[np.ndarray, "n 68 2"]) -> Float[np.ndarray, "n 68"]:
    """Distance of every point from the true one, over the distance between the true outer eye corners.

    Both in one frame with equal units along x and y: pixels, or shares of a square.
    """
    left, right = EYE_CORNERS
    unit = np.linalg.norm(true[:, left] - true[:, right], axis=-1)
    return np.linalg.norm(found - true, axis=-1) / unit[:, None]


def nme(found: Float[np.ndarray, "n 68 2"], true: Float[np.ndarray, "n 68 2"]) -> float:
    """Mean of `point_errors` over points and faces."""
    return float(point_errors(found, true).mean())


def reliability(confidence: Float[np.ndarray, " m"], visible: Bool[np.ndarray, " m"]) -> tuple[Bin | None, ...]:
    """Ten bins of equal width over [0, 1]; None where no confidence falls into one."""
    place = np.minimum((confidence * BINS).astype(np.int64), BINS - 1)
    chosen = [place == number for number in range(BINS)]
    return tuple(
        Bin(int(rows.sum()), float(confidence[rows].mean()), float(visible[rows].mean())) if rows.any() else None
        for rows in chosen
    )


def ece(confidence: Float[np.ndarray, " m"], visible: Bool[np.ndarray, " m"]) -> float:
    """Expected calibration error: mean distance of confidence and share visible over the bins, weighted by points."""
    bins = [one for one in reliability(confidence, visible) if one is not None]
    return sum(one.points * abs(one.confidence - one.visible) for one in bins) / len(confidence)


def separation(confidence: Float[np.ndarray, " m"], visible: Bool[np.ndarray, " m"]) -> float:
    """The probability that a visible point has more confidence than a hidden one (area under the ROC curve)."""
    seen, hidden = confidence[visible], np.sort(confidence[~visible])
    below, upto = np.searchsorted(hidden, seen, "left"), np.searchsorted(hidden, seen, "right")
    return float((below + upto).mean() / 2 / len(hidden))


def account(
    found: FacePoints, true: Float[np.ndarray, "n 68 2"], visible: Bool[np.ndarray, "n 68"]
) -> dict[str, float | list[Any]]:
    """All figures of one source on faces whose points are known (in the frame of `found`), rounded, by name."""
    errors, sure, seen = point_errors(found.points, true), found.confidence.ravel(), visible.ravel()
    figures = {
        "nme": errors.mean(),
        "nme_visible": errors[visible].mean(),
        "nme_hidden": errors[~visible].mean(),
        "nme_of_95_percent": np.quantile(errors.mean(1), 0.95),
        "ece": ece(sure, seen),
        "separation": separation(sure, seen),
    }
    bins = [one and [one.points, round(one.confidence, 3), round(one.visible, 3)] for one in reliability(sure, seen)]
    return {name: round(float(value), 4) for name, value in figures.items()} | {"reliability": bins}
