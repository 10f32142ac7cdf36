"""What the camera does to the picture: blur, exposure, tint, sensor noise, and a coarse JPEG."""

from functools import cache

import numpy as np
from jaxtyping import Float32, UInt8

from fermodels.data.synthetic.chance import noise_bank
from fermodels.data.synthetic.looks import Camera

_STRIPS = 2**17


@cache
def _bank(length: int) -> np.ndarray:
    return noise_bank(_STRIPS + length)


@cache
def _cosines(size: int) -> np.ndarray:
    """(size, size) orthonormal DCT-II in blocks of 8 (the last block may be smaller): JPEG's transform."""
    matrix = np.zeros((size, size), np.float32)
    for start in range(0, size, 8):
        side = min(8, size - start)
        k, x = np.arange(side)[:, None], np.arange(side)[None]
        block = np.cos(np.pi * (2 * x + 1) * k / (2 * side)) * np.sqrt(np.where(k == 0, 1, 2) / side)
        matrix[start : start + side, start : start + side] = block
    return matrix


@cache
def _steps(size: int) -> np.ndarray:
    """(size, size) how much coarser each coefficient is kept: finer for the low frequencies."""
    frequency = np.arange(size) % 8
    return (0.5 + 0.35 * (frequency[:, None] + frequency[None])).astype(np.float32)


def _blurred(image: np.ndarray, sigma: np.ndarray) -> np.ndarray:
    """A Gaussian of `sigma` pixels as one banded matrix from each side."""
    place = np.arange(image.shape[-1], dtype=np.float32)
    distance = (place[:, None] - place[None]) ** 2
    # Beyond 4 deviations the weight is nothing, and as a denormal number it would make the product ten times slower.
    share = distance[None] / (2 * sigma[:, None, None] ** 2)
    matrix = np.where(share < 8, np.exp(-np.minimum(share, 8)), 0).astype(np.float32)
    matrix /= matrix.sum(-1, keepdims=True)
    return matrix[:, None] @ image @ matrix[:, None].transpose(0, 1, 3, 2)


def _coarse(image: np.ndarray, step: np.ndarray) -> np.ndarray:
    """Coefficients of 8x8 blocks rounded to multiples of `step`, as a strongly compressed JPEG does."""
    cosines = _cosines(image.shape[-1])
    grid = step[:, None, None, None] * _steps(image.shape[-1])
    kept = np.rint(cosines @ image @ cosines.T / grid) * grid
    return cosines.T @ kept @ cosines


def develop(image: Float32[np.ndarray, "n 3 s s"], camera: Camera) -> UInt8[np.ndarray, "n s s 3"]:
    """Scene colours in about [0, 1] to 8-bit pictures, channels last."""
    size = image.shape[-1]
    image = _blurred(image, (camera.blur * size / 64).astype(np.float32))
    gain = (camera.gain[:, None] * camera.tint)[..., None, None]
    image *= gain
    image += (0.5 * (1 - camera.gain) + camera.lift)[:, None, None, None]
    length = 3 * size * size
    strips = np.lib.stride_tricks.sliding_window_view(_bank(length), length)
    image += strips[camera.strip % _STRIPS].reshape(image.shape) * camera.noise[:, None, None, None]
    rows = np.flatnonzero(camera.coarse > 0)
    if len(rows):
        image[rows] = _coarse(image[rows], camera.coarse[rows])
    levels = np.clip(image, 0, 1) * np.float32(255) + np.float32(0.5)
    return np.ascontiguousarray(levels.astype(np.uint8).transpose(0, 2, 3, 1))
