"""Records in the shape of a table: one row per network, variant and ratio, with every seed's numbers in it.

A cell without a record leaves a gap that the row names; nothing here computes more than arithmetic on records.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from bench.measure.stats import spread
from bench.pages.columns import FORMAT_OF, FORMATS, Column, Panel, Table, recall_key
from bench.pages.page import watermark
from bench.pages.values import Values
from bench.records import Cell, Record

EMPTY = "-"
MISSING = "not measured"
GROUPS = re.compile(r" \[[^\]]*\]| \([^)]*\)| / \{\w+\}")
"""Parts of a column's template that go when a value in them is absent."""
KEYS = re.compile(r"\{(\w+)\}")

Records = Mapping[Cell, Record] | Iterable[Record]


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row: the cells it stands for (one per seed) and what each of them measured."""

    model: str
    variant: str
    ratio: float
    beyond: bool
    """The paper has no such ratio."""
    cells: tuple[Cell, ...]
    found: tuple[Values | None, ...]
    """One per cell; None where there is no record."""
    published: Values
    remarks: tuple[str, ...] = field(default=())

    @property
    def label(self) -> str:
        """What was done to the network, in the reader's words."""
        percent = f"{100 * self.ratio:.0f} %"
        names = {"dense": "unpruned", "sparse": "sparse stage, uncut"}
        names |= {"short": f"{percent}, fine-tuned as the control", "random": f"{percent} at random"}
        return names.get(self.variant, percent)

    @property
    def measured(self) -> int:
        """How many of the row's cells have a record."""
        return sum(values is not None for values in self.found)

    @property
    def status(self) -> str:
        """Empty for a whole row, otherwise what it lacks."""
        if self.measured == 0:
            return MISSING
        return "" if self.measured == len(self.cells) else f"{self.measured} of {len(self.cells)} seeds"

    def numbers(self, key: str) -> tuple[float, ...]:
        """The value of every seed that has one, in the order of the seeds."""
        if key in self.published:
            return (self.published[key],)
        return tuple(values[key] for values in self.found if values is not None and key in values)

    def mean(self, key: str) -> float | None:
        """Mean over seeds; None when no seed has the value."""
        numbers = self.numbers(key)
        return spread(numbers).mean if numbers else None


@dataclass(frozen=True, kw_only=True)
class Sheet:
    """A table with the records that fill it: what every rendering starts from."""

    table: Table
    data: str
    scale: str
    seeds: int
    rows: tuple[Row, ...]
    records: tuple[Record, ...]

    @property
    def watermark(self) -> str:
        """Printed across its plots (`bench.pages.page.watermark`)."""
        return watermark(self.scale)

    @property
    def missing(self) -> tuple[Cell, ...]:
        """Cells without a record."""
        return tuple(
            cell for row in self.rows for cell, found in zip(row.cells, row.found, strict=True) if found is None
        )

    def of(self, model: str, *variants: str) -> list[Row]:
        """Rows of one network, in order; the panels leave the random control to its own columns."""
        return [row for row in self.rows if row.model == model and row.variant in variants]

    def row(self, model: str, variant: str, ratio: float = 0.0) -> Row:
        return next(row for row in self.of(model, variant) if row.ratio == ratio)

    def columns(self, panel: Panel) -> list[Column]:
        """The panel's columns: optional ones only if some row fills them, one per class where it asks for them."""
        filled = {key for row in self.rows for values in row.found if values for key in values}
        shown = [column for column in panel.columns if not column.optional or KEYS.findall(column.text)[0] in filled]
        classes = self.records[0].result["data"]["classes"] if panel.per_class and self.records else ()
        return shown + [Column(title=f"{name}", text=f"{{{recall_key(name)}}}") for name in classes]


def taken(records: Records, *, data: str, scale: str, table: str) -> list[Record]:
    """The records of one table, data set and scale, sorted."""
    listed = records.values() if isinstance(records, Mapping) else records
    wanted = (table, data, scale)
    found = [one for one in listed if (one.cell.table, one.cell.data, one.cell.scale) == wanted]
    return sorted(found, key=lambda one: one.cell)


def fill(column: Column, row: Row) -> str:
    """What stands in `column` for `row`: plain text, ASCII but for the plus-minus sign."""
    keys = KEYS.findall(column.text)
    if not row.numbers(keys[0]):
        return EMPTY
    text = GROUPS.sub(lambda group: group[0] if all(map(row.numbers, KEYS.findall(group[0]))) else "", column.text)
    return KEYS.sub(lambda key: written(key[1], row.numbers(key[1])), text)


def row_cells(columns: Sequence[Column], row: Row) -> list[str]:
    """What stands in `columns` for `row`; a row without any record says so in the first of them."""
    first, *others = [fill(column, row) for column in columns]
    return [MISSING if row.cells and not row.measured else first, *others]


def written(key: str, numbers: tuple[float, ...]) -> str:
    """A value in its format; over several seeds mean and standard deviation, or the range of the p values."""
    kind = FORMAT_OF.get(key, "percent")
    write = FORMATS[kind]
    if len(numbers) == 1 or len({write(number) for number in numbers}) == 1:
        return write(numbers[0])
    if kind == "probability":
        return f"{write(min(numbers))} to {write(max(numbers))}"
    over = spread(numbers)
    spreads = kind in ("percent", "points") and not key.endswith(("_lo", "_hi"))
    return f"{write(over.mean)} ± {over.sd:.2f}" if spreads else write(over.mean)


def mean_text(row: Row, key: str) -> str:
    """The mean alone, without the spread that a table prints beside it."""
    return written(key, (row.mean(key) or 0.0,))


def first_record(sheet: Sheet, model: str, variant: str, ratio: float = 0.0) -> Record | None:
    """The record of the lowest seed: plots of single networks show one network."""
    wanted = (model, variant, ratio)
    return next((one for one in sheet.records if (one.cell.model, one.cell.variant, one.cell.ratio) == wanted), None)
