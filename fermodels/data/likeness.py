"""Pictures that look alike: a perceptual hash of 64 bits, and all pairs of hashes that differ in few of them.

One thing to know: the hash sees a picture's coarse light and shade alone. Of FER2013's faces made 30 levels brighter, a
fifth darker, noisy (5 levels) or JPEG (quality 60), 99 in 100 stay within 4 bits; shifted by one of 48 pixels, half do,
and 93 in 100 stay within 8. A mirrored picture is another picture.
"""

from itertools import pairwise

import numpy as np
from jaxtyping import Float32, Int64, UInt8, UInt64

FREQUENCIES = 8
"""Cosines along each side, from frequency 0 upwards: 64 coefficients, 64 bits."""
MOST_BITS = 8
"""Beyond this distance faces of different people meet, and the bands that find them become long."""
LUMA = np.array([0.299, 0.587, 0.114], np.float32)
"""Grey from red, green and blue (ITU-R BT.601)."""
_BLOCK = 2**22
"""Pixels that are turned to floats at a time."""
_ONES = np.array([bin(byte).count("1") for byte in range(256)], np.uint8)


def grey(images: UInt8[np.ndarray, "n h w c"]) -> Float32[np.ndarray, "n h w"]:
    """Brightness from 0 to 255 of grey (c = 1) or RGB (c = 3) pictures."""
    return images[..., 0].astype(np.float32) if images.shape[-1] == 1 else images.astype(np.float32) @ LUMA


def _cosines(side: int) -> Float32[np.ndarray, "frequencies side"]:
    centres = np.arange(side) + 0.5
    return np.cos(np.pi * np.arange(FREQUENCIES)[:, None] * centres / side).astype(np.float32)


def looks(
    images: UInt8[np.ndarray, "n h w c"],
) -> tuple[UInt64[np.ndarray, " n"], Float32[np.ndarray, " n"]]:
    """The perceptual hash of each picture, and the standard deviation of its brightness in grey levels.

    A bit says whether one of the 8 x 8 lowest coefficients of the cosine transform lies above their median (pHash,
    Zauner 2010); the mean brightness has no say. As many lie above as below, so distances are even. Works in blocks:
    memory does not grow with n.
    """
    n, height, width = images.shape[:3]
    down, across = _cosines(height), _cosines(width)
    hashes, spread = np.empty(n, np.uint64), np.empty(n, np.float32)
    step = max(1, _BLOCK // (height * width))
    for start in range(0, n, step):
        block = grey(images[start : start + step])
        coefficients = (down @ block @ across.T).reshape(len(block), -1)
        bits = coefficients > np.median(coefficients[:, 1:], axis=1, keepdims=True)
        bits[:, 0] = False
        hashes[start : start + step] = np.packbits(bits, axis=1).view(np.uint64)[:, 0]
        spread[start : start + step] = block.std(axis=(1, 2))
    return hashes, spread


def distance(a: UInt64[np.ndarray, " k"], b: UInt64[np.ndarray, " k"]) -> Int64[np.ndarray, " k"]:
    """In how many of the 64 bits a and b differ."""
    return _ONES[(a ^ b).view(np.uint8)].reshape(len(a), 8).sum(axis=1, dtype=np.int64)


def near_pairs(
    hashes: UInt64[np.ndarray, " n"], bits: int
) -> tuple[Int64[np.ndarray, "pairs 2"], Int64[np.ndarray, " pairs"]]:
    """All pairs (i, j), i < j, whose hashes differ in at most `bits` bits, and their distances; nearest first, then in
    the order of i and j.

    The bits are cut into `bits` + 1 bands; hashes of a pair agree in at least one of them (Norouzi et al. 2012), so
    only rows that share a band are compared. Memory grows with the pairs found, not with n squared.

    Raises:
        ValueError: `bits` is not within 0 to 8.
    """
    if not 0 <= bits <= MOST_BITS:
        raise ValueError(f"{bits} bits: near-duplicates differ in 0 to {MOST_BITS} of 64 bits; beyond, faces differ")
    edges = np.linspace(0, 64, bits + 2).round().astype(int).tolist()
    bands = [(low, high - low) for low, high in pairwise(edges)]
    found = np.unique(np.concatenate([_sharing(hashes, *band, bits) for band in bands]), axis=0)
    apart = distance(hashes[found[:, 0]], hashes[found[:, 1]])
    order = np.argsort(apart, kind="stable")
    return found[order], apart[order]


def _sharing(hashes: UInt64[np.ndarray, " n"], low: int, width: int, bits: int) -> Int64[np.ndarray, "pairs 2"]:
    """The near pairs among rows that agree in `width` bits from bit `low` on."""
    band = (hashes >> np.uint64(low)) & np.uint64(2**width - 1)
    order = np.argsort(band, kind="stable")
    band, sorted_hashes = band[order], hashes[order]
    found = [np.empty((0, 2), np.int64)]
    first = np.arange(len(hashes))
    for step in range(1, len(hashes)):  # each row against the one `step` places further in its band
        first = first[first + step < len(hashes)]
        first = first[band[first] == band[first + step]]
        if not len(first):
            break
        near = first[distance(sorted_hashes[first], sorted_hashes[first + step]) <= bits]
        found.append(np.stack((order[near], order[near + step]), axis=1))  # ascending: the sorting is stable
    return np.concatenate(found)
