"""Which rows of a data set show the same picture, which nearly the same, and which none: what an audit finds.

One thing to know: exact duplicates have the same pixels before resizing; near-duplicates differ there, but in few bits
of their perceptual hash, which is evidence and no proof.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float32, Int64, UInt8, UInt64

from fermodels.data.base import Dataset
from fermodels.data.decode import pixel_hashes
from fermodels.data.likeness import looks, near_pairs

FLAT = 6.0
"""Grey levels: a picture whose brightness has a smaller standard deviation shows no face. FER2013's faces have 9 and
more, its 14 empty pictures 4 and less."""
NEAR = 4
"""Bits of 64. Of FER2013's 117 pairs of a train and a test picture that are 4 bits apart, 112 are one photograph to the
eye; at 2 bits all are, at 6 about six in seven."""


@dataclass(frozen=True, kw_only=True)
class Audit:
    """All rows of a data set, train first, then validation and test; and which of them are alike."""

    data: Dataset
    bits: int
    """The greatest distance of near-duplicates."""
    part: Int64[np.ndarray, " n"]
    """Position of the row's split in `data.splits`."""
    labels: Int64[np.ndarray, " n"]
    picture: Int64[np.ndarray, " n"]
    """One number for all rows with the same pixels, 0 to pictures - 1."""
    flat: Bool[np.ndarray, " n"]
    """Constant or almost: no face."""
    near: Int64[np.ndarray, "pairs 2"]
    """Pairs of different pictures (their numbers) that look the same, the nearest first."""
    apart: Int64[np.ndarray, " pairs"]
    """The distance of each near pair in bits."""

    @property
    def splits(self) -> tuple[str, ...]:
        return tuple(self.data.splits)

    @cached_property
    def first(self) -> Int64[np.ndarray, " pictures"]:
        """The first row that shows each picture."""
        return np.unique(self.picture, return_index=True)[1]

    @cached_property
    def copies(self) -> Int64[np.ndarray, "pictures splits"]:
        """How many rows of each split show each picture."""
        counts = np.zeros((len(self.first), len(self.splits)), np.int64)
        np.add.at(counts, (self.picture, self.part), 1)
        return counts

    @cached_property
    def conflicting(self) -> Bool[np.ndarray, " pictures"]:
        """True for pictures whose rows have different labels."""
        lowest, highest = np.full(len(self.first), len(self.data.classes)), np.full(len(self.first), -1)
        np.minimum.at(lowest, self.picture, self.labels)
        np.maximum.at(highest, self.picture, self.labels)
        return lowest < highest

    @cached_property
    def exact_in(self) -> Bool[np.ndarray, "n splits"]:
        """True where another row of that split has the row's pixels."""
        own = self.part[:, None] == np.arange(len(self.splits))
        return self.copies[self.picture] > own

    @cached_property
    def near_in(self) -> Bool[np.ndarray, "n splits"]:
        """True where that split holds no copy of the row's pixels, but a picture that looks the same."""
        beside = np.zeros(self.copies.shape, bool)
        for one, other in (self.near.T, self.near.T[::-1]):
            np.logical_or.at(beside, one, self.copies[other] > 0)
        return beside[self.picture] & ~self.exact_in

    @property
    def repeats(self) -> int:
        """Rows whose pixels an earlier row has."""
        return len(self.part) - len(self.first)

    def place(self, row: int) -> dict[str, str]:
        """Split, name and label of a row, in words."""
        name, index = self._at(row)
        split, label = self.data.splits[name], self.data.classes[self.labels[row]]
        return {"split": name, "name": str(split.names[index]), "label": label}

    def pixels(self, row: int) -> UInt8[np.ndarray, "size size 3"]:
        """The picture of a row, grey or colour, as RGB."""
        name, index = self._at(row)
        image = self.data.splits[name].images[index]
        return np.broadcast_to(image, (*image.shape[:2], 3))

    def _at(self, row: int) -> tuple[str, int]:
        """The split of a row and its position there."""
        part = int(self.part[row])
        return self.splits[part], row - int(np.searchsorted(self.part, part))


def audit(data: Dataset, bits: int = NEAR) -> Audit:
    """Compares every picture of `data` with every other; near-duplicates differ in at most `bits` of 64 bits.

    Raises:
        ValueError: `bits` is not within 0 to 8.
    """
    splits = data.splits.values()
    hashes: UInt64[np.ndarray, " n"] = np.concatenate([pixel_hashes(split) for split in splits])
    seen = [looks(split.images) for split in splits]
    spread: Float32[np.ndarray, " n"] = np.concatenate([deviation for _, deviation in seen])
    flat = spread < FLAT
    _, first, picture = np.unique(hashes, return_index=True, return_inverse=True)
    order = np.argsort(first)  # pictures are numbered in the order of their first rows
    first, picture = first[order], np.argsort(order)[picture]
    shown = np.flatnonzero(~flat[first])  # the coarse light and shade of a flat picture is noise
    near, apart = near_pairs(np.concatenate([look for look, _ in seen])[first[shown]], bits)
    return Audit(
        data=data,
        bits=bits,
        part=np.repeat(np.arange(len(data.splits)), [len(split) for split in splits]),
        labels=np.concatenate([split.labels for split in splits]),
        picture=picture,
        flat=flat,
        near=shown[near],
        apart=apart,
    )
