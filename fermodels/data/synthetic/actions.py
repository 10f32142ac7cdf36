"""Facial action units: what each muscle does to the 68 points, and which of them make an expression.

After Ekman and Friesen's Facial Action Coding System: an expression is a recipe of units, each with a
probability and a strength. People follow recipes loosely, and so do these: a unit may be missing, weak,
one-sided, or borrowed from another expression, which is why the classes overlap.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Int64

from fermodels.data.synthetic.chance import Chance

Move = tuple[int, float, float]
"""(point on the left of the picture, outward, down), as a share of the image side at full intensity."""

UNITS: dict[str, tuple[Move, ...]] = {
    "AU1": ((21, 0, -0.060), (20, 0, -0.048), (19, 0, -0.024), (18, 0, -0.006)),
    "AU2": ((17, 0, -0.034), (18, 0, -0.056), (19, 0, -0.048), (20, 0, -0.022), (21, 0, -0.006)),
    "AU4": ((21, -0.020, 0.050), (20, -0.016, 0.046), (19, -0.008, 0.032), (18, 0, 0.016), (17, 0, 0.004)),
    "AU5": ((37, 0, -0.026), (38, 0, -0.026), (40, 0, 0.005), (41, 0, 0.005)),
    "AU6": ((40, 0, -0.016), (41, 0, -0.016), (37, 0, 0.008), (38, 0, 0.006), (17, 0, 0.006)),
    "AU7": ((40, 0, -0.013), (41, 0, -0.013), (37, 0, 0.013), (38, 0, 0.013)),
    "AU9": (
        *((31, 0.006, -0.026), (32, 0.002, -0.024), (33, 0, -0.022), (30, 0, -0.014), (21, -0.010, 0.026)),
        *((20, -0.008, 0.022), (50, 0, -0.024), (51, 0, -0.022), (49, 0, -0.014), (40, 0, -0.008), (41, 0, -0.008)),
        *((37, 0, 0.010), (38, 0, 0.010), (61, 0, -0.012), (62, 0, -0.012)),
    ),
    "AU10": ((50, 0, -0.034), (49, 0.002, -0.030), (51, 0, -0.026), (61, 0, -0.026), (62, 0, -0.024), (31, 0, -0.008)),
    "AU12": (
        *((48, 0.050, -0.056), (60, 0.046, -0.050), (49, 0.028, -0.026), (59, 0.034, -0.026), (50, 0.010, -0.002)),
        *((58, 0.014, -0.004), (61, 0.016, -0.010), (67, 0.016, -0.008), (51, 0, 0.004), (4, 0.006, 0), (5, 0.006, 0)),
    ),
    "AU15": (
        *((48, -0.002, 0.046), (60, -0.002, 0.040), (49, 0, 0.018), (59, 0, 0.026), (58, 0, 0.006)),
        *((61, 0, 0.008), (67, 0, 0.009)),
    ),
    "AU16": ((57, 0, 0.022), (58, 0, 0.024), (59, 0, 0.014), (66, 0, 0.022), (67, 0, 0.022)),
    "AU17": (
        *((57, 0, -0.016), (58, 0, -0.014), (66, 0, -0.014), (67, 0, -0.012), (62, 0, -0.012), (61, 0, -0.010)),
        *((51, 0, -0.010), (50, 0, -0.010), (8, 0, -0.012), (7, 0, -0.010)),
    ),
    "AU20": (
        *((48, 0.050, 0.012), (60, 0.046, 0.012), (49, 0.026, 0.008), (59, 0.028, 0.002), (50, 0.010, 0.006)),
        *((58, 0.012, -0.004), (61, 0.018, 0.002), (67, 0.018, 0.002)),
    ),
    "AU23": (
        *((48, -0.026, 0), (60, -0.024, 0), (49, -0.014, 0.008), (50, -0.004, 0.012), (51, 0, 0.010)),
        *((57, 0, -0.014), (58, -0.006, -0.013), (59, -0.014, -0.010)),
    ),
    "AU25": (
        *((66, 0, 0.020), (67, 0, 0.018), (57, 0, 0.018), (58, 0, 0.016), (59, 0, 0.008), (62, 0, -0.008)),
        *((61, 0, -0.007), (51, 0, -0.006), (50, 0, -0.006)),
    ),
    "AU26": (
        *((66, 0, 0.090), (67, 0, 0.080), (57, 0, 0.088), (58, 0, 0.082), (59, -0.004, 0.052), (48, -0.016, 0.022)),
        *((60, -0.014, 0.024), (49, -0.006, 0), (8, 0, 0.055), (7, 0, 0.054), (6, 0, 0.046), (5, 0, 0.030)),
        *((4, 0, 0.014), (3, 0, 0.005)),
    ),
    "AU43": ((37, 0, 0.030), (38, 0, 0.030), (40, 0, 0.002), (41, 0, 0.002)),
}

RECIPES: dict[str, dict[str, tuple[float, float]]] = {
    "anger": {
        "AU4": (0.95, 0.95),
        "AU7": (0.80, 0.70),
        "AU5": (0.40, 0.40),
        "AU23": (0.75, 0.85),
        "AU17": (0.35, 0.6),
        "AU25": (0.25, 0.60),
        "AU16": (0.20, 0.50),
        "AU10": (0.15, 0.40),
    },
    "disgust": {
        "AU9": (0.92, 0.95),
        "AU10": (0.65, 0.75),
        "AU15": (0.50, 0.50),
        "AU16": (0.45, 0.60),
        "AU4": (0.40, 0.40),
        "AU7": (0.50, 0.50),
        "AU25": (0.40, 0.50),
        "AU17": (0.20, 0.40),
    },
    "fear": {
        "AU1": (0.92, 0.90),
        "AU2": (0.60, 0.55),
        "AU4": (0.75, 0.55),
        "AU5": (0.90, 0.95),
        "AU20": (0.85, 0.90),
        "AU25": (0.75, 0.80),
        "AU26": (0.45, 0.40),
    },
    "happiness": {
        "AU12": (0.98, 0.95),
        "AU6": (0.80, 0.85),
        "AU25": (0.60, 0.90),
        "AU26": (0.25, 0.35),
        "AU1": (0.10, 0.40),
        "AU2": (0.10, 0.40),
        "AU7": (0.15, 0.40),
    },
    "sadness": {
        "AU1": (0.88, 0.90),
        "AU4": (0.65, 0.45),
        "AU15": (0.88, 0.90),
        "AU17": (0.45, 0.60),
        "AU43": (0.50, 0.50),
        "AU25": (0.08, 0.40),
    },
    "surprise": {
        "AU1": (0.92, 0.90),
        "AU2": (0.92, 0.90),
        "AU5": (0.80, 0.80),
        "AU26": (0.88, 0.90),
        "AU25": (0.80, 0.60),
    },
    "neutral": {},
}
"""expression -> action unit -> (probability that it shows, strength at full intensity)."""

CANONICAL = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")
"""The class order of the labels; equal to `fermodels.EXPRESSIONS`, without importing the networks."""

MIRROR = np.array(
    [
        *(*range(16, -1, -1), *range(26, 16, -1), *range(27, 31), *range(35, 30, -1)),
        *(*range(45, 41, -1), 47, 46, *range(39, 35, -1), 41, 40),
        *(*range(54, 47, -1), *range(59, 54, -1), *range(64, 59, -1), 67, 66, 65),
    ]
)
"""Point i of a face is point MIRROR[i] of its mirror image (iBUG-68)."""


class Actions(NamedTuple):
    """Intensities in [0, about 1.2] of all `UNITS` on the left and right half of the picture."""

    left: Float32[np.ndarray, "n units"]
    right: Float32[np.ndarray, "n units"]

    def mean(self, unit: str) -> Float32[np.ndarray, " n"]:
        column = list(UNITS).index(unit)
        return (self.left[:, column] + self.right[:, column]) / 2

    def side(self, unit: str, right: bool) -> Float32[np.ndarray, " n"]:
        return (self.right if right else self.left)[:, list(UNITS).index(unit)]


def actions_of(count: int = 1, /, **intensity: float) -> Actions:
    """The same intensities (AU12=1.0, ...) for `count` faces, symmetric; every other unit at rest."""
    row = np.array([intensity.get(unit, 0.0) for unit in UNITS], np.float32)
    both = np.repeat(row[None], count, axis=0)
    return Actions(left=both, right=both.copy())


def draw_labels(chance: Chance) -> Int64[np.ndarray, " n"]:
    return (chance.bits("label") % np.uint64(len(CANONICAL))).astype(np.int64)


def draw_actions(chance: Chance, labels: Int64[np.ndarray, " n"]) -> Actions:
    """Each face's units: its recipe at a drawn intensity, with gaps, strays and asymmetry."""
    level = chance.uniform("level", 0.42, 1.08)
    stray_level = np.where(chance.happens("strays", 0.5), 0.45, 0.22).astype(np.float32)
    left, right = [], []
    for unit in UNITS:
        recipe = np.array([RECIPES[name].get(unit, (0.0, 0.0)) for name in CANONICAL], np.float32)[labels]
        shows = chance.uniform(f"{unit}.shows") < recipe[:, 0]
        strength = shows * recipe[:, 1] * level * chance.uniform(f"{unit}.strength", 0.65, 1.2)
        stray = chance.happens(f"{unit}.stray", 0.14) * chance.uniform(f"{unit}.extra") * stray_level
        strength = np.maximum(strength, stray)
        lean = chance.normal(f"{unit}.lean", 0, 0.13)
        left.append(strength * (1 + lean))
        right.append(strength * (1 - lean))
    return Actions(left=np.stack(left, 1).astype(np.float32), right=np.stack(right, 1).astype(np.float32))


def _displacements() -> tuple[np.ndarray, np.ndarray]:
    """(units, 68 * 2) offsets of the half on the left and on the right; points on the midline take half of each."""
    left = np.zeros((len(UNITS), 68, 2), np.float32)
    for row, moves in enumerate(UNITS.values()):
        for point, outward, down in moves:
            middle = MIRROR[point] == point
            left[row, point] = (0 if middle else -outward, down / 2 if middle else down)
    right = left[:, MIRROR] * np.array([-1, 1], np.float32)
    return left.reshape(len(UNITS), -1), right.reshape(len(UNITS), -1)


_LEFT, _RIGHT = _displacements()


def offsets(actions: Actions) -> Float32[np.ndarray, "n 68 2"]:
    """How far the units move the 68 points of a frontal face (x right, y down, share of the image side)."""
    # One product per face: a single (n, units) product may round differently as n changes.
    moved = actions.left[:, None] @ _LEFT + actions.right[:, None] @ _RIGHT
    return moved.reshape(-1, 68, 2)
