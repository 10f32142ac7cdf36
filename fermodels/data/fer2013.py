"""FER2013: 35,887 grey 48x48 faces, in the three forms in which people hold them; beside the csv, FER+'s votes.

One thing to know: Training trains, PublicTest validates, PrivateTest is the test; 280 and 288 rows of the last two
repeat a Training row's pixels, and are flagged as leaked.

>>> open_dataset("fer2013:fer2013.csv", size=64, cache=Path("cache"))
"""

import os
from array import array
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
from PIL import Image

from fermodels import EXPRESSIONS
from fermodels.data.arrays import Wanted, read_arrays
from fermodels.data.base import Dataset, LoadOptions
from fermodels.data.folder import class_tree
from fermodels.data.rows import Rows, Skips, file_rows, fingerprint, once
from fermodels.data.splits import Source, against_published, assemble
from fermodels.data.votes import FILE, VOTES, not_face, read_votes, votes_note

SIDE = 48
LABELS = frozenset("0123456")
USAGES = ("Training", "PublicTest", "PrivateTest")
PUBLISHED: dict[str, tuple[int, ...]] = {
    "Training": (3995, 436, 4097, 7215, 4830, 3171, 4965),
    "PublicTest": (467, 56, 496, 895, 653, 415, 607),
    "PrivateTest": (491, 55, 528, 879, 594, 416, 626),
}
"""Rows per class, in the order of `EXPRESSIONS`, which is FER2013's own."""
LICENCE = (
    "FER2013 (Goodfellow et al. 2013, Kaggle challenge): for research; pictures collected from the web, "
    "each with its own rights; not redistributed here."
)
HELP = (
    "fer2013 needs fer2013:PATH, where PATH is Kaggle's fer2013.csv (columns emotion, pixels, Usage), a folder with "
    "train/<class>/ and test/<class>/ images, or a fer2013.npz (images, labels, usage). Get it from "
    "https://www.kaggle.com/c/challenges-in-representation-learning-facial-expression-recognition-challenge"
)
NPZ = {
    "labels": Wanted(kinds="iu", shape=(None,)),
    "usage": Wanted(kinds="iu", shape=(None,)),
    "ferplus_votes": Wanted(kinds="iu", shape=(None, len(VOTES)), optional=True),
}
"""The small arrays of the npz file; `images` are read when the first is needed."""
NO_LANDMARKS = "fer2013 has no landmarks."


def load(path: str | None, options: LoadOptions) -> Dataset:
    """FER2013 from a csv, an npz or a folder; grey, resized to `options.size`.

    Raises:
        ValueError: the path is missing or of no known form, or a row or image is broken; the sentence names it.
    """
    if not path:
        raise ValueError(HELP)
    skips = Skips(allowed=options.skip_broken)
    found = listed(path, skips, HELP)
    if found is None:
        return assemble(_from_folders(path, Path(os.path.expanduser(path)), skips), options, skips)
    counts = [
        against_published(name, found.rows.labels[found.usage == position], EXPRESSIONS, PUBLISHED[name])
        for position, name in enumerate(USAGES)
    ]
    beside = () if Path(path).suffix.lower() == ".npz" else votes_note(found.rows.not_face)
    return assemble(by_usage("fer2013", path, found.rows, found.usage, *counts, *beside), options, skips)


class Listed(NamedTuple):
    """All good rows of one file."""

    rows: Rows
    """With FER2013's own labels."""
    usage: np.ndarray
    """(n,) positions in `USAGES`."""
    votes: np.ndarray | None
    """(n, 10) of FER+, as `VOTES`, where they are there."""


def listed(path: str, skips: Skips, help: str) -> Listed | None:
    """The rows of a csv or an npz; None for a folder.

    Raises:
        ValueError: the path is missing or of no known form, or a row is broken; `help` ends the sentence.
    """
    place = Path(os.path.expanduser(path))
    if not place.exists():
        raise ValueError(f"{path} does not exist. {help}")
    if place.suffix.lower() == ".npz":
        return _npz_rows(place, skips)
    if place.suffix.lower() == ".csv":
        return _csv_rows(place, skips)
    if place.is_dir():
        return None
    raise ValueError(f"{path} is neither a .csv nor a .npz file nor a folder. {help}")


