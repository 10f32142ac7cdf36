"""Aligned faces that `python -m fermodels.faces.prepare` has cut out of photographs, as networks eat them.

One thing to know: the folder holds `prepared.json` (where the faces come from and how they were found) and per split
one memory-mapped array of pixels and one table of its rows; the photographs are not needed any more.

>>> open_dataset("prepared:faces/lfw", size=64, cache=Path("cache"))

`lfw:faces/lfw` is the same under the name of the photographs' data set, which records then carry.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
from PIL import Image

from compress.files import atomic_path, write_json
from compress.typed_json import read_json
from fermodels.data.arrays import Wanted, read_arrays, write_arrays
from fermodels.data.base import Dataset, LoadOptions
from fermodels.data.decode import mapped
from fermodels.data.rows import Rows, Skips, fingerprint
from fermodels.data.splits import Source, assemble

FORMAT = 1
META = "prepared.json"
SPLITS = ("train", "validation", "test")
COLUMNS = ("names", "labels", "matrices", "boxes", "points", "probabilities", "faces")
"""Of each kept photograph: name, label, photograph -> face (2, 3), box (4), five points (5, 2), probability, and how
many faces it held."""
LANDMARK_COLUMNS = ("landmarks", "confidence")
"""There when landmarks were asked for: 68 points (68, 2) as shares of the face's side, and confidences (68,)."""
IMAGES, ROWS = "images.u8", "rows.npz"
"""A split's pixels and its columns."""
KEPT = {
    "names": Wanted(kinds="U", shape=(None,)),
    "labels": Wanted(kinds="iu", shape=(None,)),
    "landmarks": Wanted(kinds="f", shape=(None, 68, 2), optional=True),
    "confidence": Wanted(kinds="f", shape=(None, 68), optional=True),
}
"""The columns that training needs."""
HELP = "prepared needs prepared:PATH, a folder that python -m fermodels.faces.prepare has written"


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """What `prepared.json` says."""

    format: int
    spec: str
    """The photographs' data set: "lfw:PATH"."""
    classes: tuple[str, ...]
    size: int
    """Side of the aligned faces in pixels."""
    provenance: dict[str, Any]
    """Detector, its version, its smallest face, the template, the policy; where there are landmarks, their source."""
    carved: bool
    """There was no validation split: it is carved from train when the faces are read."""
    notes: tuple[str, ...]
    licence: str
    checks: dict[str, int] = field(default_factory=dict)
    """Split -> CRC-32 of its pixels; of folders written before November 2026 there is none."""


def write_split(folder: Path, blocks: Iterable[np.ndarray], columns: dict[str, np.ndarray]) -> int:
    """One split: its pixels in blocks (k, size, size, 3) uint8 that follow each other, and `COLUMNS` of their rows
    (`LANDMARK_COLUMNS` too, or neither of them). Returns the CRC-32 of the pixels."""
    written, check = 0, 0
    with atomic_path(folder / IMAGES) as path, path.open("wb") as file:
        for block in blocks:
            pixels = np.ascontiguousarray(block, np.uint8).data
            file.write(pixels)
            check = crc32(pixels, check)
            written += len(block)
    assert set(columns) - set(COLUMNS) in (set(), set(LANDMARK_COLUMNS)) and set(COLUMNS) <= set(columns), columns
    assert all(len(column) == written for column in columns.values()), written
    write_arrays(folder / ROWS, columns)
    return check


def write_meta(folder: Path, meta: Prepared) -> None:
    """The last file: its presence says that the folder is whole."""
    write_json(folder / META, meta)


def read_meta(folder: Path) -> Prepared:
    """Raises ValueError when the folder was not prepared, not to its end, or by another version."""
    meta = read_json(folder / META, Prepared, what=f"readable {META}", mend=HELP)
    if meta.format != FORMAT:
        raise ValueError(f"{folder} has format {meta.format}, this program reads {FORMAT}: prepare it again")
    if not (1 <= meta.size <= 1024 and meta.classes and {"detector", "version", "template"} <= set(meta.provenance)):
        raise ValueError(f"{folder / META} lacks classes, a size of 1 to 1,024 or where its faces come from. {HELP}")
    return meta


def is_prepared(path: str) -> bool:
    """Whether `path` is a folder that `prepare` has finished."""
    return (Path(os.path.expanduser(path)) / META).is_file()


def load(path: str | None, options: LoadOptions, *, name: str = "prepared") -> Dataset:
    """The aligned faces, RGB, resized to `options.size`, as the data set `name`.

    Raises:
        ValueError: the folder is missing, unfinished or damaged; the sentence names it.
    """
    if not path:
        raise ValueError(HELP)
    root = Path(os.path.expanduser(path))
    meta = read_meta(root)
    rows = {name: _rows(root / name, name, meta) for name in SPLITS if not (meta.carved and name == "validation")}
    found = meta.provenance
    notes = (
        *meta.notes,
        f"Aligned to {meta.size} px from {_told(meta.spec)} with {found['detector']} ({found['version']}), "
        f"template {found['template']}.",
        f"Landmarks: {found['landmarks']}." if "landmarks" in found else "No landmarks were asked for.",
    )
    source = Source(
        name=name,
        path=path,
        classes=meta.classes,
        channels=3,
        train=rows["train"],
        validation=rows.get("validation"),
        test=rows["test"],
        notes=notes,
        licence=meta.licence,
    )
    return assemble(source, options, Skips(allowed=options.skip_broken))


def _told(spec: str) -> str:
    """`spec` without the folders of its path: notes are published."""
    name, _, path = spec.partition(":")
    return f"{name}:{Path(path).name}"


def _rows(folder: Path, split: str, meta: Prepared) -> Rows:
    try:
        entry = read_arrays(folder / ROWS, KEPT)
        labels, points, confidence = entry["labels"], *map(entry.get, LANDMARK_COLUMNS)
        lengths = {len(column) for column in entry.values()}
        if len(lengths) != 1 or (points is None) != (confidence is None):
            raise ValueError(f"{ROWS} has columns of different lengths, or landmarks without confidence")
        if len(labels) and not 0 <= labels.min() <= labels.max() < len(meta.classes):
            raise ValueError(f"{ROWS} has labels beyond its {len(meta.classes)} classes")
        shape = (len(labels), meta.size, meta.size, 3)
        images = mapped(folder / IMAGES, shape, meta.checks.get(split))
    except (OSError, ValueError) as error:
        raise ValueError(f"{folder} is damaged or empty ({error}): prepare it again. {HELP}") from None
    return Rows(
        name=f"prepared-{split}",
        names=entry["names"].tolist(),
        labels=labels.astype(np.int64),
        fingerprint=fingerprint((folder / IMAGES, folder / ROWS)),
        read=lambda index: Image.fromarray(np.asarray(images[index])),
        landmarks=points,
        confidence=confidence,
    )
