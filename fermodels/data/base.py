"""What a data set is: three splits of decoded faces, their classes and what must be said about them.

A loader turns files into a `Dataset`; nothing downstream knows where the faces came from.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True, kw_only=True)
class Split:
    """One split. Points are (x, y) as a share of the image side, origin at the upper left corner."""

    images: np.ndarray
    """(n, size, size, channels) uint8, channels 1 (grey) or 3 (RGB); usually memory-mapped, read-only."""
    labels: np.ndarray
    """(n,) int64, positions in `Dataset.classes`."""
    names: Sequence[str]
    """n stable identifiers: a file name or "row 17"."""
    landmarks: np.ndarray | None = None
    """(n, 68, 2) float32 in iBUG-68 order, or None when the set has none."""
    confidence: np.ndarray | None = None
    """(n, 68) float32 in [0, 1]: 1 is surely visible."""
    leaked: np.ndarray | None = None
    """(n,) bool: the same original pixels occur in the train split."""
    hashes: np.ndarray | None = None
    """(n,) uint64: equal where the original pixels are, before resizing."""
    not_face: np.ndarray | None = None
    """(n,) bool: the set itself says that the picture shows no face; None when it does not say."""

    def __post_init__(self) -> None:
        n = len(self.images)
        assert self.images.ndim == 4 and self.images.dtype == np.uint8, (self.images.shape, self.images.dtype)
        assert len(self.labels) == n and len(self.names) == n, (n, len(self.labels), len(self.names))

    def __len__(self) -> int:
        return len(self.images)


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """A named set of faces with train, validation and test, split before anything else happens to an image."""

    spec: str
    """As the user named it: "synthetic", "fer2013:PATH"."""
    name: str
    classes: tuple[str, ...]
    train: Split
    validation: Split
    test: Split
    notes: tuple[str, ...]
    """Sentences for the record: counts against the official ones, how validation came about, what was skipped."""
    licence: str

    @property
    def splits(self) -> dict[str, Split]:
        return {"train": self.train, "validation": self.validation, "test": self.test}


@dataclass(frozen=True, kw_only=True)
class LoadOptions:
    """What every loader is told."""

    size: int
    """Side in pixels to which every image is resized."""
    cache: Path
    """Folder for the decoded, memory-mapped arrays; safe to delete."""
    skip_broken: bool = False
    """Continue past a broken image or row and count it, instead of stopping with its name."""
    progress: bool = False
    """Show one live bar while decoding (only on a terminal)."""
