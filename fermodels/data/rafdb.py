"""RAF-DB, basic emotions: aligned 100x100 colour faces and their list of labels, or folders `train|test/1..7/`.

One thing to know: RAF-DB counts from 1 (surprise) to 7 (neutral); labels are mapped by name to the canonical order.
It has no validation split: 10 % of train is carved.

>>> open_dataset("rafdb:basic", size=224, cache=Path("cache"))
"""

import os
from pathlib import Path

import numpy as np

from fermodels import EXPRESSIONS
from fermodels.data.base import Dataset, LoadOptions
from fermodels.data.folder import SPELLINGS, class_tree
from fermodels.data.rows import Rows, Skips, file_rows, inside
from fermodels.data.splits import Source, against_published, assemble

LABELS = {
    "1": "surprise",
    "2": "fear",
    "3": "disgust",
    "4": "happiness",
    "5": "sadness",
    "6": "anger",
    "7": "neutral",
}
PUBLISHED = {"train": (705, 717, 281, 4772, 1982, 1290, 2524), "test": (162, 160, 74, 1185, 478, 329, 680)}
"""Images per class, in the order of `EXPRESSIONS`."""
LIST = "EmoLabel/list_patition_label.txt"  # sic
IMAGES = "Image/aligned"
LICENCE = (
    "RAF-DB (Li, Deng and Du 2017): non-commercial research by agreement with its authors; not redistributed here."
)
HELP = (
    f"rafdb needs rafdb:PATH, a folder with {LIST} and {IMAGES}/train_00001_aligned.jpg (RAF-DB's folder "
    '"basic"), or one with the folders train/1 to train/7 and test/1 to test/7. Ask its authors for it: '
    "http://www.whdeld.com/raf-db"
)


def load(path: str | None, options: LoadOptions) -> Dataset:
    """RAF-DB's official train and test, RGB, resized to `options.size`.

    Raises:
        ValueError: the path or a part of it is missing, or a line or an image is broken; the sentence names it.
    """
    if not path:
        raise ValueError(HELP)
    given = Path(os.path.expanduser(path))
    skips = Skips(allowed=options.skip_broken)
    places = (given, given / "basic", given / "DATASET")  # as archives of it unpack
    if root := next((place for place in places if (place / LIST).is_file()), None):
        rows, notes = _from_list(root, skips), ()
    elif root := next((place for place in places if (place / "train").is_dir()), None):
        rows, notes = _from_folders(path, root, skips)
    else:
        raise ValueError(f"{path} has neither {LIST} nor a folder train. {HELP}")
    counts = [
        against_published(split, rows[split].labels, EXPRESSIONS, published) for split, published in PUBLISHED.items()
    ]
    source = Source(
        name="rafdb",
        path=path,
        classes=EXPRESSIONS,
        channels=3,
        train=rows["train"],
        validation=rows.get("validation"),
        test=rows["test"],
        notes=(*counts, *notes, "Aligned faces as RAF-DB ships them; its five points are not read: no landmarks."),
        licence=LICENCE,
    )
    return assemble(source, options, skips)


def _from_folders(path: str, root: Path, skips: Skips) -> tuple[dict[str, Rows], tuple[str, ...]]:
    """train/1 to train/7 and test/1 to test/7; names of expressions instead of numbers are understood."""
    splits, classes, notes = class_tree(root, f"rafdb:{path}", skips, SPELLINGS | LABELS)
    if classes != EXPRESSIONS:
        raise ValueError(f"{root} has the class folders {', '.join(classes)}; RAF-DB's are 1 to 7. {HELP}")
    return {name: file_rows(f"rafdb-{name}", root, *files) for name, files in splits.items()}, notes


def _from_list(root: Path, skips: Skips) -> dict[str, Rows]:
    if not (root / IMAGES).is_dir():
        raise ValueError(f"{root} has no {IMAGES}: unpack RAF-DB's aligned.zip there. {HELP}")
    rows = {}
    for split, (names, labels) in _listed(root / LIST, skips).items():
        if not names:
            raise ValueError(f"{root / LIST} has no {split}_... lines. {HELP}")
        rows[split] = file_rows(f"rafdb-{split}", root, names, np.array(labels, np.int64))
    return rows


def _listed(path: Path, skips: Skips) -> dict[str, tuple[list[str], list[int]]]:
    """Image paths below the root and labels, by split, in the order of the names."""
    found: dict[str, tuple[list[str], list[int]]] = {"train": ([], []), "test": ([], [])}
    entries: dict[str, int] = {}
    for number, line in enumerate(path.read_text("utf-8-sig", "replace").splitlines(), 1):
        name, _, label = line.strip().partition(" ")
        if not name:
            continue
        if label.strip() not in LABELS or name.split("_")[0] not in found or not inside(name):
            skips.report(f'{path}, line {number}: "{line.strip()[:60]}" is not "train_... 1" to "test_... 7"')
            continue
        if name in entries:
            skips.report(f'{path}, line {number}: "{name}" is listed twice')
            continue
        entries[name] = EXPRESSIONS.index(LABELS[label.strip()])
    for name, label in sorted(entries.items()):
        names, labels = found[name.split("_")[0]]
        names.append(f"{IMAGES}/{name.rpartition('.')[0]}_aligned.jpg")
        labels.append(label)
    return found
