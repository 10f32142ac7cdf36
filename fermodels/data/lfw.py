"""Labelled Faces in the Wild with expression labels: 250x250 colour photographs, `labels.csv`, a folder or a tar.

One thing to know: nobody is in two splits. The set has no official ones; persons are dealt out by a seeded hash, the
rare expressions first, so that each split has its share of them. Only five expressions are frequent enough to score.

>>> open_dataset("lfw:lfw_emotion.tar", size=64, cache=Path("cache"))       # the whole photographs, not aligned
"""

import csv
import io
import os
import tarfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Int64
from PIL import Image

from fermodels import EXPRESSIONS
from fermodels.data.base import Dataset, LoadOptions
from fermodels.data.prepared import is_prepared
from fermodels.data.prepared import load as prepared
from fermodels.data.rows import Rows, Skips, fingerprint, inside, open_whole
from fermodels.data.splits import SEED, SHARES, Source, assemble, split_by_person

CLASSES = tuple(name for name in EXPRESSIONS if name not in ("disgust", "fear"))
"""Anger, happiness, sadness, surprise, neutral: of disgust, fear and contempt there are about ten photographs each."""
LABELS = "labels.csv"
COLUMNS = ("file", "person", "emotion")
LICENCE = (
    "LFW (Huang et al. 2007): press photographs without a stated licence, for research; expression labels Apache-2.0"
    " (muxspace/facial_expressions); not redistributed here."
)
NOT_ALIGNED = "Photographs as published, not aligned (python -m fermodels.faces.prepare aligns them); no landmarks."
HELP = (
    f"lfw needs lfw:PATH, a folder or an uncompressed tar with {LABELS} (columns {', '.join(COLUMNS)}) and the images "
    "that it names"
)


@dataclass(frozen=True, kw_only=True)
class _Store:
    """Where the files lie: a folder, or a tar read in place."""

    path: Path
    has: Callable[[str], bool]
    read: Callable[[str], bytes]


def load(path: str | None, options: LoadOptions) -> Dataset:
    """The whole photographs, RGB, resized to `options.size`; of a folder that `fermodels.faces.prepare` has written,
    its aligned faces.

    Raises:
        ValueError: the path, its labels or an image is missing or broken; the sentence names it.
    """
    if path and is_prepared(path):
        return prepared(path, options, name="lfw")
    skips = Skips(allowed=options.skip_broken)
    found = source(path, skips)
    return assemble(replace(found, notes=(*found.notes, NOT_ALIGNED)), options, skips)


def source(path: str | None, skips: Skips, *, whole: bool = True) -> Source:
    """The listed rows; LFW's photographs are square, so `whole` or not is the same. Errors as in `load`."""
    if not path:
        raise ValueError(HELP)
    store = _open(Path(os.path.expanduser(path)), path)
    files, persons, labels, dropped = _listed(store, skips)
    if not files:
        raise ValueError(f"{path} lists no photograph of {', '.join(CLASSES)}. {HELP}")
    of = split_by_person(persons, labels)
    rows = {name: _rows(store, name, files, labels, np.flatnonzero(of == name)) for name in ("train", *SHARES)}
    counts = Counter(dict.fromkeys(SHARES, 0)) + Counter({s: len(set(_at(persons, of == s))) for s in rows})
    notes = (
        f"No person is in two splits: {', '.join(f'{counts[s]:,} persons in {s}' for s in rows)}; dealt out by a hash"
        f" of the name (seed {SEED}), those of rare expressions first.",
        f"Scored are {', '.join(CLASSES)}; too rare: {dropped}." if dropped else f"Scored are {', '.join(CLASSES)}.",
    )
    return Source(
        name="lfw",
        path=path,
        classes=CLASSES,
        channels=3,
        train=rows["train"],
        validation=rows["validation"],
        test=rows["test"],
        notes=notes,
        licence=LICENCE,
    )


def _at(values: Sequence[str], chosen: np.ndarray) -> list[str]:
    return [values[i] for i in np.flatnonzero(chosen).tolist()]


