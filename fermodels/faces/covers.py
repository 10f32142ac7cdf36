"""What can lie in front of a face: rectangles of an exact area, a drawn mask, sunglasses, a hand.

One thing to know: a cover is drawn from a `Scene` (picture, points, generator) alone, so the same seed and index give
the same cover; a rectangle of a larger share contains every smaller one of the same seed and index.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Float32, Float64, UInt8
from PIL import Image, ImageDraw

from fermodels.data.synthetic.occluders import HANDS, MASKS, hand, sunglasses
from fermodels.faces.align import inverse, moved, similarity, template

JAW = (
    *((0.195, 0.48), (0.20, 0.57), (0.22, 0.66), (0.25, 0.75), (0.305, 0.835), (0.39, 0.91), (0.5, 0.945)),
    *((0.61, 0.91), (0.695, 0.835), (0.75, 0.75), (0.78, 0.66), (0.80, 0.57), (0.805, 0.48)),
)
"""Points 2 to 14 of iBUG-68 on the mean face of the template, shares of its side; drawn by hand on the mean of 64
aligned photographs."""
BRIDGE = (0.5, 0.43)
"""Point 28 on the same face."""
ASPECTS = (0.5, 2.0)
"""Least and greatest width / height of a rectangle."""
TEMPLE = 0.33
"""From the middle of the face to its temple, template's frame."""
HAND = 1.6
"""A hand is so much larger than the one that covers parts of the synthetic faces: nearly as long as the face."""
SUPERSAMPLING = 4
"""The drawn mask is drawn so many times larger and averaged, for smooth edges."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Scene:
    """What a cover is drawn for."""

    image: UInt8[np.ndarray, "h w 3"]
    points: Float64[np.ndarray, "k 2"]
    """Five points or the 68 of iBUG, pixels of `image`."""
    share: float
    """Of the pixels: for rectangles only, the others are as large as the face."""
    chance: np.random.Generator
    variant: str | None
    """The mask picture; None: drawn by `chance`."""
    pictures: Path | None
    """Folder of mask pictures with their masks.cfg."""

    @property
    def five(self) -> Float64[np.ndarray, "5 2"]:
        """The five points; of 68, the means of the eyes, the nose tip and the mouth corners."""
        p = self.points
        return p if len(p) == 5 else np.stack([p[36:42].mean(0), p[42:48].mean(0), p[30], p[48], p[54]])


@dataclass(frozen=True, kw_only=True, eq=False)
class Cover:
    """A layer over a picture, before it is laid on."""

    colour: Float[np.ndarray, "h w 3"]
    """0 to 255."""
    alpha: Float[np.ndarray, "h w"]
    """0 shows the picture, 1 hides it."""
    parameters: dict[str, Any]
    """What was drawn by chance, in JSON's types: for the manifest."""


def rectangle_mask(
    height: int, width: int, share: float, *, anchor: tuple[float, float], aspect: float
) -> Bool[np.ndarray, "h w"]:
    """A rectangle of exactly round(share * height * width) pixels; its last row and column may be a part.

    Its place is where `anchor` (x, y in [0, 1]) says between flush left and flush right, flush top and flush bottom;
    its width / height is `aspect` until it meets the picture's border. Every pixel has an area at which the growing
    rectangle first covers its centre; the pixels of the smallest areas are covered, so rectangles are nested.
    """
    across = _least_extent(width, anchor[0])
    down = _least_extent(height, anchor[1])
    for_width = np.minimum(across**2 / aspect, across * height)
    for_height = np.minimum(down**2 * aspect, down * width)
    area = np.maximum(for_width[None, :], for_height[:, None])
    mask = np.zeros(height * width, bool)
    mask[np.argsort(area, axis=None, kind="stable")[: round(share * height * width)]] = True
    return mask.reshape(height, width)


def _least_extent(side: int, anchor: float) -> Float64[np.ndarray, " side"]:
    """How long a stretch, placed by `anchor` in [0, side], must be to reach each pixel's centre.

    No two pixels are alike: of two that an anchor in the middle reaches together, the former comes first.
    """
    centres = np.arange(side) + 0.5
    fixed = anchor * side  # the one place that a stretch of any length covers
    before, after = max(anchor, 1e-9), max(1 - anchor, 1e-9)
    return np.where(centres < fixed, (fixed - centres) / before, (centres - fixed) / after) + 1e-6 * np.arange(side)


def rectangle(scene: Scene, colour: Float[np.ndarray, "h w 3"]) -> Cover:
    """A rectangle of `scene.share` of the pixels at a place of chance, showing `colour`."""
    x, y = scene.chance.uniform(0, 1, 2).tolist()
    aspect = float(np.exp(scene.chance.uniform(*np.log(ASPECTS))))
    height, width = scene.image.shape[:2]
    mask = rectangle_mask(height, width, scene.share, anchor=(x, y), aspect=aspect)
    return Cover(colour=colour, alpha=mask.astype(np.float32), parameters={"anchor": [x, y], "aspect": aspect})


def noise(scene: Scene) -> Cover:
    """A rectangle of independent uniform values."""
    values = np.random.default_rng(scene.chance.bit_generator.seed_seq.spawn(1)[0])  # type: ignore[attr-defined]
    return rectangle(scene, values.integers(0, 256, scene.image.shape).astype(np.float32))