def _npz_rows(path: Path, skips: Skips) -> Listed:
    try:
        found = read_arrays(path, NPZ)
        labels, usage = found["labels"].astype(np.int64), found["usage"].astype(np.int64)
        votes = found.get("ferplus_votes")
        if labels.shape != usage.shape:
            raise ValueError(f"labels {labels.shape} and usage {usage.shape} are not one number for each row")
        if votes is not None and len(votes) != len(labels):
            raise ValueError(f"ferplus_votes {votes.shape} are not {len(VOTES)} numbers for each row")
    except ValueError as error:
        raise ValueError(f"{path} cannot be read as FER2013: {error}. {HELP}") from None
    images = once(lambda: _npz_images(path, len(labels)))
    names = [f"row {i}" for i in range(len(labels))]
    rows = Rows(
        name="fer2013",
        names=names,
        labels=labels,
        fingerprint=fingerprint([path.resolve()]),
        read=lambda i: Image.fromarray(images()[i]),
        not_face=None if votes is None else not_face(votes),
    )
    return _valid(path, Listed(rows, usage, votes), skips)


def _npz_images(path: Path, count: int) -> np.ndarray:
    try:
        images = read_arrays(path, {"images": Wanted(kinds="u", shape=(count, SIDE, SIDE))})["images"]
        if images.dtype != np.uint8:
            raise ValueError(f"images is {images.dtype}, expected uint8")
        return images
    except ValueError as error:
        raise ValueError(f"{path} cannot be read as FER2013: {error}. {HELP}") from None


def _valid(path: Path, found: Listed, skips: Skips) -> Listed:
    """The rows whose label and usage are known; reports the others."""
    rows, usage, votes = found
    good = (rows.labels >= 0) & (rows.labels < len(EXPRESSIONS)) & (usage >= 0) & (usage < len(USAGES))
    for i in np.flatnonzero(~good).tolist():
        skips.report(
            f"{path}, {rows.names[i]}: emotion {rows.labels[i]} (allowed 0 to 6) with usage {usage[i]} (allowed 0 to 2)"
        )
    kept = np.flatnonzero(good)
    return (
        found if good.all() else Listed(rows.take(rows.name, kept), usage[kept], None if votes is None else votes[kept])
    )


def _csv_rows(path: Path, skips: Skips) -> Listed:
    """The rows of Kaggle's csv. Only offsets stay in memory: pixels are read when needed."""
    labels, usage, offsets, names = array("q"), array("q"), array("q"), []
    usages: list[str] = []
    kept: list[bool] = []
    with path.open("rb") as file:
        columns = _columns(path, file.readline())
        offset = file.tell()
        for row, line in enumerate(file):
            if line.strip():
                emotion, kind = (_cell(line, columns[name]) for name in ("emotion", "usage"))
                usages.append(kind)
                kept.append(emotion in LABELS and kind in USAGES)
                if kept[-1]:
                    labels.append(int(emotion))
                    usage.append(USAGES.index(kind))
                    offsets.append(offset)
                    names.append(f"row {row}")
                else:
                    skips.report(
                        f'{path}, row {row} (line {row + 2}): emotion "{emotion[:20]}" (allowed 0 to 6) with Usage '
                        f'"{kind[:20]}" (allowed {", ".join(USAGES)})'
                    )
            offset += len(line)
    beside = path.with_name(FILE)
    votes = read_votes(beside, usages)[np.array(kept, bool)] if beside.is_file() else None
    rows = Rows(
        name="fer2013",
        names=names,
        labels=np.array(labels, np.int64),
        fingerprint=fingerprint([path.resolve()]),
        read=lambda i: _csv_image(path, offsets[i], columns["pixels"]),
        not_face=None if votes is None else not_face(votes),
    )
    return Listed(rows, np.array(usage, np.int64), votes)


