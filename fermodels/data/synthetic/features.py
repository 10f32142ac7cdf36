"""Eyes, brows, nose and mouth, painted through the landmarks; glasses and moustache.

Each function opens one tile per face, paints from back to front and closes it again.
"""

import numpy as np

from fermodels.data.synthetic.head import feature_light
from fermodels.data.synthetic.looks import Scene
from fermodels.data.synthetic.strokes import (
    Tile,
    between,
    close_tile,
    disc,
    glow,
    moved,
    open_tile,
    paint,
    per_face,
    ribbon,
    shade,
)
from fermodels.data.synthetic.wrinkles import around_eye, around_mouth, on_forehead, on_nose

_UPPER = ([36, 37, 38, 39], [42, 43, 44, 45])
_LOWER = ([36, 41, 40, 39], [42, 47, 46, 45])
_BROW = ([17, 18, 19, 20, 21], [22, 23, 24, 25, 26])


def _colour(red: float, green: float, blue: float) -> np.ndarray:
    return np.array([[red, green, blue]], np.float32)


def _lit(scene: Scene, place: np.ndarray, colour: np.ndarray) -> np.ndarray:
    return np.clip(colour * (0.25 + 0.75 * np.minimum(feature_light(scene, place), 1.05))[:, None], 0, 1)


def paint_eye(scene: Scene, image: np.ndarray, right: bool) -> None:
    """One eye with its brow, lids and the skin around them."""
    points, look = scene.shape.landmarks, scene.look
    upper, lower, brow = points[:, _UPPER[right]], points[:, _LOWER[right]], points[:, _BROW[right]]
    middle = points[:, [*_UPPER[right], *_LOWER[right]]].mean(1)
    around_eye(scene, image, middle, right)
    tile = open_tile(image, moved(middle, 0, -0.02), 0.32, 0.24)
    up = brow.mean(1) - middle
    shade(tile, 0.17 * glow(tile, middle + 0.25 * up, 0.10, 0.06))

    opening = between(tile, upper, lower, (3, 3))
    paint(tile, opening, _lit(scene, middle, _colour(0.97, 0.95, 0.93)))
    wide = np.sqrt(((upper[:, -1] - upper[:, 0]) ** 2).sum(1))
    gaze = np.stack([0.16 * look.gaze_x * wide + 0.08 * np.sin(scene.pose.yaw), 0.12 * look.gaze_y * wide], 1)
    iris = 0.5 * (upper[:, 0] + upper[:, -1]) - np.array([0, 0.008], np.float32) + gaze
    radius = 0.036 * scene.pose.scale * np.sqrt(scene.who.eye_size)
    paint(tile, disc(tile, iris, radius, radius) * opening, _lit(scene, middle, look.iris))
    paint(tile, disc(tile, iris, 0.5 * radius, 0.5 * radius) * opening, _colour(0.04, 0.03, 0.03))
    glint = iris + np.stack([0.012 * np.sign(look.light_x + 1e-9), np.full(len(iris), -0.012)], 1)
    paint(tile, 0.8 * disc(tile, glint.astype(np.float32), 0.009, 0.009) * opening, _colour(1, 1, 1))
    shade(tile, 0.45 * ribbon(tile, upper + np.array([0, 0.010], np.float32), 0.018, degree=3) * opening)
    lash = _lit(scene, middle, look.hair * 0.25 + 0.04)
    paint(tile, 0.92 * ribbon(tile, upper, 0.015 * scene.pose.scale, degree=3), lash)
    shade(tile, 0.40 * ribbon(tile, lower, 0.009, degree=3))
    crease = upper + 0.22 * up[:, None] * np.array([0.6, 1, 1, 0.6], np.float32)[:, None]
    shade(tile, 0.30 * ribbon(tile, crease, 0.010, degree=3))
    close_tile(image, tile)

    tile = open_tile(image, brow.mean(1), 0.32, 0.18)
    ends = (1.1, 0.5) if right else (0.5, 1.1)
    hairs = _lit(scene, middle, look.hair * 0.62)
    paint(tile, 0.88 * ribbon(tile, brow, look.brow * scene.pose.scale, ends=ends, degree=3), hairs)
    close_tile(image, tile)


