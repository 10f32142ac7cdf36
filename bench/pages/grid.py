"""How a table lies on a page: columns that few read and rows without a figure of ours are folded away, numbers sort.

A page is `WIDE` px wide; what would need sideways scrolling there stands in a second table that opens on request.
"""

import re
from collections.abc import Container, Sequence
from dataclasses import dataclass

from bench.pages.page import Part
from bench.pages.sheet import EMPTY, MISSING
from bench.records import Cell

WIDE = 1180
LETTER, BOLD, PADDING = 8.4, 9.3, 23
"""Of a letter, of one in a heading, and of a cell's two sides, px at the size of tables."""
SUFFIXES = {"k": 1e3, "M": 1e6, "G": 1e9}
_NUMBER = re.compile(r"[-+]?\d[\d,]*\.?\d*(?: ([kMG])\b)?")
LITTLE = 0.86
"""Share of figures that a row lacks when it is folded away."""
NOTHING = ("", EMPTY, MISSING)


@dataclass(frozen=True)
class Line:
    """One row: what names it, its figures, and the records that they are of."""

    name: str
    texts: Sequence[str]
    keys: Sequence[float | None]
    """What the figures are sorted by."""
    cells: Sequence[Cell]
    behind: Sequence[Cell | None]
    """The record of every single figure, where it is not the row's."""


@dataclass(frozen=True)
class Grid:
    """One table of a page."""

    titles: Sequence[str]
    """Of the row's name and of every figure."""
    groups: Sequence[tuple[str, Sequence[Line]]]
    """Name ("" without groups) and rows."""

    @property
    def rows(self) -> int:
        return sum(len(lines) for _, lines in self.groups)


@dataclass(frozen=True)
class Folded:
    """A part of a page: the table to read, and those that open on request."""

    part: Part
    main: Grid
    more: Sequence[tuple[str, Grid]]
    """What it holds, and the table."""
    absent: Sequence[str]
    """Sentences that name the rows without any figure."""


def folded(part: Part, recorded: Container[Cell] = ()) -> Folded:
    """`part` in tables that fit on a page; rows and figures lead to those of their cells that are `recorded`."""
    first, *others = _columns(part)
    every = range(part.keys, len(part.titles))
    published = [i for i, cells in enumerate(part.cells) if not cells]
    empty = [i for i, cells in enumerate(part.body) if i not in published and _says_little(cells[part.keys :])]
    whole = [i for i in range(len(part.body)) if i not in {*published, *empty}]
    if not whole:
        whole, empty = empty, []
    blank = [i for i in empty if all(text in NOTHING for text in part.body[i][part.keys :])]
    empty = [i for i in empty if i not in blank]
    tables = [(_named([part.titles[i] for i in some]), some, whole) for some in others]
    tables += [(f"{len(published)} published methods", every, published)] if published else []
    tables += [(f"{len(empty)} rows with hardly a figure", every, empty)] if empty else []
    more = [(what, _grid(part, columns, rows, recorded)) for what, columns, rows in tables]
    return Folded(part, _grid(part, first, whole, recorded), more, _absent(part, blank))


def _absent(part: Part, rows: Sequence[int]) -> list[str]:
    """Rows without any figure in a line for each reason, instead of dashes."""
    lacking: dict[str, list[str]] = {}
    for row in (part.body[i] for i in rows):
        reason = "Not measured" if MISSING in row else "No figure here"
        lacking.setdefault(reason, []).append(", ".join(row[: part.keys]))
    return [f"{reason}: {'; '.join(names)}." for reason, names in lacking.items()]


def _columns(part: Part) -> list[list[int]]:
    """Columns of figures, in runs that fit beside the rows' names."""
    runs: list[list[int]] = [[]]
    names = left = WIDE - _width(part, part.keys - 1)
    for i in range(part.keys, len(part.titles)):
        width = _width(part, i)
        if runs[-1] and width > left:
            runs.append([])
            left = names
        runs[-1].append(i)
        left -= width
    return runs


def _width(part: Part, column: int) -> float:
    """Pixels: a heading may break between words, a figure may not."""
    heading = max(len(word) for word in part.titles[column].split())
    return max(BOLD * heading, LETTER * max((len(cells[column]) for cells in part.body), default=0)) + PADDING


def _grid(part: Part, columns: Sequence[int], rows: Sequence[int], recorded: Container[Cell]) -> Grid:
    groups: dict[str, list[Line]] = {}
    for i in rows:
        cells = part.body[i]
        texts = [cells[column] for column in columns]
        own = [cell for cell in part.cells[i] if cell in recorded] if part.cells else []
        behind = [part.behind[i][column] for column in columns] if part.behind else [None] * len(columns)
        behind = [cell if cell and cell in recorded else None for cell in behind]
        line = Line(cells[part.keys - 1], texts, list(map(sort_key, texts)), own, behind)
        groups.setdefault(cells[0] if part.keys > 1 else "", []).append(line)
    return Grid([part.titles[part.keys - 1], *(part.titles[i] for i in columns)], list(groups.items()))


def _says_little(texts: Sequence[str]) -> bool:
    return sum(text in NOTHING for text in texts) > LITTLE * len(texts)


def _named(titles: Sequence[str]) -> str:
    said = ", ".join(re.sub(r",? \[95 %\]|, %$", "", title) for title in titles)
    return f"{len(titles)} more columns: {said}" if len(titles) > 1 else f"one more column: {said}"


def sort_key(text: str) -> float | None:
    """The first number of `text` with its suffix: "0.69 M (-64.7 %)" -> 690000.0; None where there is none."""
    found = _NUMBER.search(text)
    if found is None:
        return None
    number = found[0].removesuffix(f" {found[1]}").replace(",", "")
    return float(number) * SUFFIXES.get(found[1], 1.0)