def mean(scene: Scene) -> Cover:
    """A rectangle of the picture's mean colour."""
    return rectangle(scene, np.broadcast_to(scene.image.mean((0, 1)), scene.image.shape))


def black(scene: Scene) -> Cover:
    """A black rectangle."""
    return rectangle(scene, np.zeros(scene.image.shape, np.float32))


def patch(scene: Scene) -> Cover:
    """A rectangle of the picture itself, from half a side away: skin and hair in the wrong place."""
    height, width = scene.image.shape[:2]
    return rectangle(scene, np.roll(scene.image, (height // 2, width // 2), (0, 1)).astype(np.float32))


def lower_face(scene: Scene) -> Float64[np.ndarray, "14 2"]:
    """Jaw points 2 to 14 and bridge point 28, pixels: from the 68 points, or the mean face's laid on the five points.

    The five points give an affine map (turned heads are narrower); what it leaves of the nose tip moves the bridge by
    half and the chin not at all.
    """
    if len(scene.points) == 68:
        return scene.points[[*range(2, 15), 28]]
    frame = np.column_stack((template(), np.ones(5)))
    affine = np.linalg.lstsq(frame, scene.five, rcond=None)[0]
    outline = np.column_stack(((*JAW, BRIDGE), np.ones(14))) @ affine
    outline[-1] += (scene.five[2] - frame[2] @ affine) / 2
    return outline


def drawn_mask(scene: Scene) -> Cover:
    """A mask over jaw, mouth and nose in one colour, with three pleats; for want of a picture."""
    colour = MASKS[scene.chance.integers(len(MASKS))] * 255
    outline = lower_face(scene)
    height, width = scene.image.shape[:2]
    large = Image.new("L", (width * SUPERSAMPLING, height * SUPERSAMPLING))
    pen = ImageDraw.Draw(large)
    pen.polygon([tuple(point) for point in (outline * SUPERSAMPLING).tolist()], fill=255)
    alpha = np.asarray(large.resize((width, height), Image.Resampling.BOX), np.float32) / 255
    _, down = _face_frame(scene)
    light = 1.06 - 0.35 * (down - BRIDGE[1]).clip(0, 0.6)
    pleats = np.exp(-(((np.mod(down - 0.60, 0.085) - 0.02) / 0.008) ** 2)) * ((down > 0.58) & (down < 0.83))
    shaded = colour * (light * (1 - 0.10 * pleats))[..., None]
    return Cover(colour=shaded.clip(0, 255), alpha=alpha, parameters={"colour": np.round(colour).tolist()})


def dark_glasses(scene: Scene) -> Cover:
    """Sunglasses over both eyes, a little larger or smaller by chance."""
    size = float(scene.chance.uniform(0.92, 1.12))
    across, down = _face_frame(scene)
    signed = sunglasses((across - 0.5) / size, (down - template()[:2, 1].mean()) / size) * size
    signed = np.maximum(signed, np.abs(across - 0.5) - TEMPLE)  # the bows end at the temples of a real face
    sheen = 16 + 26 * (0.45 - down).clip(0, 0.2) / 0.2
    return _solid(scene, signed, np.repeat(sheen[..., None], 3, -1), {"size": size})


def hand_before_face(scene: Scene) -> Cover:
    """A hand with its arm, somewhere between cheek and chin, turned by chance."""
    x, y, turn = (float(scene.chance.uniform(*bounds)) for bounds in ((0.22, 0.78), (0.60, 0.95), (-0.8, 0.8)))
    tone = HANDS[scene.chance.integers(len(HANDS))] * 255
    across, down = _face_frame(scene)
    u, v = (across - x) / HAND, (down - y) / HAND
    signed = hand(u * np.cos(turn) + v * np.sin(turn), v * np.cos(turn) - u * np.sin(turn)) * HAND
    light = (1.05 - 0.20 * down) * (0.78 - signed / 0.05).clip(0.78, 1)
    parameters = {"x": x, "y": y, "turn": turn, "colour": np.round(tone).tolist()}
    return _solid(scene, signed, (tone * light[..., None]).clip(0, 255), parameters)


def _face_frame(scene: Scene) -> tuple[Float32[np.ndarray, "h w"], Float32[np.ndarray, "h w"]]:
    """Across and down in the template's frame (shares of its side), at every pixel's centre."""
    height, width = scene.image.shape[:2]
    grid = np.stack(np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5), -1)
    placed = moved(similarity(scene.five, template()), grid.reshape(-1, 2)).astype(np.float32)
    return placed[:, 0].reshape(height, width), placed[:, 1].reshape(height, width)


def _solid(scene: Scene, signed: np.ndarray, colour: np.ndarray, parameters: dict[str, Any]) -> Cover:
    """A cover where the signed distance (template's frame) is negative, its edge one pixel soft."""
    back = inverse(similarity(scene.five, template()))
    pixels = float(np.sqrt(np.linalg.det(back[:, :2])))
    return Cover(colour=colour, alpha=(0.5 - signed * pixels).clip(0, 1).astype(np.float32), parameters=parameters)
