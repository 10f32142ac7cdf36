"""RAF-DB, basic emotions: aligned 100x100 colour faces and their list of labels.

One thing to know: RAF-DB counts from 1 (surprise) to 7 (neutral); labels are mapped by name to the canonical order.
It has no validation split: 10 % of train is carved.

>>> open_dataset("rafdb:basic", size=224, cache=Path("cache"))
"""

from pathlib import Path

import numpy as np

from fermodels import EXPRESSIONS
from fermodels.data.base import Dataset, LoadOptions
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
    '"basic"). Ask its authors for it: http://www.whdeld.com/raf-db'
)


def load(path: str | None, options: LoadOptions) -> Dataset:
    """RAF-DB's official train and test, RGB, resized to `options.size`.

    Raises:
        ValueError: the path or a part of it is missing, or a line or an image is broken; the sentence names it.
    """
    if not path:
        raise ValueError(HELP)
    given = Path(path).expanduser()
    root = next((r for r in (given, given / "basic") if (r / LIST).is_file()), None)
    if root is None:
        raise ValueError(f"{path} has no {LIST}. {HELP}")
    if not (root / IMAGES).is_dir():
        raise ValueError(f"{root} has no {IMAGES}: unpack RAF-DB's aligned.zip there. {HELP}")
    skips = Skips(allowed=options.skip_broken)
    listed = _listed(root / LIST, skips)
    rows: dict[str, Rows] = {}
    for split, (names, labels) in listed.items():
        if not names:
            raise ValueError(f"{root / LIST} has no {split}_... lines. {HELP}")
        rows[split] = file_rows(f"rafdb-{split}", root, names, np.array(labels, np.int64))
    counts = [against_published(split, rows[split].labels, EXPRESSIONS, PUBLISHED[split]) for split in rows]
    source = Source(
        name="rafdb",
        path=path,
        classes=EXPRESSIONS,
        channels=3,
        train=rows["train"],
        validation=None,
        test=rows["test"],
        notes=(*counts, "Aligned faces as RAF-DB ships them; its five points are not read: no landmarks."),
        licence=LICENCE,
    )
    return assemble(source, options, skips)


def _listed(path: Path, skips: Skips) -> dict[str, tuple[list[str], list[int]]]:
    """Image paths below the root and labels, by split, in the order of the names."""
    found: dict[str, tuple[list[str], list[int]]] = {"train": ([], []), "test": ([], [])}
    entries: list[tuple[str, int]] = []
    for number, line in enumerate(path.read_text("utf-8-sig", "replace").splitlines(), 1):
        name, _, label = line.strip().partition(" ")
        if not name:
            continue
        if label.strip() not in LABELS or name.split("_")[0] not in found or not inside(name):
            skips.report(f'{path}, line {number}: "{line.strip()[:60]}" is not "train_... 1" to "test_... 7"')
            continue
        entries.append((name, EXPRESSIONS.index(LABELS[label.strip()])))
    for name, label in sorted(entries):
        names, labels = found[name.split("_")[0]]
        names.append(f"{IMAGES}/{name.rpartition('.')[0]}_aligned.jpg")
        labels.append(label)
    return found
