"""AffectNet, manually annotated, in both forms in which its authors have handed it out.

One thing to know: its test set was never published, so the official validation images are our test split and
validation is carved from train. `affectnet` has the seven expressions, `affectnet8` keeps contempt as the eighth.

>>> open_dataset("affectnet:AffectNet", size=224, cache=Path("cache"))
"""

import csv
import os
from array import array
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from fermodels import EXPRESSIONS
from fermodels.data.arrays import Wanted, read_array, read_arrays, write_arrays
from fermodels.data.base import Dataset, LoadOptions
from fermodels.data.decode import live_bar
from fermodels.data.rows import Skips, file_rows, fingerprint, inside
from fermodels.data.splits import Source, against_published, assemble

LABELS = ("neutral", "happiness", "sadness", "surprise", "fear", "disgust", "anger", "contempt")
"""AffectNet's own numbers; 8 None, 9 Uncertain and 10 No-Face follow and are never used."""
CODES = 11
FARTHEST = 1e6
"""Pixels: no face box is larger or farther away."""
CONTEMPT = LABELS.index("contempt")
PUBLISHED = {
    "train": (24882, 3803, 6378, 134415, 25459, 14090, 74874, 3750),
    "test": (500, 500, 500, 500, 500, 500, 500, 500),
}
"""Images per class, in the order of `EXPRESSIONS`, then contempt (of which the newer form has 499 in test)."""
COLUMNS = (
    "subDirectory_filePath",
    "face_x",
    "face_y",
    "face_width",
    "face_height",
    "facial_landmarks",
    "expression",
)
LISTED = {
    "names": Wanted(kinds="u", shape=(None,)),
    "codes": Wanted(kinds="i", shape=(None,)),
    "boxes": Wanted(kinds="i", shape=(None, 4), optional=True),
    "landmarks": Wanted(kinds="f", shape=(None, 68, 2), optional=True),
}
"""A `Listing` as it is kept."""
LICENCE = "AffectNet (Mollahosseini et al. 2017): non-commercial research by agreement; not redistributed here."
HELP = (
    "affectnet needs affectnet:PATH (or affectnet8:PATH with contempt), a folder with train_set/ and val_set/, each "
    "with images/<id>.jpg and annotations/<id>_exp.npy, or one with training.csv, validation.csv and "
    "Manually_Annotated_Images/. Ask its authors for it: http://mohammadmahoor.com/affectnet"
)


@dataclass(frozen=True, kw_only=True)
class Listing:
    """One split as AffectNet annotates it: everything that a second opening need not read again."""

    names: list[str]
    codes: np.ndarray
    """(n,) int64, AffectNet's own numbers 0 to 10."""
    boxes: np.ndarray | None = None
    """(n, 4) int64 square crops, left, upper, right, lower; pixels of the image."""
    landmarks: np.ndarray | None = None
    """(n, 68, 2) float32, share of the crop's side."""


def load(path: str | None, options: LoadOptions) -> Dataset:
    """AffectNet's seven expressions, RGB, resized to `options.size`; contempt is dropped and counted.

    Raises:
        ValueError: the path or a part of it is missing, or a row or an image is broken; the sentence names it.
    """
    return _load("affectnet", EXPRESSIONS, path, options)


def load8(path: str | None, options: LoadOptions) -> Dataset:
    """As `load`, with contempt as the eighth class."""
    return _load("affectnet8", (*EXPRESSIONS, "contempt"), path, options)


def _load(name: str, classes: tuple[str, ...], path: str | None, options: LoadOptions) -> Dataset:
    if not path:
        raise ValueError(HELP)
    root = Path(os.path.expanduser(path))
    skips = Skips(allowed=options.skip_broken)
    newer = (root / "train_set").is_dir() or (root / "val_set").is_dir()
    images, listings = (_newer if newer else _first)(path, root, options, skips)
    notes, rows = ["The official validation images are test: AffectNet's own test set is not public."], {}
    for split, listing in listings.items():
        labels, note = _labels(split, listing.codes, classes)
        kept = np.flatnonzero(labels >= 0)
        published = PUBLISHED[split][: len(classes)]
        if newer and split == "test":
            published = (500, 500, 500, 500, 500, 500, 500, 499)[: len(classes)]
        notes += [note, against_published(split, labels[kept], classes, published), *_again(split, listing.names, kept)]
        every = file_rows(f"{name}-{split}", images, listing.names, labels, listing.boxes, listing.landmarks)
        rows[split] = every.take(f"{name}-{split}", kept)
    notes.append(
        "Landmarks come from the csv (confidence 1), crops are the csv's face boxes made square."
        if listings["train"].landmarks is not None
        else "No landmarks are read from this form; images are used as they come."
    )
    source = Source(
        name=name,
        path=path,
        classes=classes,
        channels=3,
        train=rows["train"],
        validation=None,
        test=rows["test"],
        notes=tuple(notes),
        licence=LICENCE,
    )
    return assemble(source, options, skips)


