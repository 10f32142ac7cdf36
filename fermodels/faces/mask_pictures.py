"""Pictures of face masks, laid on a face by six points.

One thing to know: pictures and `masks.cfg` are those of MaskTheFace (Anwar and Raychowdhury 2020), in a folder that
the user names; the six points a, b, c (upper left, bridge, upper right) and d, e, f (lower left, chin, lower right)
are met exactly, what lies between bends as a thin plate would.
"""

import configparser
import os
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

import numpy as np
from jaxtyping import Float, Float32, Float64

from fermodels.data.open_picture import open_picture
from fermodels.faces.covers import Cover, Scene, lower_face

CONFIG = "masks.cfg"
SIX = (0, 13, 12, 3, 6, 9)
"""Where a to f lie in `covers.lower_face`: jaw 2, bridge 28, jaw 14, jaw 5, chin 8, jaw 11."""
HELP = "give the folder with MaskTheFace's masks.cfg and its pictures (github.com/aqeelanwar/MaskTheFace)"


def key_points(folder: Path) -> dict[str, Float64[np.ndarray, "6 2"]]:
    """Name -> its six points (a to f, pixels of the picture), for each mask whose picture lies in `folder`.

    Raises:
        ValueError: no masks.cfg, one that cannot be read, or none of its pictures.
    """
    config = configparser.ConfigParser()
    try:
        config.read_string((folder / CONFIG).read_text("utf-8"))
        there = {name: section for name, section in config.items() if (folder / f"{name}.png").is_file()}
        points = {name: _six(section) for name, section in sorted(there.items())}
    except (OSError, UnicodeDecodeError, configparser.Error, KeyError, ValueError) as error:
        raise ValueError(f"{folder / CONFIG} cannot be read ({type(error).__name__}: {error}); {HELP}") from None
    if not points:
        raise ValueError(f"{folder} holds none of the pictures that {CONFIG} names; {HELP}")
    return points


def _six(section: Mapping[str, str]) -> Float64[np.ndarray, "6 2"]:
    return np.array([[float(value) for value in section[f"mask_{key}"].split(",")] for key in "abcdef"]).reshape(6, 2)


def bend(
    source: Float[np.ndarray, "k 2"], target: Float[np.ndarray, "k 2"], points: Float[np.ndarray, "n 2"]
) -> Float64[np.ndarray, "n 2"]:
    """`points` under the thin-plate spline (Bookstein 1989) that takes each of `source` to its `target` exactly."""
    k = len(source)
    system = np.zeros((k + 3, k + 3))
    system[:k, :k] = _plate(source, source)
    system[:k, k:] = np.column_stack((np.ones(k), source))
    system[k:, :k] = system[:k, k:].T
    weights = np.linalg.solve(system, np.concatenate((target, np.zeros((3, 2)))))
    return _plate(points, source) @ weights[:k] + weights[k] + points @ weights[k + 1 :]


def _plate(points: Float[np.ndarray, "n 2"], centres: Float[np.ndarray, "k 2"]) -> Float64[np.ndarray, "n k"]:
    """r^2 log r^2, the bending of a thin plate held in one point."""
    square = ((points[:, None] - centres) ** 2).sum(-1)
    return square * np.log(np.maximum(square, 1e-12))


def _sampled(picture: Float32[np.ndarray, "h w 4"], places: Float64[np.ndarray, "n 2"]) -> Float32[np.ndarray, "n 4"]:
    """Bilinear values at `places` (continuous pixels); zero outside."""
    framed = np.pad(picture, ((1, 1), (1, 1), (0, 0)))
    limit = np.array([picture.shape[1], picture.shape[0]])
    at = (places + 0.5).clip(0, limit + 0.999)
    low = np.floor(at).astype(int)
    share = (at - low).astype(np.float32)[:, :, None]
    (x, y), (u, v) = low.T, share.transpose(1, 0, 2)
    upper = framed[y, x] * (1 - u) + framed[y, x + 1] * u
    lower = framed[y + 1, x] * (1 - u) + framed[y + 1, x + 1] * u
    return upper * (1 - v) + lower * v


def _changed(path: Path) -> int:
    """When `path` was last written, nanoseconds; 0 where there is no such file."""
    return path.stat().st_mtime_ns if path.is_file() else 0


@lru_cache(maxsize=8)
def _known(folder: Path, changed: int) -> dict[str, Float64[np.ndarray, "6 2"]]:
    """`key_points`, read once while the file is the same: a set has thousands of faces."""
    return key_points(folder)


@lru_cache(maxsize=64)
def _reduced(path: Path, step: int, changed: int) -> Float32[np.ndarray, "h w 4"]:
    """The picture with every side divided by `step`, its colours times its alpha: no dark fringe."""
    try:
        picture = open_picture(path).image
    except ValueError as error:
        raise ValueError(f"{path} cannot be read: {error}") from None
    return np.asarray(picture.convert("RGBA").convert("RGBa").reduce(step), np.float32)


def mask_picture(scene: Scene) -> Cover:
    """One of the pictures of `scene.pictures` (or the one that `scene.variant` names) on the lower face.

    Raises:
        ValueError: no folder of pictures, or no such picture in it.
    """
    if scene.pictures is None:
        raise ValueError(f'the occluder "picture" needs pictures of masks: {HELP}')
    folder = Path(os.path.expanduser(scene.pictures))
    known = _known(folder, _changed(folder / CONFIG))
    name = scene.variant or str(scene.chance.choice(sorted(known)))
    if name not in known:
        raise ValueError(f'no mask picture "{name}" in {folder}: there is {", ".join(known)}')
    six = lower_face(scene)[list(SIX)]
    step = max(1, int(np.ptp(known[name][:, 0]) / max(1.0, np.ptp(six[:, 0]))))
    path = folder / f"{name}.png"
    values = _reduced(path, step, _changed(path))
    height, width = scene.image.shape[:2]
    grid = np.stack(np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5), -1).reshape(-1, 2)
    found = _sampled(values, bend(six, known[name] / step, grid)).reshape(height, width, 4)
    alpha = found[..., 3:] / 255
    colour = found[..., :3] / np.maximum(alpha, 1e-3)
    return Cover(colour=colour.clip(0, 255), alpha=alpha[..., 0], parameters={"variant": name})
