"""Random numbers that belong to a face, not to a run: every draw is a hash of (seed, index, name).

Face 17 is the same face whether one or a million are made, in whatever order, and adding a new draw
changes no other. A quiet `Chance` answers with the middle of every range: the average face.
"""

from zlib import crc32

import numpy as np
from jaxtyping import Bool, Float32, Int64, Shaped

_STEP = np.array([0x9E3779B97F4A7C15], np.uint64)
_FIRST = np.array([0xBF58476D1CE4E5B9], np.uint64)
_SECOND = np.array([0x94D049BB133111EB], np.uint64)


def _mix(value: np.ndarray) -> np.ndarray:
    """The finaliser of splitmix64 (Steele, Lea and Flood, OOPSLA 2014): 64 bits in, 64 well-stirred bits out."""
    value = value + _STEP
    value = (value ^ (value >> np.uint64(30))) * _FIRST
    value = (value ^ (value >> np.uint64(27))) * _SECOND
    return value ^ (value >> np.uint64(31))


def _share(bits: np.ndarray) -> np.ndarray:
    """64 bits to float32 in [0, 1)."""
    return (bits >> np.uint64(40)).astype(np.float32) * np.float32(2.0**-24)


class Chance:
    """Draws for the faces `indices` (non-negative) of `seed`; every method gives one value a face."""

    def __init__(self, seed: int, indices: Int64[np.ndarray, " n"], *, quiet: bool = False) -> None:
        start = _mix(np.array([seed % 2**63], np.uint64))
        self._base = _mix(np.asarray(indices).astype(np.uint64) ^ start)
        self.quiet = quiet

    def __len__(self) -> int:
        return len(self._base)

    def bits(self, name: str) -> Shaped[np.ndarray, " n"]:
        """64 hashed bits a face (uint64), drawn even when quiet."""
        return _mix(self._base ^ (np.array([crc32(name.encode())], np.uint64) << np.uint64(20)))

    def uniform(self, name: str, low: float = 0.0, high: float = 1.0) -> Float32[np.ndarray, " n"]:
        if self.quiet:
            return np.full(len(self), (low + high) / 2, np.float32)
        return (low + (high - low) * _share(self.bits(name))).astype(np.float32)

    def normal(self, name: str, mean: float = 0.0, deviation: float = 1.0) -> Float32[np.ndarray, " n"]:
        """Nearly normal, never beyond 2.7 deviations: a sum of four uniforms (Irwin-Hall), scaled."""
        bits = self.bits(name)
        total = sum((bits >> np.uint64(shift) & np.uint64(0xFFFF)).astype(np.float32) for shift in (0, 16, 32, 48))
        spread = 0.0 if self.quiet else deviation
        centred = (np.asarray(total) / 65536 - 2) * np.float32(np.sqrt(3) * 0.78)
        return (mean + spread * centred).astype(np.float32)

    def happens(self, name: str, probability: float) -> Bool[np.ndarray, " n"]:
        return (_share(self.bits(name)) < probability) & (not self.quiet)

    def choice(self, name: str, count: int) -> Int64[np.ndarray, " n"]:
        """An integer in [0, count); 0 when quiet."""
        picked = (_share(self.bits(name)) * count).astype(np.int64)
        return picked * (not self.quiet)

    def colour(self, name: str, palette: np.ndarray, spread: float = 0.04) -> Float32[np.ndarray, "n 3"]:
        """A point on the line through the palette's (k, 3) colours, each channel moved by up to `spread`."""
        place = self.uniform(f"{name}.place", 0, len(palette) - 1.001)
        low = place.astype(np.int64)
        mixed = palette[low] + (palette[low + 1] - palette[low]) * (place - low)[:, None]
        moved = np.stack([self.uniform(f"{name}.{channel}", -spread, spread) for channel in "rgb"], axis=1)
        return np.clip(mixed + moved, 0, 1).astype(np.float32)


def noise_bank(count: int) -> Float32[np.ndarray, " count"]:
    """`count` fixed standard normal numbers (Box-Muller on hashed counters): sensor noise is cut from this strip."""
    bits = _mix(np.arange(count, dtype=np.uint64))
    radius = np.sqrt(-2 * np.log(1 - _share(bits).astype(np.float64)))
    angle = 2 * np.pi * _share(bits << np.uint64(24)).astype(np.float64)
    return (radius * np.cos(angle)).astype(np.float32)