def _columns(path: Path, header: bytes) -> dict[str, int]:
    """Where emotion, pixels and usage stand."""
    names = [cell.strip(' "\r\n').lower() for cell in header.decode("utf-8-sig", "replace")[:200].split(",")]
    if any(names.count(name) != 1 for name in ("emotion", "pixels", "usage")):
        raise ValueError(f"{path} begins with the columns {names}, not with one emotion, pixels, Usage each. {HELP}")
    return {name: position for position, name in enumerate(names)}


def _cell(line: bytes, position: int) -> str:
    cells = line.split(b",")
    return cells[position].strip(b' "\r\n').decode("utf-8", "replace") if position < len(cells) else ""


def _csv_image(path: Path, offset: int, position: int) -> Image.Image:
    with path.open("rb") as file:
        file.seek(offset)
        cell = _cell(file.readline(), position)
    try:
        pixels = bytes(map(int, cell.split()))
    except ValueError:
        raise ValueError(f"a pixel in {path} is not a whole number from 0 to 255") from None
    if len(pixels) != SIDE * SIDE:
        raise ValueError(f"{len(pixels):,} pixels in {path}, expected {SIDE * SIDE:,}")
    return Image.frombytes("L", (SIDE, SIDE), pixels)


def _from_folders(path: str, root: Path, skips: Skips) -> Source:
    """Class folders. Where the files' own names tell PublicTest from PrivateTest, the official splits come back."""
    splits, classes, left_out = class_tree(root, f"fer2013:{path}", skips)
    if classes != EXPRESSIONS:
        raise ValueError(
            f"{path} has the class folders {list(classes)}; fer2013's are {', '.join(EXPRESSIONS)}. {HELP}"
        )
    parts = {name: file_rows(f"fer2013-{name}", root, *files) for name, files in splits.items()}
    notes = ["Read from class folders.", *left_out]
    usages = np.array([PurePosixPath(name).name.split("_")[0] for name in parts["test"].names])
    published = {
        "train": PUBLISHED["Training"],
        "validation": PUBLISHED["PublicTest"],
        "test": PUBLISHED["PrivateTest"],
    }
    if "validation" not in parts and set(usages.tolist()) == {"PublicTest", "PrivateTest"}:
        notes.append("The files' names give the official splits: PublicTest is validation, PrivateTest is test.")
        together = parts["test"]
        parts["validation"] = together.take("fer2013-validation", np.flatnonzero(usages == "PublicTest"))
        parts["test"] = together.take("fer2013-test", np.flatnonzero(usages == "PrivateTest"))
    elif "validation" not in parts and len(parts["test"]) > sum(PUBLISHED["PrivateTest"]):
        notes.append("This test folder holds PublicTest and PrivateTest together: its scores are not PrivateTest's.")
        published["test"] = tuple(map(sum, zip(PUBLISHED["PublicTest"], PUBLISHED["PrivateTest"], strict=True)))
    notes += [against_published(name, rows.labels, EXPRESSIONS, published[name]) for name, rows in parts.items()]
    return Source(
        name="fer2013",
        path=path,
        classes=EXPRESSIONS,
        channels=1,
        train=parts["train"],
        validation=parts.get("validation"),
        test=parts["test"],
        notes=(*notes, NO_LANDMARKS),
        licence=LICENCE,
    )


def by_usage(name: str, path: str, rows: Rows, usage: np.ndarray, *notes: str) -> Source:
    """The three official splits."""
    parts = []
    for position, split in enumerate(("train", "validation", "test")):
        indices = np.flatnonzero(usage == position)
        if not len(indices):
            raise ValueError(f"{path} has no {USAGES[position]} rows; {split} needs them. {HELP}")
        parts.append(rows.take(f"{name}-{split}", indices))
    note = "Training is train, PublicTest is validation, PrivateTest is test."
    return Source(
        name=name,
        path=path,
        classes=EXPRESSIONS,
        channels=1,
        train=parts[0],
        validation=parts[1],
        test=parts[2],
        notes=(note, *notes, NO_LANDMARKS),
        licence=LICENCE,
    )
