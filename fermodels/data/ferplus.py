"""FER2013's faces with FER+'s labels (Barsoum et al. 2016): what most of ten people saw, `labels_by_votes`.

One thing to know: these are other labels on fewer rows than `fer2013`'s, in the same official splits, so that scores of
the two are never comparable.

>>> open_dataset("ferplus:fer2013.csv", size=64, cache=Path("cache"))  # fer2013new.csv lies beside it
"""

from dataclasses import replace

import numpy as np

from fermodels.data import fer2013
from fermodels.data.base import Dataset, LoadOptions
from fermodels.data.rows import Skips
from fermodels.data.splits import assemble
from fermodels.data.votes import FILE, labels_by_votes

HELP = (
    f"ferplus needs ferplus:PATH, where PATH is Kaggle's fer2013.csv with FER+'s {FILE} beside it "
    "(https://github.com/microsoft/FERPlus), or a fer2013.npz with ferplus_votes (n, 10)"
)
LICENCE = f"{fer2013.LICENCE} FER+'s votes: MIT, Microsoft."


def load(path: str | None, options: LoadOptions) -> Dataset:
    """The rows on whose expression most votes agree; grey, resized to `options.size`.

    Raises:
        ValueError: the path is missing or has no votes, or a row is broken; the sentence names it.
    """
    if not path:
        raise ValueError(HELP)
    skips = Skips(allowed=options.skip_broken)
    found = fer2013.listed(path, skips, HELP)
    if found is None or found.votes is None:
        raise ValueError(f"{path} has no votes. {HELP}")
    labels, left_out = labels_by_votes(found.votes)
    kept = np.flatnonzero(labels >= 0)
    rows = replace(found.rows, labels=labels).take("ferplus", kept)
    reasons = ", ".join(f"{reason} {count:,}" for reason, count in left_out.items())
    note = "Labels are FER+'s, by most votes, not FER2013's"
    note += f"; of {len(labels):,} rows {len(labels) - len(kept):,} are left out: {reasons}."
    source = fer2013.by_usage("ferplus", path, rows, found.usage[kept], note)
    return assemble(replace(source, licence=LICENCE), options, skips)
