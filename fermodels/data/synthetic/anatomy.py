"""The shape of a head: 68 points with depth, bent by identity and action units, turned and projected.

Frames: *face* = share of the image side, origin between the eyes and the mouth, x right, y down, z towards
the viewer; *upright* = projected but before roll, scale and shift; *picture* = share of the image side,
origin at the upper left corner. Landmarks are returned in the picture's frame.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float32

from fermodels.data.synthetic.actions import MIRROR, Actions, offsets
from fermodels.data.synthetic.chance import Chance

_LEFT_HALF = {
    **{0: (-0.350, -0.09, -0.21), 1: (-0.348, 0.00, -0.195), 2: (-0.340, 0.09, -0.17), 3: (-0.322, 0.175, -0.135)},
    **{4: (-0.287, 0.252, -0.09), 5: (-0.232, 0.32, -0.05), 6: (-0.163, 0.375, -0.01), 7: (-0.085, 0.41, 0.01)},
    **{8: (0, 0.422, 0.02), 17: (-0.278, -0.195, -0.06), 18: (-0.235, -0.232, 0.0), 19: (-0.180, -0.243, 0.04)},
    **{20: (-0.125, -0.235, 0.065), 21: (-0.072, -0.215, 0.08), 27: (0, -0.125, 0.075), 28: (0, -0.06, 0.105)},
    **{29: (0, 0.005, 0.14), 30: (0, 0.07, 0.17), 31: (-0.072, 0.108, 0.07), 32: (-0.038, 0.122, 0.10)},
    **{33: (0, 0.130, 0.115), 36: (-0.222, -0.112, -0.03), 37: (-0.182, -0.142, 0.02), 38: (-0.127, -0.140, 0.035)},
    **{39: (-0.085, -0.105, 0.02), 40: (-0.127, -0.086, 0.03), 41: (-0.182, -0.086, 0.015), 48: (-0.132, 0.25, 0.02)},
    **{49: (-0.085, 0.226, 0.06), 50: (-0.036, 0.210, 0.09), 51: (0, 0.217, 0.095), 57: (0, 0.306, 0.085)},
    **{58: (-0.042, 0.302, 0.08), 59: (-0.088, 0.284, 0.055), 60: (-0.115, 0.251, 0.03), 61: (-0.045, 0.249, 0.075)},
    **{62: (0, 0.252, 0.085), 66: (0, 0.256, 0.08), 67: (-0.045, 0.254, 0.075)},
}
_SKULL_HALF = ((-0.346, -0.18, -0.2), (-0.325, -0.28, -0.18), (-0.262, -0.37, -0.15), (-0.150, -0.435, -0.11))

JAW = np.arange(17)
BROWS = np.arange(17, 27)
NOSE = np.arange(27, 36)
EYES = (np.arange(36, 42), np.arange(42, 48))
MOUTH = np.arange(48, 68)


def _template() -> np.ndarray:
    points = np.zeros((68, 3), np.float32)
    for index, place in _LEFT_HALF.items():
        points[index] = place
        points[MIRROR[index]] = (-place[0], *place[1:])
    return points


TEMPLATE = _template()
_RIGHT_SKULL = [(-x, y, z) for x, y, z in _SKULL_HALF]
SKULL = np.array([*_RIGHT_SKULL, (0, -0.455, -0.1), *reversed(_SKULL_HALF)], np.float32)
"""From the ear on the right over the top to the ear on the left: with the jaw, a closed outline."""


class Identity(NamedTuple):
    """Who it is; factors are around 1, offsets around 0, in shares of the image side."""

    width: np.ndarray
    taper: np.ndarray
    chin: np.ndarray
    skull: np.ndarray
    eye_gap: np.ndarray
    eye_size: np.ndarray
    eye_open: np.ndarray
    eye_tilt: np.ndarray
    brow_height: np.ndarray
    brow_tilt: np.ndarray
    nose_width: np.ndarray
    nose_length: np.ndarray
    mouth_width: np.ndarray
    mouth_height: np.ndarray
    mouth_curve: np.ndarray
    lips: np.ndarray


class Pose(NamedTuple):
    """How it is held: angles in radians (yaw > 0 turns the nose to the right of the picture), shifts in shares."""

    yaw: np.ndarray
    pitch: np.ndarray
    roll: np.ndarray
    scale: np.ndarray
    shift_x: np.ndarray
    shift_y: np.ndarray


class Shape(NamedTuple):
    """A projected head."""

    landmarks: Float32[np.ndarray, "n 68 2"]
    visibility: Float32[np.ndarray, "n 68"]
    outline: Float32[np.ndarray, "n 26 2"]
    """Upright frame: jaw from left to right, then the skull from right to left."""


def draw_identity(chance: Chance) -> Identity:
    return Identity(
        width=chance.normal("width", 1, 0.045),
        taper=chance.normal("taper", 0, 0.09),
        chin=chance.normal("chin", 1, 0.035),
        skull=chance.normal("skull", 1, 0.03),
        eye_gap=chance.normal("eye_gap", 0, 0.009),
        eye_size=chance.normal("eye_size", 1, 0.08),
        eye_open=chance.normal("eye_open", 1, 0.15),
        eye_tilt=chance.normal("eye_tilt", 0, 0.05),
        brow_height=chance.normal("brow_height", 0, 0.010),
        brow_tilt=chance.normal("brow_tilt", 0, 0.055),
        nose_width=chance.normal("nose_width", 1, 0.13),
        nose_length=chance.normal("nose_length", 1, 0.06),
        mouth_width=chance.normal("mouth_width", 1, 0.085),
        mouth_height=chance.normal("mouth_height", 0, 0.008),
        mouth_curve=chance.normal("mouth_curve", 0, 0.009),
        lips=chance.normal("lips", 1.0, 0.25),
    )


def draw_pose(chance: Chance) -> Pose:
    return Pose(
        yaw=np.deg2rad(chance.normal("yaw", 0, 13)),
        pitch=np.deg2rad(chance.normal("pitch", 0, 6)),
        roll=np.deg2rad(chance.normal("roll", 0, 7)),
        scale=chance.normal("scale", 0.98, 0.05),
        shift_x=chance.normal("shift_x", 0, 0.026),
        shift_y=chance.normal("shift_y", 0, 0.026),
    )


def _points_of(who: Identity, actions: Actions) -> Float32[np.ndarray, "n 68 3"]:
    """The unturned head: identity first, then the muscles."""
    points = np.repeat(TEMPLATE[None], len(who.width), axis=0)
    lower = np.clip(points[:, JAW, 1], 0, None)
    points[:, JAW, 0] *= who.width[:, None] * (1 - who.taper[:, None] * lower / 0.42)
    points[:, JAW, 1] += lower * (who.chin[:, None] - 1)
    for eye in EYES:
        side = np.sign(TEMPLATE[eye[0], 0])
        centre = TEMPLATE[eye].mean(0)
        x, y = points[:, eye, 0] - centre[0], points[:, eye, 1] - centre[1]
        points[:, eye, 0] = centre[0] + x * who.eye_size[:, None] + side * who.eye_gap[:, None]
        points[:, eye, 1] = (
            centre[1] + y * (who.eye_size * who.eye_open)[:, None] - side * x * who.eye_tilt[:, None] * 2
        )
    outward = np.abs(TEMPLATE[BROWS, 0]) - 0.175
    points[:, BROWS, 1] += who.brow_height[:, None] - outward * who.brow_tilt[:, None] * 2
    points[:, NOSE, 0] *= who.nose_width[:, None]
    points[:, NOSE, 1] = -0.125 + (points[:, NOSE, 1] + 0.125) * who.nose_length[:, None]
    middle = 0.253
    fullness = 1 + (who.lips[:, None] - 1) * (np.arange(48, 68) < 60)
    points[:, MOUTH, 0] *= who.mouth_width[:, None]
    points[:, MOUTH, 1] = middle + (points[:, MOUTH, 1] - middle) * fullness + who.mouth_height[:, None]
    corner = np.clip(np.abs(TEMPLATE[MOUTH, 0]) / 0.132, 0, 1) ** 2
    points[:, MOUTH, 1] += corner * who.mouth_curve[:, None]
    points[:, :, :2] += offsets(actions)
    return _ordered_lids(points)


def _ordered_lids(points: np.ndarray) -> np.ndarray:
    """Upper lids and lips never pass below the lower ones, however many units pull at them."""
    for above, below in ((37, 41), (38, 40), (43, 47), (44, 46)):
        points[:, above, 1] = np.minimum(points[:, above, 1], points[:, below, 1] - 0.004)
    for above, below in ((61, 67), (62, 66), (63, 65)):
        middle = (points[:, above, 1] + points[:, below, 1]) / 2
        points[:, above, 1] = np.minimum(points[:, above, 1], middle - 0.001)
        points[:, below, 1] = np.maximum(points[:, below, 1], middle + 0.001)
    for outer, inner, sign in ((50, 61, 1), (51, 62, 1), (52, 63, 1), (58, 67, -1), (57, 66, -1), (56, 65, -1)):
        gap = sign * (points[:, inner, 1] - points[:, outer, 1])
        points[:, outer, 1] -= sign * np.maximum(0.010 - gap, 0)
    return points


def _turned(points: np.ndarray, pose: Pose) -> np.ndarray:
    """Upright projection of (n, k, 3): yaw, then pitch, about an axis through the middle of the head."""
    sin, cos = np.sin(pose.yaw)[:, None], np.cos(pose.yaw)[:, None]
    depth = points[..., 2] + 0.05
    x = points[..., 0] * cos + depth * sin
    away = depth * cos - points[..., 0] * sin
    y = points[..., 1] * np.cos(pose.pitch)[:, None] - away * np.sin(pose.pitch)[:, None]
    return np.stack([x, y], axis=-1).astype(np.float32)


def _silhouette(rim: np.ndarray, pose: Pose) -> np.ndarray:
    """Upright outline of (n, k, 3) rim points: on the far side the cheek, a half ellipse in depth, hides the rim."""
    flat = _turned(rim, pose)
    sin, cos = np.sin(pose.yaw)[:, None], np.cos(pose.yaw)[:, None]
    x, depth = rim[..., 0], rim[..., 2] + 0.05
    bulge = np.maximum(0.09 - depth, 0) * np.clip(np.abs(x) / 0.2, 0, 1)
    reach = depth * sin + np.sign(x) * np.sqrt((x * cos) ** 2 + (bulge * sin) ** 2)
    flat[..., 0] = np.where(x * sin > 0, reach, flat[..., 0])
    return flat


def to_picture(flat: Float32[np.ndarray, "n k 2"], pose: Pose) -> Float32[np.ndarray, "n k 2"]:
    """Upright to picture frame: scale, roll, shift."""
    sin, cos = (pose.scale * np.sin(pose.roll))[:, None], (pose.scale * np.cos(pose.roll))[:, None]
    x = flat[..., 0] * cos - flat[..., 1] * sin + 0.5 + pose.shift_x[:, None]
    y = flat[..., 0] * sin + flat[..., 1] * cos + 0.5 + pose.shift_y[:, None]
    return np.stack([x, y], axis=-1).astype(np.float32)


def _facing(pose: Pose) -> Bool[np.ndarray, "n 68"]:
    """Does the skin at each point look at the viewer? Normals of an ellipsoid through ears and nose."""
    normal = np.stack([TEMPLATE[:, 0] / 0.36**2, (TEMPLATE[:, 2] + 0.21) / 0.36**2], axis=1)
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    towards = normal[:, 1] * np.cos(pose.yaw)[:, None] - normal[:, 0] * np.sin(pose.yaw)[:, None]
    return towards > -0.15


def shape_of(who: Identity, actions: Actions, pose: Pose) -> Shape:
    """The projected head of every face, its landmarks in the picture's frame."""
    points = _points_of(who, actions)
    skull = np.repeat(SKULL[None], len(points), axis=0)
    skull[..., 0] *= who.width[:, None]
    skull[..., 1] *= who.skull[:, None]
    rim = np.concatenate([points[:, JAW], skull], axis=1)
    outline = _silhouette(rim, pose)
    flat = _turned(points, pose)
    flat[:, JAW] = outline[:, JAW]
    return Shape(to_picture(flat, pose), _facing(pose).astype(np.float32), outline)
