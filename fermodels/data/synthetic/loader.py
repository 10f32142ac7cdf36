"""The data set `synthetic`: which faces make its splits, rendered once into memory-mapped arrays.

Splits are ranges of face numbers that never meet: the test faces are the same however many are trained on.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from compress.files import atomic_path, digest
from fermodels.data.base import Dataset, LoadOptions, Split
from fermodels.data.decode import live_bar
from fermodels.data.synthetic.actions import CANONICAL
from fermodels.data.synthetic.drawing import VERSION, Faces, render

_FIRST = {"train": 0, "validation": 2**30, "test": 2**31}
"""The number of the first face of each split."""

_MOST = 2**20
_CHUNK = 1024
_ARRAYS = ("images", "labels", "landmarks", "visibility")


@dataclass(frozen=True, kw_only=True)
class Selection:
    """What `synthetic:train=1600,validation=300,test=800,seed=0` asks for."""

    train: int = 1600
    validation: int = 300
    test: int = 800
    seed: int = 0


def selection_of(path: str | None) -> Selection:
    """Reads the part of a specification after `synthetic:`; ValueError says what is allowed."""
    known = {field.name for field in fields(Selection)}
    chosen: dict[str, int] = {}
    for part in (path or "").split(",") if path else ():
        match = re.fullmatch(r"\s*(\w+)\s*=\s*(\d{1,9})\s*", part)
        if match is None or match[1] not in known or match[1] in chosen:
            raise ValueError(
                f"synthetic:{path}: {part.strip()!r} is not understood. Faces are generated, not read from a path:"
                " write synthetic, or any of train=, validation=, test= (faces) and seed= once each, as in"
                " synthetic:train=8000,test=4000,seed=1."
            )
        chosen[match[1]] = int(match[2])
    for name, count in chosen.items():
        if name != "seed" and not 1 <= count <= _MOST:
            raise ValueError(f"synthetic:{path}: {name}={count} faces; give between 1 and {_MOST:,}.")
    return Selection(**chosen)


def _render_split(folder: Path, indices: range, size: int, seed: int, advance: Callable[[int], None]) -> None:
    """Renders in chunks straight into the four arrays; each appears under its name only when complete."""
    n = len(indices)
    shapes = {"images": (n, size, size, 3), "labels": (n,), "landmarks": (n, 68, 2), "visibility": (n, 68)}
    kinds = {"images": np.uint8, "labels": np.int64, "landmarks": np.float32, "visibility": np.float32}
    whole = {name: np.empty(shapes[name], kinds[name]) for name in _ARRAYS}
    for start in range(0, n, _CHUNK):
        faces: Faces = render(indices[start : start + _CHUNK], size=size, seed=seed)
        for name in _ARRAYS:
            whole[name][start : start + _CHUNK] = getattr(faces, name)
        advance(len(faces.labels))
    for name in _ARRAYS:
        with atomic_path(folder / f"{name}.npy") as temporary, temporary.open("wb") as file:
            np.save(file, whole[name])


def _open(folder: Path, n: int, size: int) -> dict[str, np.ndarray] | None:
    """The cached arrays, memory-mapped; None when they are not all there and whole."""
    try:
        found = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in _ARRAYS}
    except (OSError, ValueError, EOFError):
        return None
    return found if found["images"].shape == (n, size, size, 3) and all(len(a) == n for a in found.values()) else None


def _split(name: str, count: int, seed: int, options: LoadOptions) -> Split:
    first = _FIRST[name]
    key = digest({"renderer": VERSION, "size": options.size, "seed": seed, "first": first, "count": count})
    folder = options.cache / "synthetic" / f"{name}-{count}-{options.size}px-{key[:12]}"
    arrays = _open(folder, count, options.size)
    if arrays is None:
        with live_bar(f"drawing {name} faces", count, options.progress) as advance:
            _render_split(folder, range(first, first + count), options.size, seed, advance)
        arrays = _open(folder, count, options.size)
        assert arrays is not None, f"{folder} was just written"
    return Split(
        images=arrays["images"],
        labels=arrays["labels"],
        names=[f"face {index} of seed {seed}" for index in range(first, first + count)],
        landmarks=arrays["landmarks"],
        confidence=arrays["visibility"],
    )


def load(path: str | None, options: LoadOptions) -> Dataset:
    """Opens `synthetic` or `synthetic:{path}`; renders what the cache does not hold yet.

    Images are RGB at `options.size`, landmarks are exact, confidence is the landmarks' visibility (0 or 1).
    Raises ValueError when `path` is not a list of counts and a seed.
    """
    chosen = selection_of(path)
    counts = {name: getattr(chosen, name) for name in _FIRST}
    splits = {name: _split(name, count, chosen.seed, options) for name, count in counts.items()}
    notes = (
        "Synthetic: every face is drawn by a program from facial action units; no photograph and no person is in it.",
        f"Renderer version {VERSION}, seed {chosen.seed}; labels are drawn by hash, so classes are nearly balanced.",
        "Landmarks are the renderer's ground truth; confidence is 1 where a point is visible and 0 where it is hidden.",
        "Train, validation and test are disjoint ranges of independent faces that do not change with the counts.",
    )
    spec = f"synthetic:{path}" if path else "synthetic"
    licence = "Apache-2.0, as the program that draws it"
    return Dataset(spec=spec, name="synthetic", classes=CANONICAL, notes=notes, licence=licence, **splits)
