"""What is wrong with a data set before anything is trained on it: pictures that occur twice, in two splits or under two
labels, pictures that are nearly the same, and pictures without a face.

One thing to know: exact duplicates have the same pixels before resizing; near-duplicates differ there, but in at most
`--near` of 64 bits of their perceptual hash, which is evidence and no proof: look at them with `--sheet`. Nothing is
removed; the reports score the test split with and without the rows that are flagged as leaked.

`python -m fermodels.data.audit fer2013:fer2013.csv --sheet near.png --json audit.json`
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from compress.escaping import printed
from compress.exit_status import exit_status
from compress.files import json_text, must_be_writable, write_json
from compress.program import program
from fermodels.data import DATASETS, open_dataset
from fermodels.data.duplicates import NEAR, Audit, audit
from fermodels.data.likeness import MOST_BITS
from fermodels.data.pair_sheet import write_sheet

SIZE = 64
"""Side in pixels to which pictures are resized before they are compared; exact duplicates are found before."""


def summary(found: Audit) -> dict[str, Any]:
    """The counts. Those by split are rows; `not_faces` is None where the set does not say."""
    groups = found.copies.sum(axis=1)
    differing = found.labels[found.first[found.near]]
    return {
        "data": found.data.spec,
        "rows": len(found.part),
        "repeats": found.repeats,
        "groups": int((groups > 1).sum()),
        "conflicting_groups": int(found.conflicting.sum()),
        "conflicting_rows": int(groups[found.conflicting].sum()),
        "near_bits": found.bits,
        "near_pairs": len(found.near),
        "near_pairs_by_bits": {str(b): int((found.apart == b).sum()) for b in np.unique(found.apart).tolist()},
        "near_pairs_conflicting": int((differing[:, 0] != differing[:, 1]).sum()),
        "splits": {name: _counts(found, position) for position, name in enumerate(found.splits)},
    }


def _counts(found: Audit, position: int) -> dict[str, Any]:
    """The counts of one split."""
    mine = found.part == position
    said = found.data.splits[found.splits[position]].not_face
    exact, near = found.exact_in[mine].sum(axis=0).tolist(), found.near_in[mine].sum(axis=0).tolist()
    return {
        "rows": int(mine.sum()),
        "flat": int(found.flat[mine].sum()),
        "not_faces": None if said is None else int(said.sum()),
        "conflicting": int(found.conflicting[found.picture[mine]].sum()),
        "exact_in": dict(zip(found.splits, exact, strict=True)),
        "near_in": dict(zip(found.splits, near, strict=True)),
    }


def details(found: Audit) -> dict[str, Any]:
    """Which rows: groups with the same pixels, near pairs, flat pictures and those that the set says are no faces."""
    order = np.argsort(found.picture, kind="stable")
    groups = np.split(order, np.cumsum(found.copies.sum(axis=1))[:-1])
    said = [s.not_face if s.not_face is not None else np.zeros(len(s), bool) for s in found.data.splits.values()]
    return {
        "exact": [[found.place(row) for row in rows.tolist()] for rows in groups if len(rows) > 1],
        "near": [
            {"bits": bits, "pair": [found.place(row) for row in found.first[pair].tolist()]}
            for pair, bits in zip(found.near, found.apart.tolist(), strict=True)
        ],
        "flat": [found.place(row) for row in np.flatnonzero(found.flat).tolist()],
        "not_faces": [found.place(row) for row in np.flatnonzero(np.concatenate(said)).tolist()],
    }


def show(counts: dict[str, Any]) -> None:
    """The counts as a table on the error stream."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    splits = counts["splits"]
    table = Table("rows", title=Text(printed(counts["data"])))
    for name in splits:
        table.add_column(name, justify="right")
    lines = {
        "all": [own["rows"] for own in splits.values()],
        "flat, no face": [own["flat"] for own in splits.values()],
        "no face, says the set": [own["not_faces"] for own in splits.values()],
        "same pixels under another label": [own["conflicting"] for own in splits.values()],
        **{f"same pixels in {other}": [own["exact_in"][other] for own in splits.values()] for other in splits},
        **{f"nearly the same in {other}": [own["near_in"][other] for own in splits.values()] for other in splits},
    }
    for title, numbers in lines.items():
        table.add_row(title, *("?" if number is None else f"{number:,}" for number in numbers))
    console = Console(stderr=True, highlight=False)
    console.print(table)
    console.print(
        f"{counts['repeats']:,} rows repeat an earlier row's pixels; {counts['groups']:,} pictures occur more than "
        f"once, {counts['conflicting_groups']:,} of them under different labels ({counts['conflicting_rows']:,} rows)."
    )
    console.print(
        f"Nearly the same: within {counts['near_bits']} of 64 bits and no copy there; {counts['near_pairs']:,} pairs "
        f"of pictures, {counts['near_pairs_conflicting']:,} under different labels. ?: the set does not say."
    )


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog=program("fermodels.data.audit"), description="Looks for duplicates, leaks and pictures without a face."
    )
    parser.add_argument("data", help=f"NAME or NAME:PATH, NAME one of {', '.join(DATASETS)}")
    parser.add_argument(
        "--near", type=int, default=NEAR, metavar="BITS", help=f"most differing bits, to {MOST_BITS} ({NEAR})"
    )
    parser.add_argument("--json", type=Path, metavar="OUT", help="write the counts and the rows to this file")
    parser.add_argument("--sheet", type=Path, metavar="PNG", help="draw near-duplicates of each distance to this file")
    parser.add_argument("--size", type=int, default=SIZE, help=f"side in pixels when compared (default {SIZE})")
    parser.add_argument("--cache", type=Path, default=Path("reports/runs/data"), help="folder of decoded pictures")
    parser.add_argument("--skip-broken", action="store_true", help="leave out broken images and count them")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point: status 2 and a sentence for a mistake in the input."""
    given = arguments(argv)
    return exit_status("audit", lambda: run(given), kept="decoded pictures stay in --cache, the same command goes on")


def run(given: argparse.Namespace) -> None:
    """Audits, shows and writes what the command line asks for."""
    for path in filter(None, (given.json, given.sheet)):
        must_be_writable(path)
    place = {"size": given.size, "cache": given.cache, "skip_broken": given.skip_broken}
    found = audit(open_dataset(given.data, progress=True, **place), given.near)
    counts = summary(found)
    show(counts)
    if given.json is not None:
        write_json(given.json, counts | details(found))
    if given.sheet is not None:
        write_sheet(given.sheet, found)
    print(json_text(counts))


if __name__ == "__main__":
    sys.exit(main())
