"""FER+: the votes of ten people on every row of FER2013 (Barsoum et al. 2016), as Microsoft's fer2013new.csv has them.

One thing to know: its rows are those of fer2013.csv in their order. As `fer2013` the votes only say which rows show no
face, labels stay FER2013's own; as `ferplus` the votes are the labels. Scores of the two are never comparable.
"""

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Int64

from fermodels import EXPRESSIONS

FILE = "fer2013new.csv"
"""Read where it lies beside fer2013.csv."""
VOTES = (*("neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt"), "unknown", "nf")
"""Its columns after Usage and Image name, in small letters. The last: "this is not a face"."""
NAME = "image name"
"""Its pictures, numbered in the order of its rows; of rows that show no face it may be empty."""
OTHERS = ("contempt", "unknown", "nf")
"""Answers that are none of the seven expressions."""
TIES = "ties"
VOTERS = 10
"""People who were asked about each row."""
ORDER = tuple(map(VOTES.index, (*EXPRESSIONS, *OTHERS)))
"""The columns as labels: first the seven expressions."""


def not_face(votes: Int64[np.ndarray, "n 10"]) -> Bool[np.ndarray, " n"]:
    """True where more people voted "not a face" than for any other answer."""
    return votes[:, -1] > votes[:, :-1].max(axis=1)


def labels_by_votes(votes: Int64[np.ndarray, "n 10"]) -> tuple[Int64[np.ndarray, " n"], dict[str, int]]:
    """The label of each row, a position in `EXPRESSIONS`, or -1 where it is left out; and how many are, by reason.

    The label is the answer with most votes: majority voting of Barsoum et al. 2016, "Training deep networks for facial
    expression recognition with crowd-sourced label distribution" (arXiv:1608.01041). Rows whose most votes are for
    contempt, unknown or "not a face", and rows where answers share the most votes, are left out. The authors' program
    asks for more: it strikes single votes first, and then wants more than half of the others for one answer.
    """
    ordered = votes[:, ORDER]
    most = ordered.max(axis=1, keepdims=True)
    chosen = ordered.argmax(axis=1)
    chosen[(ordered == most).sum(axis=1) > 1] = len(ORDER)
    reasons = (*OTHERS, TIES)
    left_out = {reason: int((chosen == len(EXPRESSIONS) + i).sum()) for i, reason in enumerate(reasons)}
    return np.where(chosen < len(EXPRESSIONS), chosen, -1), left_out


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
    last = ""
    with path.open(newline="", encoding="utf-8-sig", errors="replace") as file:
        reader = csv.DictReader(file)
        try:
            reader.fieldnames = [name.strip().lower() for name in reader.fieldnames or ()]
            if missing := [name for name in ("usage", *VOTES) if reader.fieldnames.count(name) != 1]:
                raise ValueError(f"it has no column {', '.join(missing)}, or has it twice")
            for number, row in enumerate(reader):
                if number < len(usage) and row["usage"] != usage[number]:
                    raise ValueError(f'its Usage there is "{row["usage"]}", fer2013.csv has "{usage[number]}"')
                votes.append([_vote(row[name]) for name in VOTES])
                name = row.get(NAME) or ""
                if name and name <= last:
                    raise ValueError(f"{name} stands behind {last}: its rows are not in the order of fer2013.csv")
                last = name or last
            if len(votes) != len(usage):
                raise ValueError(f"it has {len(votes):,} rows, fer2013.csv {len(usage):,}")
        except (ValueError, csv.Error) as error:
            raise ValueError(f"{path}, line {reader.line_num}: {error}. {mend}") from None
    return np.array(votes, np.int64).reshape(-1, len(VOTES))


def _vote(cell: str | None) -> int:
    """How many of the ten have given an answer."""
    if not (cell or "").strip().isdecimal() or int(cell or "") > VOTERS:
        raise ValueError(f'"{(cell or "")[:20]}" is no number of votes')
    return int(cell or "")
