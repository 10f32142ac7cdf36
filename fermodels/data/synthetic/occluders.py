"""Things in front of a face, on request: a card, a hand, sunglasses, a surgical mask.

An occluder is a signed distance (negative inside) in the upright frame of its face; the picture and the
landmarks' visibility ask the same function, so a point is hidden exactly when its place is covered.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float32

from fermodels.data.synthetic.chance import Chance
from fermodels.data.synthetic.looks import Scene

KINDS = ("card", "hand", "sunglasses", "mask")


class Occluder(NamedTuple):
    """One a face; kind -1 is none. Lengths in shares of the image side, upright frame."""

    kind: np.ndarray
    x: np.ndarray
    y: np.ndarray
    width: np.ndarray
    height: np.ndarray
    turn: np.ndarray
    colour: np.ndarray


_HIDES = np.array([(0.2, 0.3, 0.5), (0.9, 0.88, 0.82), (0.5, 0.15, 0.15), (0.1, 0.1, 0.12)], np.float32)
MASKS = np.array([(0.55, 0.75, 0.86), (0.92, 0.94, 0.95), (0.12, 0.12, 0.14)], np.float32)
HANDS = np.array([(0.95, 0.78, 0.67), (0.80, 0.58, 0.44), (0.42, 0.28, 0.20)], np.float32)


def draw_occluder(chance: Chance, share: float) -> Occluder:
    """`share` of the faces get one of the four kinds."""
    kind = np.where(chance.happens("occluded", share), chance.choice("occluder", len(KINDS)), -1)
    colours = [chance.colour(name, palette, 0.05) for name, palette in (("card", _HIDES), ("hand", HANDS))]
    colours += [np.full((len(chance), 3), 0.05, np.float32), chance.colour("mask", MASKS, 0.02)]
    return Occluder(
        kind=kind,
        x=chance.uniform("occluder.x", -0.28, 0.28),
        y=chance.uniform("occluder.y", -0.25, 0.35),
        width=chance.uniform("occluder.width", 0.09, 0.20),
        height=chance.uniform("occluder.height", 0.09, 0.20),
        turn=chance.uniform("occluder.turn", -0.8, 0.8),
        colour=np.stack(colours, 1)[np.arange(len(chance)), np.maximum(kind, 0)],
    )


def _rounded_box(
    x: np.ndarray, y: np.ndarray, half_w: float | np.ndarray, half_h: float | np.ndarray, corner: float
) -> np.ndarray:
    dx, dy = np.abs(x) - half_w + corner, np.abs(y) - half_h + corner
    return np.hypot(np.maximum(dx, 0), np.maximum(dy, 0)) + np.minimum(np.maximum(dx, dy), 0) - corner


def _capsule(x: np.ndarray, y: np.ndarray, end_x: float, end_y: float, radius: float) -> np.ndarray:
    """Distance to the segment from the origin to the end, less the radius."""
    along = np.clip((x * end_x + y * end_y) / (end_x**2 + end_y**2), 0, 1)
    return np.hypot(x - along * end_x, y - along * end_y) - radius


_FINGERS = ((-0.105, -0.13, -0.065), (-0.04, -0.19, -0.025), (0.03, -0.185, 0.02), (0.10, -0.13, 0.06))
"""Tip (x, y) and where the finger leaves the palm."""


def hand(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Signed distance to an upright hand with its arm, the knuckles near the origin; shares of the face's frame."""
    palm = np.hypot(x, (y - 0.10) / 1.15) - 0.105
    for tip_x, tip_y, root in _FINGERS:
        palm = np.minimum(palm, _capsule(x - root, y - 0.04, tip_x - root, tip_y - 0.04, 0.030))
    arm = _rounded_box(x, y - 0.45, 0.075, 0.30, 0.02)
    return np.minimum(np.minimum(palm, arm), _capsule(x - 0.05, y - 0.12, 0.115, -0.07, 0.030))


def sunglasses(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Signed distance to sunglasses around the middle between eyes that are 0.31 apart."""
    lenses = _rounded_box(np.abs(x) - 0.155, y, 0.125, 0.078, 0.06)
    bridge = _rounded_box(x, y + 0.02, 0.06, 0.012, 0.005)
    temples = _rounded_box(np.abs(x) - 0.32, y + 0.025, 0.07, 0.012, 0.005)
    return np.minimum(np.minimum(lenses, bridge), temples)


def _surgical(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    half_w = 0.285 - 0.10 * np.clip(y / 0.2, 0, 1) ** 2
    sheet = _rounded_box(x, y, half_w, 0.195, 0.06)
    rise = np.abs(y + 0.14 + 0.25 * (np.abs(x) - 0.26)) - 0.009
    return np.minimum(sheet, np.maximum(rise, np.maximum(0.26 - np.abs(x), np.abs(x) - 0.35)))


def distance(
    scene: Scene, thing: Occluder, x: Float32[np.ndarray, "n m"], y: Float32[np.ndarray, "n m"]
) -> Float32[np.ndarray, "n m"]:
    """Signed distance from picture points (x, y) to the occluder; +1 where a face has none."""
    pose = scene.pose
    cos, sin = (np.cos(pose.roll) / pose.scale)[:, None], (np.sin(pose.roll) / pose.scale)[:, None]
    dx, dy = x - 0.5 - pose.shift_x[:, None], y - 0.5 - pose.shift_y[:, None]
    u, v = dx * cos + dy * sin, dy * cos - dx * sin
    out = np.ones(x.shape, np.float32)
    swing = 0.12 * np.sin(pose.yaw)
    for number, kind in enumerate(KINDS):
        rows = np.flatnonzero(thing.kind == number)
        if len(rows) == 0:
            continue
        a, b = u[rows], v[rows]
        if kind in ("card", "hand"):
            a, b = a - thing.x[rows, None], b - thing.y[rows, None]
            turn = thing.turn[rows, None]
            a, b = a * np.cos(turn) + b * np.sin(turn), b * np.cos(turn) - a * np.sin(turn)
        if kind == "card":
            found = _rounded_box(a, b, thing.width[rows, None], thing.height[rows, None], 0.01)
        elif kind == "hand":
            found = hand(a, b)
        elif kind == "sunglasses":
            found = sunglasses(a - swing[rows, None], b + 0.105)
        else:
            found = _surgical(a - swing[rows, None], b - 0.245)
        out[rows] = found
    return out


def paint_occluders(scene: Scene, thing: Occluder, image: Float32[np.ndarray, "n 3 s s"]) -> None:
    """Covers the (n, 3, s, s) colours in place, lit from above, with a thin dark rim."""
    rows = np.flatnonzero(thing.kind >= 0)
    if len(rows) == 0:
        return
    size = image.shape[-1]
    centres = ((np.arange(size) + 0.5) / size).astype(np.float32)
    x, y = (np.tile(value.ravel(), (len(image), 1)) for value in np.meshgrid(centres, centres))
    signed = distance(scene, thing, x, y)[rows].reshape(-1, size, size)
    alpha = np.clip(0.5 - signed * size / 1.2, 0, 1)[:, None]
    light = (1.05 - 0.30 * y[0].reshape(size, size)) * np.clip(0.72 - signed / 0.05, 0.72, 1)
    image[rows] += alpha * (thing.colour[rows, :, None, None] * light[:, None] - image[rows])


def hidden(scene: Scene, thing: Occluder) -> np.ndarray:
    """(n, 68) bool: landmarks that lie under the occluder."""
    points = scene.shape.landmarks
    return distance(scene, thing, points[..., 0], points[..., 1]) < 0