def _labels(split: str, codes: np.ndarray, classes: tuple[str, ...]) -> tuple[np.ndarray, str]:
    """Our label of each row, -1 where it is dropped, and the sentence that counts the dropped ones."""
    table = np.full(CODES, -1, np.int64)
    for code, expression in enumerate(LABELS):
        if expression in classes:
            table[code] = classes.index(expression)
    dropped = Counter(codes[table[codes] < 0].tolist())
    told = [f"{dropped[code]:,} {name}" for code, name in enumerate(("None", "Uncertain", "No-Face"), 8)]
    if "contempt" not in classes:
        told.insert(0, f"{dropped[CONTEMPT]:,} contempt")
    return table[codes], f"Dropped from {split}: {', '.join(told)}."


def _again(split: str, names: list[str], kept: np.ndarray) -> list[str]:
    """The sentence that counts the rows kept whose picture an earlier one names: other faces of it, or mistakes."""
    counts = Counter(names[row] for row in kept)
    again, first = len(kept) - len(counts), next((name for name, count in counts.items() if count > 1), "")
    return (
        [f"{again:,} rows of {split} name a picture that an earlier row names (kept), first: {first}."] if again else []
    )


def _newer(path: str, root: Path, options: LoadOptions, skips: Skips) -> tuple[Path, dict[str, Listing]]:
    """train_set and val_set, each with images/ and annotations/."""
    found = {}
    for split, folder in (("train", "train_set"), ("test", "val_set")):
        for part in ("images", "annotations"):
            if not (root / folder / part).is_dir():
                raise ValueError(f"{path} has no {folder}/{part}. {HELP}")
        with os.scandir(root / folder / "images") as entries:
            names = sorted(entry.name for entry in entries if entry.name.lower().endswith((".jpg", ".jpeg", ".png")))
        notes = [str(root.resolve() / folder / "annotations" / f"{name.rpartition('.')[0]}_exp.npy") for name in names]
        make = partial(_annotated, folder, names, notes, skips, options.progress)
        found[split] = _cached(options.cache, f"affectnet-{split}", fingerprint(notes), skips, make)
    return root, found


def _annotated(folder: str, names: list[str], annotations: list[str], skips: Skips, progress: bool) -> Listing:
    kept, codes = [], array("q")
    with live_bar(f"reading {folder} annotations", len(names), progress) as advance:
        for name, annotation in zip(names, annotations, strict=True):
            advance(1)
            code = _annotation(annotation, skips)
            if code is not None:
                kept.append(f"{folder}/images/{name}")
                codes.append(code)
    return Listing(names=kept, codes=np.array(codes, np.int64))


def _annotation(path: str, skips: Skips) -> int | None:
    try:
        code = _code(read_array(path, Wanted(kinds="iufUS")))
    except (ValueError, OverflowError) as error:
        return skips.report(f"{path} cannot be read: {error}")
    if not 0 <= code < CODES:
        return skips.report(f"{path} says expression {code}, allowed 0 to 10")
    return code


def _code(array: np.ndarray) -> int:
    """The one whole number in an array of any shape, written as a number or as text."""
    if array.size != 1 or float(array.item()) != int(float(array.item())):
        raise ValueError(f"it holds {array.ravel()[:3].tolist()}, expected one whole number")
    return int(float(array.item()))


def _first(path: str, root: Path, options: LoadOptions, skips: Skips) -> tuple[Path, dict[str, Listing]]:
    """training.csv and validation.csv beside Manually_Annotated_Images."""
    lists = next((p for p in (root, root / "Manually_Annotated_file_lists") if (p / "training.csv").is_file()), None)
    inside = "Manually_Annotated_Images"
    images = next((p for p in (root / inside, root / "Manually_Annotated" / inside) if p.is_dir()), None)
    if lists is None or not (lists / "validation.csv").is_file():
        absent = "training.csv" if lists is None else "validation.csv"
        raise ValueError(f"{path} has neither train_set/ and val_set/ nor {absent}. {HELP}")
    if images is None:
        raise ValueError(f"{path} has no {inside}/. {HELP}")
    found = {}
    for split, file in (("train", lists / "training.csv"), ("test", lists / "validation.csv")):
        make = partial(_csv_listing, file, skips)
        found[split] = _cached(options.cache, f"affectnet-{split}", fingerprint([file.resolve()]), skips, make)
    return images, found


