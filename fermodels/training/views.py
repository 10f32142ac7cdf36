"""From stored faces to a network's inputs: crop, flip, regions, mask, normalisation, one batch at a time.

The whole split stays a uint8 tensor (on the GPU when training there); every view of a batch is cut from it by tensor
operations. Eyes and mouth are resampled out of the cropped face, so that a deployed network needs one aligned face.
Frames: a landmark is a share of the stored image's side; after `_crop` it is a share of the face view's side.
"""

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import partial
from typing import Annotated, Any, Literal, NamedTuple

import msgspec
import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor
from torch.nn import functional

from compress.training import processes
from fermodels.claims import Side
from fermodels.data.base import Split
from fermodels.faces import regions
from fermodels.training import augmentation as augmenting
from fermodels.training.augmentation import Augmentation, Warp
from fermodels.training.erasing import DRAWS, erased

FIVE_CROPS = ((0.5, 0.5), (0.0, 0.0), (1.0, 0.0), (0.0, 1.0), (1.0, 1.0))
"""Centre and corners, as a share of the free play (x, y); the first alone is the single centre crop."""
ALL = slice(None)
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Change = Callable[[Float[Tensor, "b c s s"]], Float[Tensor, "b c s s"]]
"""What happens to cropped faces in [0, 1] before the views are cut from them."""


@dataclass(frozen=True, kw_only=True)
class ViewConfig:
    """How a stored face becomes the views of a network. Part of every checkpoint."""

    size: Side = 224
    """Side in pixels of the face view, cropped from the stored image."""
    local_size: Side = 224
    """Side in pixels of the eye and mouth views."""
    mean: Share = 0.5
    """Subtracted from pixels scaled to [0, 1], all channels alike."""
    std: Annotated[float, msgspec.Meta(gt=0, le=1)] = 0.25
    map_side: Side = 7
    """Cells on a side of the attention map and its mask."""
    confidence: Share = 0.5
    """A landmark below this confidence does not enter the mask (eq 4)."""
    colour: Literal["RGB"] = "RGB"


def recorded_views(about: Mapping[str, Any], *, stored: int | None = None) -> tuple[ViewConfig, int]:
    """The preprocessing in a checkpoint's config.json, and the side in pixels of the aligned faces it was trained on.

    Args:
        stored: taken instead of what the checkpoint says.

    Raises:
        ValueError: the checkpoint is silent, or was written by a version with other settings; the sentence names them.
    """
    said, known = about.get("preprocessing") or {}, {field.name for field in fields(ViewConfig)}
    if said.keys() != known:
        strange = ", ".join(sorted(said.keys() ^ known))
        raise ValueError(f"the checkpoint's preprocessing does not fit this version ({strange}): save it again with it")
    stored = stored or about.get("stored")
    if not stored:
        raise ValueError("the checkpoint does not say how large its aligned faces are: give stored (--stored), like 64")
    try:
        return msgspec.convert(said, ViewConfig), stored
    except msgspec.ValidationError as error:
        raise ValueError(f"the checkpoint's preprocessing is damaged ({error}): save it again") from None


class Batch(NamedTuple):
    """One batch on its way into a network."""

    views: tuple[Tensor, ...]
    """One (b, 3, s, s) float tensor for each name in the network's `inputs`."""
    labels: Int[Tensor, " b"]
    mask: Float[Tensor, "b 1 side side"]


