"""From listed rows to a `Dataset`: validation carved from train, counts against the published ones, leaks by pixels.

One thing to know: which rows go to validation depends on class, name and seed alone, never on the order of the
files or on how many others there are, so a data set unpacked elsewhere is split the same way.
"""

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Int64

from fermodels.data.base import Dataset, LoadOptions, Split
from fermodels.data.decode import decode, pixel_hashes
from fermodels.data.rows import Rows, Skips

CARVED = 0.1
"""Share of each class's training rows that becomes validation where a set has none."""
SHARES = {"test": 0.2, "validation": 0.1}
"""Of the pictures of a set that has no splits at all; train has the rest."""
SEED = 0


@dataclass(frozen=True, kw_only=True)
class Source:
    """A data set whose rows are listed, but not yet decoded."""

    name: str
    path: str
    """As the user typed it."""
    classes: tuple[str, ...]
    channels: int
    train: Rows
    validation: Rows | None
    """None: carved from train."""
    test: Rows
    notes: tuple[str, ...]
    licence: str


def carve(
    labels: Int64[np.ndarray, " n"], names: Sequence[str], *, share: float = CARVED, seed: int = 0
) -> Bool[np.ndarray, " n"]:
    """True where a row goes to validation: of each class the `share` (rounded, of two or more rows at least one and
    never all) whose seeded name hashes come first."""
    chosen = np.zeros(len(labels), bool)
    ranks = [hashlib.blake2b(f"{seed}\0{name}".encode("utf-8", "surrogateescape")).digest() for name in names]
    for label in np.unique(labels):
        members = sorted(np.flatnonzero(labels == label).tolist(), key=lambda i: (ranks[i], names[i]))
        count = min(max(round(share * len(members)), 1), len(members) - 1)
        chosen[members[:count]] = True
    return chosen


def split_by_person(persons: Sequence[str], labels: Int64[np.ndarray, " n"], seed: int = SEED) -> np.ndarray:
    """ "train", "validation" or "test" for each row, one and the same for all rows of a person.

    The expressions come in turn, the rarest first. The persons who show it and have no split yet, in the order of
    their seeded name hashes, go to test until it has its share of this expression's pictures, then to validation,
    then to train.
    """
    rows_of: dict[str, list[int]] = defaultdict(list)
    for row, person in enumerate(persons):
        rows_of[person].append(row)
    ranks = {person: f"{seed}\0{person}".encode("utf-8", "surrogateescape") for person in rows_of}
    order = sorted(rows_of, key=lambda person: hashlib.blake2b(ranks[person]).digest())
    of = np.full(len(persons), "", dtype="<U10")
    for label in np.argsort(np.bincount(labels), kind="stable").tolist():
        shown = labels == label
        taken = {split: int((shown & (of == split)).sum()) for split in SHARES}
        wanted = {split: share * shown.sum() for split, share in SHARES.items()}
        for person in order:
            rows = rows_of[person]
            count = int(shown[rows].sum())
            if not count or of[rows[0]]:
                continue
            split = next((name for name in SHARES if wanted[name] - taken[name] >= count / 2), "train")
            of[rows] = split
            if split in taken:
                taken[split] += count
    return of


def by_class(labels: np.ndarray, classes: Sequence[str]) -> str:
    """ "anger 3,995, disgust 436, ..." for the classes that occur."""
    counts = np.bincount(labels, minlength=len(classes))
    return ", ".join(f"{name} {count:,}" for name, count in zip(classes, counts, strict=True) if count)


def against_published(title: str, labels: np.ndarray, classes: Sequence[str], published: Sequence[int]) -> str:
    """One sentence: the counts are the published ones (in the order of `classes`), or a warning where they differ."""
    counts = np.bincount(labels, minlength=len(classes)).tolist()
    if counts == list(published):
        return f"{title}: {sum(counts):,} rows, in total and in every class as published."
    differences = [
        f"{name} {count:,} (published {expected:,})"
        for name, count, expected in zip(classes, counts, published, strict=True)
        if count != expected
    ]
    return (
        f"Warning: {title} has {sum(counts):,} rows, published are {sum(published):,}; "
        f"scores are not comparable with published ones. Different: {', '.join(differences)}."
    )


def _carved(source: Source) -> tuple[Rows, Rows, str]:
    """Train, validation and the sentence that says how the second came out of the first."""
    mask = carve(source.train.labels, source.train.names)
    parts = [
        source.train.take(f"{source.name}-{part}", np.flatnonzero(chosen))
        for part, chosen in (("train", ~mask), ("validation", mask))
    ]
    note = f"Validation is carved from train: {CARVED:.0%} of each class, chosen by a hash of the names (seed 0)."
    return parts[0], parts[1], note


def _leak_note(marked: dict[str, Split]) -> str:
    counts = [f"{int(np.sum(split.leaked))} {name}" for name, split in marked.items() if split.leaked is not None]
    return f"Rows whose original pixels also occur in the training rows (flagged, not removed): {', '.join(counts)}."


def _occurring(split: Split, others: Sequence[Split]) -> Bool[np.ndarray, " n"]:
    """True for the rows of `split` whose original pixels also occur in `others`."""
    return np.isin(pixel_hashes(split), np.concatenate([pixel_hashes(other) for other in others]))


def assemble(source: Source, options: LoadOptions, skips: Skips) -> Dataset:
    """Decodes the three splits, flags leaked rows and writes the notes.

    A carved validation split counts as training rows when the test split is searched for leaks: it steers training.

    Raises:
        ValueError: a split is empty, or an image is broken and may not be skipped.
    """
    train, validation, notes = source.train, source.validation, list(source.notes)
    carved = validation is None
    if validation is None:
        train, validation, note = _carved(source)
        notes.append(note)
    listed = {"train": train, "validation": validation, "test": source.test}
    decoded = {name: decode(rows, source.channels, options, skips) for name, rows in listed.items()}
    for name, split in decoded.items():
        if not len(split):
            raise ValueError(
                f"{source.name}:{source.path} has no usable {name} images: a data set needs all three splits"
            )
    seen = (decoded["train"], decoded["validation"]) if carved else (decoded["train"],)
    splits = {
        "train": decoded["train"],
        "validation": replace(decoded["validation"], leaked=_occurring(decoded["validation"], (decoded["train"],))),
        "test": replace(decoded["test"], leaked=_occurring(decoded["test"], seen)),
    }
    notes += [f"{n}: {len(s):,} images ({by_class(s.labels, source.classes)})." for n, s in splits.items()]
    notes += [_leak_note({name: splits[name] for name in ("validation", "test")}), *skips.notes]
    return Dataset(
        spec=f"{source.name}:{source.path}",
        name=source.name,
        classes=source.classes,
        notes=tuple(notes),
        licence=source.licence,
        **splits,
    )
