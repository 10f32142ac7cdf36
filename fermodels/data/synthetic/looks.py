"""What a face looks like apart from its shape: colours, hair, glasses, light, and the camera that took it."""

from typing import NamedTuple, TypeVar, cast

import numpy as np

from fermodels.data.synthetic.actions import Actions, draw_actions, draw_labels
from fermodels.data.synthetic.anatomy import Identity, Pose, Shape, draw_identity, draw_pose, shape_of
from fermodels.data.synthetic.chance import Chance

_SKINS = np.array(
    [
        (0.98, 0.85, 0.76),
        (0.95, 0.77, 0.65),
        (0.87, 0.67, 0.53),
        (0.75, 0.54, 0.40),
        (0.58, 0.40, 0.29),
        (0.44, 0.30, 0.22),
    ],
    np.float32,
)
_HAIRS = np.array(
    [
        (0.10, 0.08, 0.08),
        (0.20, 0.13, 0.09),
        (0.36, 0.22, 0.13),
        (0.55, 0.33, 0.16),
        (0.80, 0.63, 0.36),
        (0.62, 0.60, 0.58),
    ],
    np.float32,
)
_IRISES = np.array([(0.18, 0.11, 0.07), (0.30, 0.19, 0.10), (0.30, 0.40, 0.28), (0.32, 0.46, 0.58)], np.float32)
_CLOTHES = np.array([(0.16, 0.20, 0.32), (0.60, 0.18, 0.18), (0.85, 0.83, 0.78), (0.15, 0.42, 0.38)], np.float32)
_WALLS = np.array([(0.82, 0.80, 0.74), (0.48, 0.58, 0.66), (0.34, 0.38, 0.36), (0.72, 0.56, 0.46)], np.float32)
_FRAMES = np.array([(0.08, 0.08, 0.10), (0.35, 0.18, 0.10), (0.55, 0.50, 0.45)], np.float32)


class Look(NamedTuple):
    """Colours are (n, 3) in [0, 1]; angles in radians; lengths in shares of the image side."""

    skin: np.ndarray
    hair: np.ndarray
    iris: np.ndarray
    clothes: np.ndarray
    frames: np.ndarray
    wall: np.ndarray
    wall_far: np.ndarray
    wall_grain: np.ndarray
    light_x: np.ndarray
    light_y: np.ndarray
    ambient: np.ndarray
    volume: np.ndarray
    length: np.ndarray
    fringe: np.ndarray
    parting: np.ndarray
    wave: np.ndarray
    phase: np.ndarray
    bald: np.ndarray
    brow: np.ndarray
    age: np.ndarray
    beard: np.ndarray
    moustache: np.ndarray
    blush: np.ndarray
    lipstick: np.ndarray
    glasses: np.ndarray
    glasses_round: np.ndarray
    gaze_x: np.ndarray
    gaze_y: np.ndarray


class Camera(NamedTuple):
    """Blur in pixels of a 64-pixel picture, noise as a deviation in [0, 1], quality 0 = untouched."""

    blur: np.ndarray
    gain: np.ndarray
    lift: np.ndarray
    tint: np.ndarray
    noise: np.ndarray
    strip: np.ndarray
    coarse: np.ndarray


class Scene(NamedTuple):
    """Everything that decides the picture of n faces; rendering it draws no further number."""

    labels: np.ndarray
    actions: Actions
    who: Identity
    pose: Pose
    shape: Shape
    look: Look
    camera: Camera


def _draw_look(chance: Chance) -> Look:
    whiskers = chance.uniform("whiskers")
    return Look(
        skin=chance.colour("skin", _SKINS, 0.02),
        hair=chance.colour("hair", _HAIRS, 0.02),
        iris=chance.colour("iris", _IRISES, 0.02),
        clothes=chance.colour("clothes", _CLOTHES, 0.15),
        frames=chance.colour("frames", _FRAMES, 0.03),
        wall=chance.colour("wall", _WALLS, 0.12),
        wall_far=chance.colour("wall_far", _WALLS, 0.12),
        wall_grain=np.stack([chance.uniform(f"grain{i}", -1, 1) for i in range(25)], 1),
        light_x=chance.uniform("light_x", -0.75, 0.75),
        light_y=chance.uniform("light_y", -0.65, 0.15),
        ambient=chance.uniform("ambient", 0.42, 0.72),
        volume=chance.uniform("volume", 0.05, 0.20),
        length=np.where(chance.happens("long", 0.42), chance.uniform("length", 0.25, 0.75), -0.05).astype(np.float32),
        fringe=chance.uniform("fringe", 0.315, 0.41),
        parting=chance.uniform("parting", -0.7, 0.7),
        wave=chance.uniform("wave", 0, 0.018),
        phase=chance.uniform("phase", 0, 6.2),
        bald=chance.happens("bald", 0.06),
        brow=chance.uniform("brow", 0.021, 0.042),
        age=chance.uniform("age") ** 2,
        beard=np.where(chance.happens("beard", 0.16), 0.25 + 0.5 * whiskers, 0).astype(np.float32),
        moustache=np.where(chance.happens("moustache", 0.09), 0.4 + 0.5 * whiskers, 0).astype(np.float32),
        blush=chance.uniform("blush"),
        lipstick=np.where(chance.happens("lipstick", 0.25), chance.uniform("lips.red", 0.3, 0.9), 0).astype(np.float32),
        glasses=chance.happens("glasses", 0.17),
        glasses_round=chance.happens("glasses.round", 0.5),
        gaze_x=chance.normal("gaze_x", 0, 0.35),
        gaze_y=chance.normal("gaze_y", 0, 0.22),
    )


def _draw_camera(chance: Chance) -> Camera:
    return Camera(
        blur=0.25 + 0.85 * chance.uniform("blur", 0, 1.0) ** 2,
        gain=chance.normal("gain", 1.0, 0.10),
        lift=chance.normal("lift", 0.0, 0.04),
        tint=np.stack([chance.normal(f"tint.{channel}", 1, 0.04) for channel in "rgb"], 1),
        noise=0.036 * chance.uniform("noise", 0, 1) ** 2 * (not chance.quiet),
        strip=(chance.bits("strip") >> np.uint64(47)).astype(np.int64),
        coarse=np.where(chance.happens("jpeg", 0.3), chance.uniform("jpeg.step", 0.02, 0.09), 0).astype(np.float32),
    )


def scene_of(chance: Chance, labels: np.ndarray | None = None, actions: Actions | None = None) -> Scene:
    """Draws n scenes. `labels` and `actions` replace what would be drawn (the contact sheet and the tests do so)."""
    labels = draw_labels(chance) if labels is None else labels
    actions = draw_actions(chance, labels) if actions is None else actions
    who, pose = draw_identity(chance), draw_pose(chance)
    return Scene(labels, actions, who, pose, shape_of(who, actions, pose), _draw_look(chance), _draw_camera(chance))


Group = TypeVar("Group")


def rows_of(group: Group, rows: slice | np.ndarray) -> Group:
    """The same (nested) tuple of arrays with only these rows: a scene of some of the faces."""
    if isinstance(group, np.ndarray):
        return cast(Group, group[rows])
    assert isinstance(group, tuple)
    return type(group)(*(rows_of(part, rows) for part in group))
