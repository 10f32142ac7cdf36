"""Records in the shape of a table: one row per network, variant and ratio, with every seed's numbers in it.

A cell without a record leaves a gap that the row names; nothing here computes more than arithmetic on records.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from bench.make.scales import scale_for
from bench.measure.stats import spread
from bench.pages.columns import BATCHES, FORMAT_OF, FORMATS, WATERMARK, Column, Panel, Table, recall_key
from bench.pages.values import Values, published_values, values_of
from bench.records import Cell, Record
from bench.tables import cells, find

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
        """Printed on every rendering of a scale that gives no results; empty for the others."""
        return "" if scale_for(self.scale, self.data).publishable else WATERMARK

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


def sheet(
    table: str | Table, records: Records, *, data: str | None = None, scale: str | None = None, seeds: int | None = None
) -> Sheet:
    """`records` sorted into the rows of `table`, whatever their order.

    Args:
        data, scale: which records to take; without them there may be only one kind.
        seeds: rows cover seeds 0 to seeds - 1; without it every seed that has a record.

    Raises:
        ValueError: unknown table, or records of several data sets or scales and no word on which.
    """
    table = find(table)
    taken = list(records.values() if isinstance(records, Mapping) else records)
    taken = [record for record in taken if record.cell.table == table.name]
    data = data or _only("data", {record.cell.data for record in taken})
    scale = scale or _only("scale", {record.cell.scale for record in taken})
    found = {record.cell: record for record in taken if (record.cell.data, record.cell.scale) == (data, scale)}
    seeds = seeds or 1 + max((cell.seed for cell in found), default=0)
    wanted = cells(table, data, scale, seeds)
    rows = _flag_slower(_rows(table, wanted, found))
    used = tuple(found[cell] for cell in sorted(found) if cell in set(wanted))
    return Sheet(table=table, data=data, scale=scale, seeds=seeds, rows=rows, records=used)


def fill(column: Column, row: Row) -> str:
    """What stands in `column` for `row`: plain text, ASCII but for the plus-minus sign."""
    keys = KEYS.findall(column.text)
    if not row.numbers(keys[0]):
        return EMPTY
    text = GROUPS.sub(lambda group: group[0] if all(map(row.numbers, KEYS.findall(group[0]))) else "", column.text)
    return KEYS.sub(lambda key: written(key[1], row.numbers(key[1])), text)


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


def first_record(sheet: Sheet, model: str, variant: str, ratio: float = 0.0) -> Record | None:
    """The record of the lowest seed: plots of single networks show one network."""
    wanted = (model, variant, ratio)
    return next((one for one in sheet.records if (one.cell.model, one.cell.variant, one.cell.ratio) == wanted), None)


def _only(name: str, given: set[str]) -> str:
    if len(given) > 1:
        raise ValueError(
            f"records of several kinds of {name} ({', '.join(sorted(given))}): say {name}= which to render"
        )
    return given.pop() if given else f"no {name}"


def _rows(table: Table, wanted: list[Cell], found: dict[Cell, Record]) -> tuple[Row, ...]:
    grouped: dict[tuple[str, str, float], list[Cell]] = {}
    for cell in wanted:
        grouped.setdefault((cell.model, cell.variant, cell.ratio), []).append(cell)
    return tuple(_row(table, key, group, found) for key, group in grouped.items())


def _row(table: Table, key: tuple[str, str, float], group: list[Cell], found: dict[Cell, Record]) -> Row:
    model, variant, ratio = key
    values = tuple(_cell_values(cell, found) for cell in group)
    row = Row(
        model=model,
        variant=variant,
        ratio=ratio,
        beyond=ratio > 0 and ratio not in table.paper_ratios,
        cells=tuple(group),
        found=values,
        published=published_values(table, model, variant, ratio),
    )
    return replace(row, remarks=(*noise(row), *_off_budget(row), *_collapsed(row)))


def _cell_values(cell: Cell, found: dict[Cell, Record]) -> Values | None:
    if cell not in found:
        return None
    beside = ("short", "random") if cell.variant == "slim" else ()
    controls = {variant: found.get(_sibling(cell, variant, cell.ratio)) for variant in beside}
    dense, short, random = found.get(_sibling(cell, "dense", 0.0)), controls.get("short"), controls.get("random")
    return values_of(found[cell], dense=dense, short=short, random=random)


def _sibling(cell: Cell, variant: str, ratio: float) -> Cell:
    return replace(cell, variant=variant, ratio=ratio)


def noise(row: Row) -> list[str]:
    """A remark on timing that is not to be trusted, or none."""
    noisy = [batch for batch in BATCHES if any(row.numbers(f"noisy_b{batch}"))]
    worst = [f"batch {batch}, cv {max(row.numbers(f'cv_percent_b{batch}')):.1f} %" for batch in noisy]
    return [f"noisy timing (spread or a busy machine): {'; '.join(worst)}"] if worst else []


def _off_budget(row: Row) -> list[str]:
    off = [share for share in row.numbers("achieved_percent") if abs(share - 100 * row.ratio) > 1]
    return [f"asked for {100 * row.ratio:.0f} %, got {off[0]:.1f} %"] if off else []


def _collapsed(row: Row) -> list[str]:
    most = max(row.numbers("collapsed_layers"), default=0)
    return [f"{most:.0f} layers nearly emptied (see the widths)"] if most else []


def _flag_slower(rows: tuple[Row, ...]) -> tuple[Row, ...]:
    """Remarks on rows whose network is slower than one with fewer channels removed."""
    flagged = []
    for row in rows:
        lower = [other for other in rows if _is_lower(other, row)] if row.variant == "slim" else []
        remarks = [remark for batch in BATCHES if (remark := _slower(row, lower, batch))]
        flagged.append(replace(row, remarks=(*row.remarks, *remarks)))
    return tuple(flagged)


def _is_lower(other: Row, row: Row) -> bool:
    return other.model == row.model and other.variant in ("dense", "slim") and other.ratio < row.ratio


def _slower(row: Row, lower: list[Row], batch: int) -> str:
    key = f"speedup_b{batch}"
    ours = row.mean(key)
    rivals = [(1.0 if other.variant == "dense" else other.mean(key), other) for other in lower]
    rivals = [(speed, other) for speed, other in rivals if speed is not None]
    if ours is None or not rivals:
        return ""
    speed, fastest = max(rivals, key=lambda rival: rival[0])
    if ours >= speed:
        return ""
    floor = fastest.mean(f"{key}_lo") or 1.0
    ceiling = row.mean(f"{key}_hi") or ours
    within = " (intervals overlap)" if ceiling >= floor else ""
    return f"slower than {fastest.label} at batch {batch}{within}"