def _csv_listing(path: Path, skips: Skips) -> Listing:
    """Streams the csv; rows 8 to 10 (no expression, often no face) are kept by code alone, with an empty box."""
    names, codes, boxes, points = [], array("q"), array("q"), array("f")
    for number, cells in _csv_rows(path):
        try:
            code = int(cells["expression"])
            if not inside(cells[COLUMNS[0]]):
                raise ValueError(f'"{cells[COLUMNS[0]]}" leads outside the set')
            if not 0 <= code < CODES:
                raise ValueError(f"expression {code}, allowed 0 to 10")
            box, landmarks = _geometry(cells) if code < len(LABELS) else ((0, 0, 0, 0), [0.0] * 136)
        except (ValueError, KeyError) as error:
            skips.report(f"{path}, line {number}: {error}")
            continue
        names.append(cells["subDirectory_filePath"])
        codes.append(code)
        boxes.extend(box)
        points.extend(landmarks)
    return Listing(
        names=names,
        codes=np.array(codes, np.int64),
        boxes=np.array(boxes, np.int64).reshape(-1, 4),
        landmarks=np.array(points, np.float32).reshape(-1, 68, 2),
    )


def _csv_rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Line number and cells by column, in whatever order the header names them. The published validation.csv has no
    header: a first line that is a row is read in the published order, any other one must be a header.

    Raises:
        ValueError: a first line that is neither, or a file that is no csv.
    """
    with path.open(newline="", encoding="utf-8-sig", errors="replace") as file:
        reader = csv.reader(file)
        try:
            first = next(reader, [])
            columns = _columns(path, first)
            if columns == list(COLUMNS) and _is_row(first):
                yield 1, dict(zip(columns, first, strict=False))
            for cells in reader:
                if cells:
                    yield reader.line_num, dict(zip(columns, cells, strict=False))
        except csv.Error as error:
            raise ValueError(f"{path}, line {reader.line_num}: {error}. {HELP}") from None


def _columns(path: Path, first: list[str]) -> list[str]:
    """The names of the columns, from the first line."""
    if _is_row(first):
        return list(COLUMNS)
    known = {name.lower(): name for name in COLUMNS}
    columns = [known.get(cell.strip().lower(), cell.strip()) for cell in first]
    missing = [name for name in COLUMNS if name not in columns]
    if missing or len(set(columns)) != len(columns):
        raise ValueError(f"{path} has no column {', '.join(missing) or 'twice'}; it begins {first[:9]}. {HELP}")
    return columns


def _is_row(cells: list[str]) -> bool:
    """Whether these are a row in the published order, not names."""
    try:
        return len(cells) >= len(COLUMNS) and all(map(np.isfinite, map(float, (*cells[1:5], cells[6]))))
    except ValueError:
        return False


def _geometry(cells: dict[str, str]) -> tuple[tuple[int, int, int, int], list[float]]:
    """The face box made square around its centre (pixels), and the 68 points as share of its side, x y x y ..."""
    x, y, width, height = (float(cells[column]) for column in COLUMNS[1:5])
    if not (0 < width < FARTHEST and 0 < height < FARTHEST and abs(x) < FARTHEST and abs(y) < FARTHEST):
        raise ValueError(f"face box {width:g} x {height:g} pixels at ({x:g}, {y:g})")
    side = max(round(max(width, height)), 1)
    left, upper = round(x + (width - side) / 2), round(y + (height - side) / 2)
    values = np.array(cells["facial_landmarks"].split(";")).astype(np.float64)
    if values.size != 136 or not np.isfinite(values).all():
        raise ValueError(f"{values.size} numbers in facial_landmarks, expected 136")
    shares = (values.reshape(68, 2) - (left, upper)) / side
    return (left, upper, left + side, upper + side), shares.ravel().tolist()


def _cached(cache: Path, name: str, key: str, skips: Skips, make: Callable[[], Listing]) -> Listing:
    """The listing kept in `cache` under `key`, or made now; one with skipped rows is made anew, to name them."""
    path = Path(cache) / f"{name}-{key[:16]}.npz"
    try:
        kept = read_arrays(path, LISTED)
        names = kept.pop("names").tobytes().decode("utf-8", "surrogateescape").split("\n")
        if {len(names)} == {len(array) for array in kept.values()}:
            return Listing(names=names, **kept)
    except ValueError:
        pass
    before = skips.count
    listing = make()
    if skips.count == before and listing.names:
        names = np.frombuffer("\n".join(listing.names).encode("utf-8", "surrogateescape"), np.uint8)
        arrays = {"codes": listing.codes, "boxes": listing.boxes, "landmarks": listing.landmarks}
        write_arrays(path, {"names": names} | {part: array for part, array in arrays.items() if array is not None})
    return listing
