"""Any set of faces in folders: `train|val|test/<class>/*`, or `<class>/*` where all classes are known expressions.

One thing to know: when every class folder is a known spelling of an expression (angry, Happy, sadness ...) the classes
are the canonical expressions in their canonical order; else they are the folders' names, sorted.

>>> open_dataset("folder:my_faces", size=112, cache=Path("cache"))
"""

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from fermodels import EXPRESSIONS
from fermodels.data.base import Dataset, LoadOptions
from fermodels.data.open_picture import SUFFIXES
from fermodels.data.rows import Skips, file_rows, whole_rows
from fermodels.data.splits import SEED, SHARES, Source, assemble, split_by_person
from fermodels.data.walk import LeftOut, pictures_below, report_loose

SPELLINGS = {
    "angry": "anger",
    "disgusted": "disgust",
    "fearful": "fear",
    "afraid": "fear",
    "happy": "happiness",
    "joy": "happiness",
    "sad": "sadness",
    "surprised": "surprise",
    "contempt": "contempt",
    **{name: name for name in EXPRESSIONS},
}
"""Folder name (in lower case) -> expression."""
SPLITS = {
    "train": ("train", "training"),
    "validation": ("val", "validation", "valid", "dev"),
    "test": ("test", "testing"),
}
"""Split -> the folder names under which it is known, in small letters or capitals."""
PERSON = re.compile(r"(S\d{3})_\d{3}_\d{8}\.\w+$")
"""Who is seen, in CK+'s names of pictures: S010_004_00000017.png."""
HELP = (
    "folder:PATH needs PATH/train/<class>/ and PATH/test/<class>/ with images, and may have PATH/val/<class>/; class "
    "folders without splits are read where each is named like an expression (anger, happy ...)"
)

Files = tuple[list[str], np.ndarray]
"""Paths below the root, and their labels."""
Tree = tuple[dict[str, Files], tuple[str, ...], tuple[str, ...]]
"""The files of each split that is there, the classes, and notes. `validation` may be absent."""


def load(path: str | None, options: LoadOptions) -> Dataset:
    """RGB faces from class folders; non-square images are cropped to their central square before resizing.

    Raises:
        ValueError: a split is missing, a class folder empty or unknown, or an image broken; the sentence names it.
    """
    skips = Skips(allowed=options.skip_broken)
    found = source(path, skips)
    return assemble(replace(found, notes=(*found.notes, "folder has no landmarks.")), options, skips)


def source(path: str | None, skips: Skips, *, whole: bool = False) -> Source:
    """The listed rows, their images cropped to the central square or `whole`; errors as in `load`."""
    if not path:
        raise ValueError(f"folder needs a path. {HELP}")
    root = Path(os.path.expanduser(path))
    if not root.is_dir():
        raise ValueError(f"{path} is not a folder. {HELP}")
    splits, classes, notes = _unsplit(root, skips) or class_tree(root, f"folder:{path}", skips)
    rows = {name: file_rows(f"folder-{name}", root, *files) for name, files in splits.items()}
    if whole:
        rows = {name: whole_rows(each, root) for name, each in rows.items()}
    return Source(
        name="folder",
        path=path,
        classes=classes,
        channels=3,
        train=rows["train"],
        validation=rows.get("validation"),
        test=rows["test"],
        notes=(f"Classes by folder name: {', '.join(classes)}.", *notes),
        licence="Unknown to this project: the owner of the folder knows.",
    )