def _open(path: Path, typed: str) -> _Store:
    """The folder or tar that holds labels.csv, at its top or one level below."""
    if path.is_dir():
        root = next((r for r in (path, *sorted(path.glob("*/"))) if (r / LABELS).is_file()), None)
        if root is None:
            raise ValueError(f"{typed} has no {LABELS}. {HELP}")
        return _Store(
            path=root, has=lambda name: os.path.isfile(root / name), read=lambda name: (root / name).read_bytes()
        )
    if not path.is_file():
        raise ValueError(f"{typed} is neither a folder nor a tar. {HELP}")
    try:
        with tarfile.open(path, "r:") as tar:  # a compressed one cannot be read in place
            places = {member.name: (member.offset_data, member.size) for member in tar if member.isfile()}
    except (tarfile.TarError, OSError) as error:
        raise ValueError(f"{typed} cannot be read as an uncompressed tar ({error}). {HELP}") from None
    labels = min((name for name in places if os.path.basename(name) == LABELS), key=len, default=None)
    if labels is None:
        raise ValueError(f"{typed} has no {LABELS}. {HELP}")
    prefix = labels[: -len(LABELS)]

    def read(name: str) -> bytes:
        offset, size = places[prefix + name]
        with path.open("rb") as file:
            file.seek(offset)
            return file.read(size)

    return _Store(path=path, has=lambda name: prefix + name in places, read=read)


def _listed(store: _Store, skips: Skips) -> tuple[list[str], list[str], Int64[np.ndarray, " n"], str]:
    """Files, persons and labels in the order of the file names, and what was dropped, in words."""
    reader = csv.DictReader(io.StringIO(store.read(LABELS).decode("utf-8-sig", "replace")))
    try:
        reader.fieldnames = [name.strip().lower() for name in reader.fieldnames or ()]
        rows = list(enumerate(reader, 2))
    except csv.Error as error:
        raise ValueError(f"{store.path}, {LABELS}, line {reader.line_num}: {error}. {HELP}") from None
    if missing := [name for name in COLUMNS if reader.fieldnames.count(name) != 1]:
        raise ValueError(f"{store.path}, {LABELS} has no column {', '.join(missing)}, or has it twice. {HELP}")
    found: list[tuple[str, str, int]] = []
    dropped: Counter[str] = Counter()
    seen: set[str] = set()
    for number, row in rows:
        file, person, emotion = (str(row[name] or "") for name in COLUMNS)
        if not person or emotion not in (*EXPRESSIONS, "contempt"):
            skips.report(f'{store.path}, {LABELS}, line {number}: person "{person}", emotion "{emotion}"')
        elif not inside(file):
            skips.report(f'{store.path}, {LABELS}, line {number}: "{file}" leads outside the set')
        elif not store.has(file):
            skips.report(f"{store.path} has no {file} ({LABELS}, line {number})")
        elif file in seen and emotion in CLASSES:
            skips.report(f'{store.path}, {LABELS}, line {number}: "{file}" is listed twice')
        elif emotion in CLASSES:
            seen.add(file)
            found.append((file, person, CLASSES.index(emotion)))
        else:
            dropped[emotion] += 1
    found.sort()
    told = ", ".join(f"{name} {count}" for name, count in sorted(dropped.items()))
    return [f for f, _, _ in found], [p for _, p, _ in found], np.array([n for *_, n in found], np.int64), told


def _rows(store: _Store, split: str, files: list[str], labels: np.ndarray, chosen: np.ndarray) -> Rows:
    names = [files[i] for i in chosen.tolist()]
    paths = (store.path / name for name in names) if store.path.is_dir() else (store.path,)

    def read(index: int) -> Image.Image:
        return open_whole(io.BytesIO(store.read(names[index])))

    return Rows(
        name=f"lfw-{split}",
        names=names,
        labels=labels[chosen],
        fingerprint=fingerprint(paths, names, labels[chosen].tolist()),
        read=read,
    )
