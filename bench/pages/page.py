"""A page: tables, sentences and plots that somebody has filled from records, as plain data.

Every table and figure is made into one; `bench.pages.files` and `bench.pages.terminal` write any of them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from bench.make.scales import scale_for
from bench.pages.svg import Plot
from bench.records import Cell

WATERMARK = "QUICK RUN - NOT A RESULT"
SENTENCES = 3
"""Of an answer."""
Pairs = list[tuple[str, str]]
"""(name, sentence) in the order of printing."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """One table of a page, in plain text."""

    title: str
    """Empty where the page's own title says it."""
    titles: Sequence[str]
    """One for each column, with its unit."""
    body: Sequence[Sequence[str]]
    note: str = ""
    keys: int = 1
    """How many of the first columns name the row: 1, or 2, whose rows lie grouped by the first."""
    cells: Sequence[Sequence[Cell]] = ()
    """The cells behind every row, none behind one of publications alone; a page of HTML leads to their records."""
    behind: Sequence[Sequence[Cell | None]] = ()
    """The cell behind every text of `body`, where the figures of a row are of several records."""

    @property
    def groups(self) -> list[tuple[str, list[Sequence[str]]]]:
        """Name of the group ("" without groups) and its rows, which begin with their own name."""
        if self.keys == 1:
            return [("", list(self.body))]
        return [(name, [cells[1:] for cells in rows]) for name, rows in groupby(self.body, lambda cells: cells[0])]


@dataclass(frozen=True, kw_only=True)
class Figures:
    """Every figure behind a page, unrounded: one row for each thing measured."""

    columns: Sequence[str]
    """What identifies the row, then its figures, with their units."""
    rows: Sequence[Mapping[str, object]]
    """By column; one that a row lacks, or None, is an empty cell."""


@dataclass(frozen=True, kw_only=True)
class Page:
    """Everything there is to read, as text and pictures."""

    name: str
    """Of its files, and in their titles."""
    title: str
    data: str
    scale: str
    seeds: int
    sentences: Sequence[str]
    """What the tables say in a few lines."""
    parts: Sequence[Part]
    figures: Figures
    plots: Mapping[str, Plot]
    """By name: a file each, and in HTML."""
    closeups: Mapping[str, Plot] = field(default_factory=dict)
    """By name: of single networks, in HTML alone."""
    footer: Pairs
    remarks: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Heading -> lines; a heading without lines is left out."""
    settings: Pairs = field(default_factory=list)
    marks: str = ""
    """What the signs in the tables mean."""
    terse: bool = False
    """Markdown without the line on data and without plots, which footer and README show; LaTeX counts by letters."""
    front: Part | None = None
    """The table for the first page of a report: eight columns."""
    brief: Part | None = None
    """The table for a terminal: eight narrow columns."""
    speed: Mapping[str, Plot] = field(default_factory=dict)
    """By runtime: accuracy against milliseconds, in HTML alone."""
    cells: Sequence[Cell] = ()
    """Those with a record that the page shows."""
    missing: Sequence[str] = ()
    """Cells without a record, by `bench.records.Cell.id`; `bench.registry.page_of` finds them."""

    @property
    def about(self) -> str:
        """Data set, scale and seeds in a few words."""
        return f"data {self.data}, scale {self.scale}, {self.seeds} seed{'s' if self.seeds > 1 else ''}"

    @property
    def watermark(self) -> str:
        """Printed on every rendering of a scale that gives no results; empty for the others."""
        return watermark(self.scale)

    @property
    def told(self) -> set[Cell]:
        """Every cell to whose record something on the page leads."""
        parts = [*self.parts, *([self.front] if self.front else [])]
        return {*self.cells, *(cell for part in parts for row in part.behind for cell in row if cell)}

    @property
    def complete(self) -> bool:
        """Whether no cell is missing."""
        return not self.missing


def answer(page: Page, more: Sequence[str] = ()) -> list[str]:
    """What was asked in three sentences: the page's own, then `more`, then of its data."""
    data = [f"{name}: {text}." for name, text in page.footer if name == "Data"]
    return [*page.sentences, *more, *data][:SENTENCES]


def folder_of(page: Page) -> str:
    """Where the files of a page lie below a folder of reports."""
    return f"tables/{page.data}-{page.scale}"


def watermark(scale: str) -> str:
    """What is printed across the plots of a page of that scale."""
    return "" if scale_for(scale, "").publishable else WATERMARK
