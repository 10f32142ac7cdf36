"""Aligned faces that `python -m fermodels.faces.prepare` has cut out of photographs, as networks eat them.

One thing to know: the folder holds `prepared.json` (where the faces come from and how they were found) and per split
one memory-mapped array of pixels and one table of its rows; the photographs are not needed any more.

>>> open_dataset("prepared:faces/lfw", size=64, cache=Path("cache"))

`lfw:faces/lfw` is the same under the name of the photographs' data set, which records then carry.
"""

import json
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from compress.files import atomic_path, write_atomic
from fermodels.data.base import Dataset, LoadOptions
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


def write_split(folder: Path, blocks: Iterable[np.ndarray], columns: dict[str, np.ndarray]) -> None:
    """One split: its pixels in blocks (k, size, size, 3) uint8 that follow each other, and `COLUMNS` of their rows
    (`LANDMARK_COLUMNS` too, or neither of them)."""
    written = 0
    with atomic_path(folder / "images.u8") as path, path.open("wb") as file:
        for block in blocks:
            file.write(np.ascontiguousarray(block, np.uint8).data)
            written += len(block)
    assert set(columns) - set(COLUMNS) in (set(), set(LANDMARK_COLUMNS)) and set(COLUMNS) <= set(columns), columns
    assert all(len(column) == written for column in columns.values()), written
    with atomic_path(folder / "rows.npz") as path:
        np.savez(path, **columns)  # type: ignore[arg-type]


def write_meta(folder: Path, meta: Prepared) -> None:
    """The last file: its presence says that the folder is whole."""
    write_atomic(folder / META, json.dumps(meta.__dict__, indent=1) + "\n")


def read_meta(folder: Path) -> Prepared:
    """Raises ValueError when the folder was not prepared, not to its end, or by another version."""
    try:
        found = json.loads((folder / META).read_text("utf-8"))
        meta = Prepared(**{**found, "classes": tuple(found["classes"]), "notes": tuple(found["notes"])})
    except (OSError, json.JSONDecodeError, TypeError, KeyError) as error:
        raise ValueError(f"{folder} has no readable {META} ({type(error).__name__}: {error}). {HELP}") from None
    if meta.format != FORMAT:
        raise ValueError(f"{folder} has format {meta.format}, this program reads {FORMAT}: prepare it again")
    return meta


def is_prepared(path: str) -> bool:
    """Whether `path` is a folder that `prepare` has finished."""
    return (Path(path).expanduser() / META).is_file()


def load(path: str | None, options: LoadOptions, *, name: str = "prepared") -> Dataset:
    """The aligned faces, RGB, resized to `options.size`, as the data set `name`.

    Raises:
        ValueError: the folder is missing, unfinished or damaged; the sentence names it.
    """
    if not path:
        raise ValueError(HELP)
    root = Path(path).expanduser()
    meta = read_meta(root)
    rows = {name: _rows(root / name, name, meta.size) for name in SPLITS if not (meta.carved and name == "validation")}
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


def _rows(folder: Path, split: str, size: int) -> Rows:
    try:
        with (folder / "rows.npz").open("rb") as raw, np.load(raw) as entry:
            names, labels = entry["names"].tolist(), entry["labels"]
            points, confidence = (entry.get(name) for name in LANDMARK_COLUMNS)
        images = np.memmap(folder / "images.u8", np.uint8, "r", shape=(len(labels), size, size, 3))
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile) as error:
        raise ValueError(f"{folder} is damaged or empty ({error}): prepare it again. {HELP}") from None
    return Rows(
        name=f"prepared-{split}",
        names=names,
        labels=labels,
        fingerprint=fingerprint((folder / "images.u8", folder / "rows.npz")),
        read=lambda index: Image.fromarray(np.asarray(images[index])),
        landmarks=points,
        confidence=confidence,
    )