def paint_nose(scene: Scene, image: np.ndarray) -> None:
    """Bridge and tip by light and shadow, wings and nostrils."""
    on_nose(scene, image)
    points, look = scene.shape.landmarks, scene.look
    tip, base = points[:, 30], points[:, 33]
    tile = open_tile(image, points[:, 28] * 0.35 + tip * 0.65, 0.30, 0.42)
    bridge = points[:, 27:31]
    side = np.where(look.light_x >= 0, -1, 1) * (0.4 + np.abs(look.light_x))
    away = np.stack([0.036 * side, np.zeros(len(side))], 1).astype(np.float32)[:, None]
    strength = per_face(0.16 + 0.22 * np.abs(look.light_x))
    shade(tile, strength * ribbon(tile, bridge + away, 0.045, ends=(0.5, 1.3)))
    shade(tile, -0.11 * ribbon(tile, bridge - 0.2 * away, 0.036, ends=(0.6, 1.1)))
    shade(tile, -0.14 * glow(tile, tip, 0.035, 0.03))
    shade(tile, 0.30 * glow(tile, moved(base, 0, 0.022), 0.075, 0.022))
    for wing, hole, outward in ((31, 32, -1), (35, 34, 1)):
        nostril = 0.35 * points[:, wing] + 0.65 * points[:, hole]
        shade(tile, 0.80 * disc(tile, nostril, 0.020 * scene.who.nose_width, 0.0115))
        edge = points[:, wing]
        arc = np.stack(
            [moved(edge, outward * 0.004, -0.045), moved(edge, outward * 0.016, -0.015), moved(edge, 0, 0.008)], 1
        )
        # The arc is drawn from top to bottom; its chord is nearly vertical, which the frame allows.
        shade(tile, 0.38 * ribbon(tile, arc.astype(np.float32), 0.013))
    close_tile(image, tile)


def _moustache(scene: Scene, tile: Tile) -> None:
    if not scene.look.moustache.any():
        return
    points = scene.shape.landmarks
    middle = 0.42 * points[:, 33] + 0.58 * points[:, 51]
    ends = points[:, [48, 54]] * 0.8 + middle[:, None] * 0.2
    left = np.stack([ends[:, 0], (0.45 * ends[:, 0] + 0.55 * middle) - (0, 0.012), middle], 1).astype(np.float32)
    right = np.stack([middle, (0.45 * ends[:, 1] + 0.55 * middle) - (0, 0.012), ends[:, 1]], 1).astype(np.float32)
    both = np.maximum(ribbon(tile, left, 0.048, ends=(0.3, 1.1)), ribbon(tile, right, 0.048, ends=(1.1, 0.3)))
    paint(tile, both * per_face(scene.look.moustache), scene.look.hair * 0.85)


