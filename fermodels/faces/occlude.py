"""Covers a part of a face, exactly and repeatably: which pixels, by what, from which seed.

One thing to know: report occluders that a network has `SEEN` in training and `UNSEEN` ones separately (paper 2 trains
and tests on the same kind). A manifest holds all that is needed to make the same picture again.

>>> covered = occlude(face, Occluder(name="noise", share=0.2), index=7)   # its image, its mask, its manifest entry
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, UInt8

from compress.files import json_text, write_atomic
from compress.typed_json import read_json
from fermodels.faces import covers
from fermodels.faces.align import template
from fermodels.faces.covers import Cover, Scene
from fermodels.faces.detect import as_photograph
from fermodels.faces.mask_pictures import mask_picture

OCCLUDERS: dict[str, Callable[[Scene], Cover]] = {
    "noise": covers.noise,
    "mean": covers.mean,
    "black": covers.black,
    "patch": covers.patch,
    "mask": covers.drawn_mask,
    "picture": mask_picture,
    "sunglasses": covers.dark_glasses,
    "hand": covers.hand_before_face,
}
"""name -> draws the cover. A new occluder is a function and one line here, and one name below."""
SEEN = ("noise", "mean", "black")
"""May be used while training."""
UNSEEN = ("patch", "mask", "picture", "sunglasses", "hand")
"""Are kept for measuring."""
RECTANGLES = ("noise", "mean", "black", "patch")
"""Cover the share of the picture that is asked for; the others are as large as the face makes them."""
LEVELS = (0.0, 0.05, 0.10, 0.15, 0.20, 0.25, 0.30)
"""Shares of the picture in Fig 3 of paper 2."""


@dataclass(frozen=True, kw_only=True)
class Occluder:
    """What shall cover the faces of a set."""

    name: str
    """A key of `OCCLUDERS`."""
    share: float = 0.2
    """Of the pixels, in [0, 1]; for rectangles only."""
    seed: int = 0
    """With the index of the picture it decides what chance decides."""
    variant: str | None = None
    """Name of the mask picture; None: chance chooses."""
    pictures: Path | None = None
    """Folder of mask pictures and their masks.cfg, for "picture"."""

    def __post_init__(self) -> None:
        if self.name not in OCCLUDERS:
            raise ValueError(f'no occluder "{self.name}": there is {", ".join(OCCLUDERS)}')
        if not 0 <= self.share <= 1:
            raise ValueError(f"share={self.share}: an occluder covers a share of the picture from 0 to 1")
        if self.seed < 0:
            raise ValueError(f"seed={self.seed}: a seed is 0 or more")


@dataclass(frozen=True, kw_only=True)
class Occlusion:
    """One line of the manifest: with the same picture it gives the same pixels again."""

    index: int
    """Position of the picture in its set; with `seed` it decides what chance decides."""
    occluder: str
    """A key of `OCCLUDERS`."""
    seed: int
    share: float | None
    """Of the picture; None where the face gives the size."""
    points: tuple[tuple[float, float], ...]
    """Five points or 68, pixels."""
    parameters: dict[str, Any]
    """What chance decided: place, aspect, colour, picture."""
    pixels: int
    """Covered, even in part."""
    sha256: str
    """Of the mask's bits, row by row."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Occluded:
    """A covered picture."""

    image: UInt8[np.ndarray, "h w 3"]
    mask: Bool[np.ndarray, "h w"]
    """True where the cover lies, also where its edge lets the picture through; elsewhere nothing has changed."""
    entry: Occlusion


def occlude(
    image: UInt8[np.ndarray, "h w 3"],
    occluder: Occluder,
    *,
    index: int,
    points: Float[np.ndarray, "k 2"] | None = None,
) -> Occluded:
    """`image` (RGB) behind the `occluder` that its seed and `index`, the picture's position in its set, draw.

    Without `points` (five, or iBUG-68; pixels) the picture is taken for an aligned face (`align.template`).

    Raises:
        ValueError: points other than 5 or 68, an image that is not RGB uint8, or missing pictures of masks.
    """
    as_photograph(image, index)
    height, width = image.shape[:2]
    placed = template() * (width, height) if points is None else np.asarray(points, np.float64)
    if placed.shape not in ((5, 2), (68, 2)) or not np.isfinite(placed).all():
        raise ValueError(f"points of shape {placed.shape}: give 5 or 68 finite points (x, y) in pixels")
    scene = Scene(
        image=image,
        points=placed,
        share=occluder.share,
        chance=np.random.default_rng((occluder.seed, index)),
        variant=occluder.variant,
        pictures=occluder.pictures,
    )
    cover = OCCLUDERS[occluder.name](scene)
    mask = cover.alpha >= 1 / 255
    mixed = image + np.where(mask, cover.alpha, 0)[..., None] * (cover.colour - image)
    entry = Occlusion(
        index=index,
        occluder=occluder.name,
        seed=occluder.seed,
        share=occluder.share if occluder.name in RECTANGLES else None,
        points=tuple((x, y) for x, y in placed.tolist()),
        parameters=cover.parameters,
        pixels=int(mask.sum()),
        sha256=_hash(mask),
    )
    return Occluded(image=np.rint(mixed).clip(0, 255).astype(np.uint8), mask=mask, entry=entry)


def repeat(image: UInt8[np.ndarray, "h w 3"], entry: Occlusion, *, pictures: Path | None = None) -> Occluded:
    """`image` covered as `entry` says; `pictures` is the folder of mask pictures where it names one.

    Raises:
        ValueError: other pixels are covered than the entry says: the picture has another size, or the mask picture
            or this program has changed.
    """
    occluder = Occluder(
        name=entry.occluder,
        share=entry.share or 0.0,
        seed=entry.seed,
        variant=entry.parameters.get("variant"),
        pictures=pictures,
    )
    again = occlude(image, occluder, index=entry.index, points=np.asarray(entry.points))
    if again.entry.sha256 != entry.sha256:
        raise ValueError(
            f"picture {entry.index}, {entry.occluder}: {again.entry.pixels} pixels are covered, the manifest says "
            f"{entry.pixels}; give the picture in its size of then and the same pictures of masks, or write the "
            "manifest anew"
        )
    return again


def write_manifest(path: Path, entries: Sequence[Occlusion]) -> None:
    """The entries as JSON, one a line."""
    lines = ",\n".join(json_text(entry) for entry in entries)
    write_atomic(path, f"[\n{lines}\n]\n")


def read_manifest(path: Path) -> list[Occlusion]:
    """The entries in their order.

    Raises:
        ValueError: the file is absent or not a manifest.
    """
    return read_json(path, list[Occlusion], what="manifest of occlusions", mend="Write one with write_manifest")


def _hash(mask: Bool[np.ndarray, "h w"]) -> str:
    return hashlib.sha256(f"{mask.shape}".encode() + np.packbits(mask).tobytes()).hexdigest()