def _unsplit(root: Path, skips: Skips) -> Tree | None:
    """Class folders without splits: persons or, where the names do not tell them, pictures are dealt out by a hash.
    None where a folder is not named like an expression: it may be anything."""
    present = _subfolders(root)
    if not present or any(name.lower() not in SPELLINGS for name in present):
        return None
    classes, labels = _classes({"train": present}, SPELLINGS)
    left_out = LeftOut()
    names, of = _files(root, present, labels, skips, left_out)
    report_loose(root, "", left_out)
    told = [PERSON.search(name) for name in names]
    split = split_by_person([name if known is None else known[1] for name, known in zip(names, told, strict=True)], of)
    places = {part: np.flatnonzero(split == part) for part in SPLITS}
    shares = ", ".join(f"{share:.0%} {part}" for part, share in SHARES.items())
    note = f"No train and test folders: {shares} of each class, the rest train, dealt out by a hash (seed {SEED}). "
    note += (
        "Nobody is in two splits: the names tell the persons."
        if all(told)
        else "Warning: the names do not tell the persons, who may be in two splits; scores are then too good."
    )
    files = {part: ([names[i] for i in rows.tolist()], of[rows]) for part, rows in places.items()}
    return files, classes, (note, *left_out.notes)


def class_tree(root: Path, spec: str, skips: Skips, spellings: Mapping[str, str] = SPELLINGS) -> Tree:
    """What lies in the folders of the splits; the notes say what was left out.

    Args:
        spellings: name of a folder, in small letters -> expression.
    Raises:
        ValueError: train or test is missing, or a class folder is empty or not a class of train.
    """
    present = _subfolders(root)
    spelled = {place.lower(): place for place in reversed(present)}
    places = {split: next((spelled[n] for n in names if n in spelled), None) for split, names in SPLITS.items()}
    if missing := [split for split in ("train", "test") if places[split] is None]:
        raise ValueError(f"{spec} has no {' and no '.join(missing)} folder; there is: {_told(present)}. {HELP}")
    folders = {split: _subfolders(root / place) for split, place in places.items() if place}
    classes, labels = _classes(folders, spellings)
    files: dict[str, Files] = {}
    left_out = LeftOut()
    for split, names in folders.items():
        if not names:
            raise ValueError(f"{root / str(places[split])} has no class folders. {HELP}")
        if unknown := [name for name in names if name not in labels]:
            raise ValueError(f"{root}/{places[split]}/{unknown[0]} is not a class of train: {', '.join(classes)}")
        files[split] = _files(root, [f"{places[split]}/{name}" for name in names], labels, skips, left_out)
        report_loose(root, str(places[split]), left_out)
    other = sorted(set(present) - set(places.values()))
    unused = (f"Folders that are no split, left out: {_told(other)}.",) if other else ()
    return files, classes, (*left_out.notes, *unused)


def _classes(folders: dict[str, list[str]], spellings: Mapping[str, str]) -> tuple[tuple[str, ...], dict[str, int]]:
    """The classes in order, and folder name -> label."""
    names = {name for found in folders.values() for name in found}
    if names and all(name.lower() in spellings for name in names):
        spelled = {name: spellings[name.lower()] for name in names}
        classes = (*EXPRESSIONS, "contempt") if "contempt" in spelled.values() else EXPRESSIONS
        return classes, {name: classes.index(expression) for name, expression in spelled.items()}
    classes = tuple(folders["train"])
    return classes, {name: label for label, name in enumerate(classes)}


def _files(root: Path, folders: Iterable[str], labels: dict[str, int], skips: Skips, left_out: LeftOut) -> Files:
    """The images of the class `folders` (paths below `root`) and of folders in them, in the order of their names."""
    paths: list[str] = []
    of: list[np.ndarray] = []
    for folder in folders:
        found = pictures_below(root, folder, left_out)
        if not found:
            skips.report(f"{root}/{folder} holds no image ({', '.join(sorted(SUFFIXES))})")
        paths += found
        of.append(np.full(len(found), labels[folder.rpartition("/")[2]], np.int64))
    return paths, np.concatenate(of)


def _subfolders(place: Path) -> list[str]:
    with os.scandir(place) as entries:
        return sorted(one.name for one in entries if os.path.isdir(one.path) and not one.name.startswith("."))


def _told(names: list[str]) -> str:
    more = f" and {len(names) - 10} more" if len(names) > 10 else ""
    return f"{', '.join(names[:10])}{more}" if names else "no folder"