class Views:
    """All faces of a split on one device, ready to be cut into batches."""

    def __init__(self, split: Split, config: ViewConfig, inputs: Sequence[str], device: str = "cpu") -> None:
        stored = split.images.shape[1]
        if stored < config.size:
            raise ValueError(
                f"images are stored at {stored} px, the face view needs {config.size}: open with size>={config.size}"
            )
        self.config, self.inputs, self.stored = config, tuple(inputs), stored
        self.images = on_device(split.images, device)
        self.labels = torch.from_numpy(np.array(split.labels, np.int64)).to(device)
        boxes, points, confidence = _geometry(split)
        self.boxes, self.points, self.confidence = (torch.from_numpy(a).to(device) for a in (boxes, points, confidence))

    def __len__(self) -> int:
        return len(self.labels)

    def batch(
        self,
        index: Int[Tensor, " b"],
        corner: Int[Tensor, "b 2"],
        flip: Bool[Tensor, " b"],
        change: Change | None = None,
        warp: Warp | None = None,
    ) -> Batch:
        """The views of faces `index`, cropped at pixel `corner` (x, y), flipped where `flip` is true, then changed.

        Args:
            warp: takes the place of the crop at `corner`.
        """
        size, share = self.config.size, self.config.size / self.stored
        if warp is None:
            origin = corner / self.stored
            face = _floats(_cropped(self.images[index], corner, size), flip)
            boxes = regions.into_crop(self.boxes[index], origin, share)
            points = regions.into_crop(self.points[index], origin, share)
        else:
            face = warp.picture(self.images[index], size)
            face = torch.where(flip[:, None, None, None], face.flip(3), face)
            boxes, points = warp.boxes(self.boxes[index]), warp.points(self.points[index])
        boxes, points = regions.mirrored(boxes, flip), regions.mirrored(points, flip)
        face = face if change is None else change(face)
        face = face.sub_(self.config.mean).div_(self.config.std)
        mask = regions.mask_grid(
            points, self.confidence[index], side=self.config.map_side, threshold=self.config.confidence
        )
        views = {"face": face}
        if "eyes" in self.inputs or "mouth" in self.inputs:
            views["eyes"] = resample(face, boxes[:, 0], self.config.local_size)
            views["mouth"] = resample(face, boxes[:, 1], self.config.local_size)
        ready = tuple(_three_channels(views[name]) for name in self.inputs)
        return Batch(ready, self.labels[index], mask)

    def training(
        self, batch: int, *, seed: int, epoch: int, erasing: float = 0.0, augmentation: Augmentation | None = None
    ) -> Iterator[Batch]:
        """Shuffled batches with random crop and horizontal flip (paper 1), a pure function of seed and epoch.

        Of several processes each gets its rows of every batch; a batch with fewer than two for each is left out.

        Args:
            erasing: probability with which a rectangle hides a part of a face (`fermodels.training.erasing`).
            augmentation: stronger changes, with an erasing of their own.
        """
        random = torch.Generator().manual_seed(seed * 1_000_003 + epoch)
        order = torch.randperm(len(self), generator=random)
        play = self.stored - self.config.size + 1
        for index in order.split(batch):
            if not processes.enough(len(index)):
                continue  # batch norm cannot train on one face
            corner = torch.randint(0, play, (len(index), 2), generator=random)
            flip = torch.rand(len(index), generator=random) < 0.5
            change = warp = None
            own = processes.own_rows(len(index))
            placed = [t[own].to(self.images.device) for t in (index, corner, flip)]
            if augmentation is not None:
                draws = torch.rand((augmenting.DRAWS, len(index)), generator=random)
                chance = iter(draws[:, own].to(self.images.device))
                share = self.config.size / self.stored
                warp = augmenting.warp_of(augmentation, placed[1] / self.stored, share, chance)
                change = partial(augmenting.relit_and_erased, augmentation=augmentation, chance=chance)
            elif erasing:
                draws = torch.rand((DRAWS, len(index)), generator=random)[:, own].to(self.images.device)
                change = partial(erased, chance=iter(draws), probability=erasing)
            yield self.batch(*placed, change=change, warp=warp)

    def evaluation(
        self, batch: int, *, crop: tuple[float, float] = FIVE_CROPS[0], flip: bool = False, rows: slice = ALL
    ) -> Iterator[Batch]:
        """Every face of `rows` once, in order, at one crop position (a share of the free play) and one orientation."""
        device = self.images.device
        place = torch.tensor(crop, device=device).mul(self.stored - self.config.size).round().long()
        for index in torch.arange(len(self), device=device)[rows].split(batch):
            flips = torch.full((len(index),), flip, device=device)
            yield self.batch(index, place.expand(len(index), 2), flips)

    def spread(self, n: int, batch: int = 128) -> list[Batch]:
        """At most `n` faces at the centre crop, evenly spaced over the split: ranges and norms are measured on them."""
        device = self.images.device
        picked = torch.linspace(0, len(self) - 1, min(n, len(self))).long().to(device)
        corner = torch.full((2,), (self.stored - self.config.size) // 2, device=device)
        plain = torch.zeros(batch, dtype=torch.bool, device=device)
        return [self.batch(i, corner.expand(len(i), 2), plain[: len(i)]) for i in picked.split(batch)]


def on_device(images: np.ndarray, device: str) -> UInt8[Tensor, "n h w c"]:
    """Stored faces as a tensor; on the CPU they stay where they are mapped."""
    with warnings.catch_warnings():  # a read-only memory map is fine: nothing writes into it
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(np.asarray(images)).to(device)


def _floats(pixels: UInt8[Tensor, "b s s c"], flip: Bool[Tensor, " b"]) -> Float[Tensor, "b c s s"]:
    """In [0, 1], flipped where `flip` is true."""
    pixels = torch.where(flip[:, None, None, None], pixels.flip(2), pixels).permute(0, 3, 1, 2)
    return pixels.float().div_(255)


def _cropped(pixels: UInt8[Tensor, "b h w c"], corner: Int[Tensor, "b 2"], size: int) -> UInt8[Tensor, "b s s c"]:
    """Each image's own size x size window, its upper left pixel at `corner` (x, y); three plain gathers, any device."""
    span = torch.arange(size, device=pixels.device)
    which = torch.arange(len(pixels), device=pixels.device)[:, None, None]
    return pixels[which, (corner[:, 1, None] + span)[:, :, None], (corner[:, 0, None] + span)[:, None, :]]


def _geometry(split: Split) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Region boxes (n, 2, 4), main points (n, 31, 2) and their confidence (n, 31), stored-image frame."""
    n, k = len(split), len(regions.MAIN_POINTS)
    if split.landmarks is None:
        points = np.tile(np.asarray(regions.MEAN_MAIN_POINTS, np.float32), (n, 1, 1))
        return regions.fallback_boxes(n), points, np.ones((n, k), np.float32)
    main = list(regions.MAIN_POINTS)
    confidence = np.ones((n, 68), np.float32) if split.confidence is None else np.asarray(split.confidence, np.float32)
    landmarks = np.asarray(split.landmarks, np.float32)
    return regions.region_boxes(landmarks), landmarks[:, main], confidence[:, main]


def resample(
    images: Float[Tensor, "b c h w"], boxes: Float[Tensor, "b 4"], size: int
) -> Float[Tensor, "b c size size"]:
    """Bilinear resampling of `boxes` (shares of the image side) to size x size; beyond it, the border repeats."""
    x0, y0, x1, y1 = boxes.clamp(0, 1).unbind(1)
    zero = torch.zeros_like(x0)
    rows = torch.stack((x1 - x0, zero, x0 + x1 - 1, zero, y1 - y0, y0 + y1 - 1), 1).view(-1, 2, 3)
    grid = functional.affine_grid(rows, [len(images), images.shape[1], size, size], align_corners=False)
    return functional.grid_sample(images, grid, padding_mode="border", align_corners=False)


def _three_channels(view: Tensor) -> Tensor:
    """A grey view thrice, in channels_last memory."""
    wide = view.expand(-1, 3, -1, -1) if view.shape[1] == 1 else view
    return wide.contiguous(memory_format=torch.channels_last)
