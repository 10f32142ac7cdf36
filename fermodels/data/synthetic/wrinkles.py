"""Creases that muscles make: across the forehead, between the brows, beside eyes, nose and mouth.

Each crease darkens the skin by an amount that follows its action units, with a base that grows with age.
"""

import numpy as np

from fermodels.data.synthetic.looks import Scene
from fermodels.data.synthetic.strokes import band, close_tile, glow, moved, open_tile, per_face, shade


def _arc(*points: np.ndarray) -> np.ndarray:
    return np.stack(points, axis=1).astype(np.float32)


def _creases(image: np.ndarray, box: tuple[float, float], lines: list[tuple[np.ndarray, np.ndarray, float]]) -> None:
    """Dark lines, each (points, strength, width) in a soft shadow, within a tile of `box` around their middle.

    Faces on which none of them shows are left alone.
    """
    rows = np.flatnonzero(np.max([strength for _, strength, _ in lines], axis=0) > 0.02)
    if len(rows) == 0:
        return
    middle = np.mean([points[rows].mean(1) for points, _, _ in lines], axis=0)
    tile = open_tile(image, middle, *box, rows)
    for points, strength, width in lines:
        near = band(tile, points[rows])
        ink = np.float32(0.52) * near.line(width) + np.float32(0.13) * near.line(3.2 * width)
        shade(tile, per_face(np.clip(strength[rows], 0, 1)) * ink)
    close_tile(image, tile)


def on_forehead(scene: Scene, image: np.ndarray) -> None:
    """Lines across (AU1, AU2: raised brows) and between the brows (AU4)."""
    points, age, act = scene.shape.landmarks, scene.look.age, scene.actions
    ends = points[:, [18, 25]] * 0.7 + points[:, [20, 23]] * 0.3
    strength = 0.45 * act.mean("AU1") + 0.45 * act.mean("AU2") + 0.25 * age
    across = []
    for lift, share in ((0.036, 1.0), (0.066, 0.8)):
        up = np.array([0, -lift], np.float32)
        line = _arc(ends[:, 0] + up, points[:, [20, 23]].mean(1) + up * 1.1, ends[:, 1] + up)
        across.append((line, share * strength, 0.010))
    _creases(image, (0.46, 0.16), across)
    brow, root = points[:, [21, 22]].mean(1), points[:, 27]
    down = []
    for side in (-1, 1):
        top = moved(0.85 * brow + 0.15 * root, side * 0.022, -0.035)
        end = moved(0.45 * brow + 0.55 * root, side * 0.017, -0.004)
        down.append(
            (_arc(top, moved(0.5 * (top + end), side * -0.004, 0), end), 0.95 * act.mean("AU4") + 0.2 * age, 0.012)
        )
    _creases(image, (0.14, 0.19), down)


def around_eye(scene: Scene, image: np.ndarray, middle: np.ndarray, right: bool) -> None:
    """Crow's feet and the raised cheek (AU6), the bag under a tightened lid (AU7)."""
    points, age, act = scene.shape.landmarks, scene.look.age, scene.actions
    outward = 1 if right else -1
    corner = points[:, 45 if right else 36]
    cheek, tight = act.side("AU6", right), act.side("AU7", right)
    feet = []
    for rise in (-0.026, 0.002, 0.030):
        ends = (moved(corner, outward * 0.020, rise * 0.5), moved(corner, outward * 0.065, rise * 1.5))
        first, last = ends if right else ends[::-1]
        feet.append((_arc(first, moved(0.5 * (first + last), 0, 0.003), last), 0.8 * cheek + 0.3 * age - 0.08, 0.009))
    _creases(image, (0.10, 0.15), feet)
    bag = _arc(*(moved(middle, dx, dy) for dx, dy in ((-0.075, 0.040), (0, 0.058), (0.075, 0.040))))
    _creases(image, (0.21, 0.09), [(bag, 0.55 * cheek + 0.4 * tight + 0.35 * age + 0.1, 0.011)])
    round_cheek = moved(middle, outward * 0.02, 0.11)
    tile = open_tile(image, round_cheek, 0.20, 0.12)
    shade(tile, per_face(-0.10 * cheek) * glow(tile, round_cheek, 0.07, 0.035))
    close_tile(image, tile)


def on_nose(scene: Scene, image: np.ndarray) -> None:
    """Wrinkles across the bridge (AU9)."""
    points = scene.shape.landmarks
    root, mid = points[:, 27], points[:, 28]
    lines = []
    for share in (0.0, 0.5, 1.0):
        place = root * (1 - share) + mid * share
        across = _arc(moved(place, -0.042, 0.014), moved(place, 0, -0.002), moved(place, 0.042, 0.014))
        lines.append((across, 0.95 * scene.actions.mean("AU9") - 0.1, 0.011))
    _creases(image, (0.14, 0.15), lines)


def around_mouth(scene: Scene, image: np.ndarray) -> None:
    """The nasolabial folds (AU12, AU10, AU9), the corners (AU15) and the chin's dimple (AU17)."""
    points, age, act = scene.shape.landmarks, scene.look.age, scene.actions
    for wing, corner, outward, right in ((31, 48, -1, False), (35, 54, 1, True)):
        start, end = moved(points[:, wing], outward * 0.026, -0.012), moved(points[:, corner], outward * 0.040, -0.004)
        bow = moved(0.5 * (start + end), outward * 0.020, -0.010)
        fold = 0.75 * act.side("AU12", right) + 0.6 * act.side("AU10", right) + 0.6 * act.side("AU9", right)
        _creases(image, (0.20, 0.24), [(_arc(start, bow, end), fold + 0.45 * age + 0.06, 0.013)])
        steps = ((0.006, 0.004), (0.018, 0.024), (0.022, 0.046))
        down = _arc(*(moved(points[:, corner], outward * dx, dy) for dx, dy in steps))
        _creases(image, (0.10, 0.10), [(down, 0.8 * act.side("AU15", right) + 0.3 * age - 0.05, 0.011)])
    chin = 0.5 * (points[:, 57] + points[:, 8])
    bump = _arc(moved(chin, -0.05, 0.0), moved(chin, 0, -0.022), moved(chin, 0.05, 0.0))
    _creases(image, (0.15, 0.09), [(bump, 0.8 * act.mean("AU17") + 0.1, 0.012)])
