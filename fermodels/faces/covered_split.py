"""A whole split behind one occluder: only the centre crop that a network sees is covered, by the exact share asked for.

One thing to know: labels, landmarks and confidences are those of the bare faces. Occlusion must not move the eye and
mouth boxes: a drop is then the network's own and not that of the landmarks, which may suffer beside it.
"""

import os
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, UInt8

from fermodels.data.base import Split
from fermodels.faces.align import template
from fermodels.faces.mask_pictures import CONFIG
from fermodels.faces.occlude import Occluder, occlude

LUMA = (0.299, 0.587, 0.114)
"""ITU-R 601, as Pillow's "L": what a coloured cover looks like on a grey picture."""
PICTURES = "masks"
"""Folder of mask pictures, looked for beside the file of a data set."""


@dataclass(frozen=True, kw_only=True, eq=False)
class CoveredSplit:
    """A split behind an occluder."""

    split: Split
    masks: Bool[np.ndarray, "n size size"]
    """True where the centre crop is covered."""

    @property
    def share(self) -> float:
        """Mean share of the crop that is covered, 0 to 1."""
        return float(self.masks.mean())


def covered_split(split: Split, occluder: Occluder, *, size: int) -> CoveredSplit:
    """`split` with the centre crop of every face behind `occluder`.

    The index that seeds a cover is the face's position in `split`; what lies outside the crop is left as it is.

    Args:
        size: side in pixels of the centre crop, as in `fermodels.training.views.ViewConfig`.

    Raises:
        ValueError: the crop is larger than the stored faces, or the occluder lacks its pictures.
    """
    stored = split.images.shape[1]
    if not 0 < size <= stored:
        raise ValueError(f"size={size}: the faces are stored at {stored} px, so the crop has 1 to {stored}")
    corner = round((stored - size) / 2)
    window = np.s_[corner : corner + size, corner : corner + size]
    images, masks = np.array(split.images), np.zeros((len(split), size, size), bool)
    for index, image in enumerate(images):
        made = occlude(_rgb(image[window]), occluder, index=index, points=_points(split, index, stored) - corner)
        image[window] = made.image if image.shape[-1] == 3 else grey(made.image)
        masks[index] = made.mask
    return CoveredSplit(split=replace(split, images=images), masks=masks)


def pictures_beside(spec: str) -> Path | None:
    """The folder "masks" beside the data set's file or folder; None when the name has no path or it is not there.

    Args:
        spec: NAME or NAME:PATH, as `fermodels.data.open_dataset` takes it.
    """
    place = spec.partition(":")[2]
    folder = Path(os.path.expanduser(place)).parent / PICTURES
    return folder if place and (folder / CONFIG).is_file() else None


def _points(split: Split, index: int, stored: int) -> Float[np.ndarray, "k 2"]:
    """Pixels of the stored face: its 68 points, or the template's five."""
    points = template() if split.landmarks is None else split.landmarks[index]
    return np.asarray(points, np.float64) * stored


def _rgb(image: UInt8[np.ndarray, "h w c"]) -> UInt8[np.ndarray, "h w 3"]:
    return np.ascontiguousarray(np.broadcast_to(image, (*image.shape[:2], 3)))


def grey(image: UInt8[np.ndarray, "h w c"]) -> UInt8[np.ndarray, "h w 1"]:
    """One channel by `LUMA`; a grey image is passed through."""
    return image if image.shape[-1] == 1 else np.rint(image @ np.array(LUMA))[..., None].astype(np.uint8)
