"""FER+: the votes of ten people on every row of FER2013 (Barsoum et al. 2016), as Microsoft's fer2013new.csv has them.

One thing to know: its rows are those of fer2013.csv in their order. The votes say which rows show no face; labels stay
FER2013's own, so scores stay comparable.
"""

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Int64

FILE = "fer2013new.csv"
"""Read where it lies beside fer2013.csv."""
VOTES = (*("neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt"), "unknown", "nf")
"""Its columns after Usage and Image name, in small letters. The last: "this is not a face"."""


def not_face(votes: Int64[np.ndarray, "n 10"]) -> Bool[np.ndarray, " n"]:
    """True where more people voted "not a face" than for any other answer."""
    return votes[:, -1] > votes[:, :-1].max(axis=1)


def votes_note(no_faces: Bool[np.ndarray, " n"] | None) -> tuple[str, ...]:
    """What `FILE` says of a set that has it, in one sentence."""
    if no_faces is None:
        return ()
    return (f"{FILE} lies beside it: of {no_faces.sum():,} rows most votes say no face; labels stay FER2013's.",)


def read_votes(path: Path, usage: Sequence[str]) -> Int64[np.ndarray, "n 10"]:
    """The votes on each row of a fer2013.csv whose rows have this `usage`, in their order.

    Raises:
        ValueError: columns or numbers are missing, or the rows are not those of the other file.
    """
    mend = f"Take it from https://github.com/microsoft/FERPlus, or move it away to read {path.parent} without votes"
    votes: list[list[int]] = []
    with path.open(newline="", encoding="utf-8-sig", errors="replace") as file:
        reader = csv.DictReader(file)
        try:
            reader.fieldnames = [name.strip().lower() for name in reader.fieldnames or ()]
            if missing := [name for name in ("usage", *VOTES) if name not in reader.fieldnames]:
                raise ValueError(f"it has no column {', '.join(missing)}")
            for number, row in enumerate(reader):
                if number < len(usage) and row["usage"] != usage[number]:
                    raise ValueError(f'its Usage there is "{row["usage"]}", fer2013.csv has "{usage[number]}"')
                votes.append([int(row[name] or "") for name in VOTES])
            if len(votes) != len(usage):
                raise ValueError(f"it has {len(votes):,} rows, fer2013.csv {len(usage):,}")
        except (ValueError, csv.Error) as error:
            raise ValueError(f"{path}, line {reader.line_num}: {error}. {mend}") from None
    return np.array(votes, np.int64).reshape(-1, len(VOTES))