def paint_mouth(scene: Scene, image: np.ndarray) -> None:
    """Lips, and what an open mouth shows: teeth, tongue, darkness."""
    points, look = scene.shape.landmarks, scene.look
    outer_top, outer_low = points[:, 48:55], points[:, [48, 59, 58, 57, 56, 55, 54]]
    inner_top, inner_low = points[:, 60:65], points[:, [60, 67, 66, 65, 64]]
    middle = points[:, 48:60].mean(1)
    around_mouth(scene, image)
    tile = open_tile(image, middle, 0.50, 0.34)
    shade(tile, 0.26 * glow(tile, moved(points[:, 57], 0, 0.035), 0.085, 0.022))
    _moustache(scene, tile)
    red = np.array([0.72, 0.20, 0.24], np.float32) * look.lipstick[:, None] * 0.75
    lips = look.skin * np.array([0.80, 0.56, 0.54], np.float32) * (1 - 0.75 * look.lipstick[:, None]) + red
    light = feature_light(scene, middle)[:, None]
    lip_light = 0.35 + 0.65 * np.minimum(light, 1.1)
    paint(tile, 0.92 * between(tile, outer_top, inner_top, (4, 4)), lips * lip_light * 0.88)
    paint(tile, 0.92 * between(tile, inner_low, outer_low, (4, 4)), lips * lip_light * 1.04)
    shade(tile, -0.16 * glow(tile, 0.5 * (points[:, 57] + points[:, 66]), 0.05, 0.012))

    hollow = between(tile, inner_top, inner_low, (4, 4))
    gap = np.maximum(points[:, 66, 1] - points[:, 62, 1], 0)
    paint(tile, hollow, _colour(0.20, 0.06, 0.07) * (0.6 + 0.4 * light))
    tongue = points[:, 66] + np.stack([np.zeros(len(gap)), 0.012 - 0.1 * gap], 1).astype(np.float32)
    tongue_alpha = disc(tile, tongue, 0.075, 0.012 + 0.22 * gap) * hollow
    paint(tile, 0.85 * tongue_alpha * per_face(np.clip(gap / 0.05 - 0.8, 0, 1)), _colour(0.70, 0.32, 0.34) * lip_light)
    teeth = inner_top.copy()
    teeth[:, 1:-1, 1] += (np.minimum(0.62 * gap, 0.034))[:, None]
    bite = between(tile, inner_top, teeth, (4, 4)) * hollow * per_face(np.clip((gap - 0.008) / 0.012, 0, 1))
    paint(tile, bite, _lit(scene, middle, _colour(0.98, 0.96, 0.92)))
    line = 0.5 * (inner_top + inner_low)
    line[:, [0, -1]] = points[:, [48, 54]]
    shut = per_face(np.clip(1 - gap / 0.022, 0, 1))
    shade(tile, 0.75 * shut * ribbon(tile, line, 0.014, degree=4))
    for corner in (48, 54):
        shade(tile, 0.35 * glow(tile, points[:, corner], 0.016, 0.016))
    close_tile(image, tile)


def paint_glasses(scene: Scene, image: np.ndarray) -> None:
    """Frames around both eyes, a bridge and temples; the eyes stay visible."""
    rows = np.flatnonzero(scene.look.glasses)
    if len(rows) == 0:
        return
    points, look = scene.shape.landmarks[rows], scene.look
    eyes = [points[:, 36:42].mean(1), points[:, 42:48].mean(1)]
    tile = open_tile(image, 0.5 * (eyes[0] + eyes[1]), 0.94, 0.34, rows)
    scale = scene.pose.scale[rows]
    wide = 0.118 * scale * np.cos(scene.pose.yaw[rows])
    tall = np.where(look.glasses_round[rows], 0.105, 0.080).astype(np.float32) * scale
    alpha = np.zeros(tile.pixels[0].shape, np.float32)
    lens = np.zeros_like(alpha)
    for eye in eyes:
        middle = moved(eye, 0, 0.012)
        inside = disc(tile, middle, wide - 0.008, tall - 0.008)
        alpha = np.maximum(alpha, disc(tile, middle, wide + 0.008, tall + 0.008) - inside)
        lens = np.maximum(lens, inside * glow(tile, moved(middle, -0.05, -0.05), 0.05, 0.05))
    edge = [eyes[0] + np.stack([wide, 0 * wide], 1), eyes[1] - np.stack([wide, 0 * wide], 1)]
    span = np.stack([edge[0], 0.5 * (edge[0] + edge[1]) - (0, 0.012), edge[1]], 1).astype(np.float32)
    alpha = np.maximum(alpha, ribbon(tile, span, 0.014))
    for eye, ear, outward in ((eyes[0], 0, -1), (eyes[1], 16, 1)):
        temple = np.stack([eye + np.stack([outward * wide, 0 * wide], 1), points[:, ear]], 1).astype(np.float32)
        alpha = np.maximum(alpha, ribbon(tile, temple if outward > 0 else temple[:, ::-1], 0.013, degree=1))
    shade(tile, -0.22 * lens)
    paint(tile, alpha, look.frames[rows])
    close_tile(image, tile)


def paint_features(scene: Scene, image: np.ndarray) -> None:
    """All features, in place, on (n, 3, size, size) colours."""
    on_forehead(scene, image)
    paint_nose(scene, image)
    paint_mouth(scene, image)
    paint_eye(scene, image, right=False)
    paint_eye(scene, image, right=True)
    paint_glasses(scene, image)
