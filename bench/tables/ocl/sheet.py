"""The rows of paper 2's tables from records: each network beside the one that it is compared with."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from bench.pages.sheet import MISSING, Records, Row, taken, written
from bench.pages.values import Values, values_of
from bench.records import Cell, Record
from bench.tables.ocl.definitions import PAPER_DATA, Line, OclTable, cells


class Probed(NamedTuple):
    """An encoder on the way; accuracies on the validation split, 0 to 1."""

    epochs: int
    nt_xent: float | None
    """Mean loss of the last epoch; None before the first."""
    knn: float
    linear: float
    cell: Cell
    """Of the network that it became."""


@dataclass(frozen=True, kw_only=True)
class OclRow:
    """One line of the table with what every seed measured."""

    line: Line
    row: Row
    paper_points: Mapping[str, float]
    """Data set -> the paper's own difference to the row compared with."""


@dataclass(frozen=True, kw_only=True)
class OclSheet:
    """A table with the records that fill it."""

    table: OclTable
    data: str
    scale: str
    seeds: int
    rows: tuple[OclRow, ...]
    records: tuple[Record, ...]

    @property
    def ours(self) -> list[OclRow]:
        """The rows of networks that are trained here."""
        return [one for one in self.rows if one.line.model]

    def epochs(self, model: str) -> int | None:
        """How long the encoder of that network was pretrained; None where it was not measured."""
        found = next((record for record in self.records if record.cell.model == model), None)
        return None if found is None else epochs_of(found)


def sheet_of(table: OclTable, records: Records, *, data: str, scale: str, seeds: int | None = None) -> OclSheet:
    """`records` sorted into the rows of `table`; those of other tables, data sets and scales are passed over.

    Raises:
        ValueError: records of one table that were measured on different test splits.
    """
    found = {one.cell: one for one in taken(records, data=data, scale=scale, table=table.name)}
    seeds = seeds or 1 + max((cell.seed for cell in found), default=0)
    known = cells(table, data, scale, seeds)
    rows = tuple(_row(table, line, [cell for cell in known if cell.model == line.model], found) for line in table.lines)
    used = tuple(found[cell] for cell in known if cell in found)
    return OclSheet(table=table, data=data, scale=scale, seeds=seeds, rows=rows, records=used)


def epochs_of(record: Record) -> int:
    """Epochs of the pretraining behind `record`; 0 from scratch."""
    history = record.result["training"]["stages"].get("pretraining")
    return len(history["epochs"]) if history else 0


def _row(table: OclTable, line: Line, own: list[Cell], found: Mapping[Cell, Record]) -> OclRow:
    row = Row(
        model=line.model,
        variant="dense",
        ratio=0.0,
        beyond=False,
        cells=tuple(own),
        found=tuple(_values(cell, line.against, found) for cell in own),
        published={f"{name}_percent": share for name, share in line.published.items()},
    )
    above = next((one.published for one in table.lines if line.against and one.model == line.against), {})
    points = {
        name: line.published[name] - above[name] for name in PAPER_DATA if name in line.published and name in above
    }
    return OclRow(line=line, row=row, paper_points=points)


def _values(cell: Cell, against: str, found: Mapping[Cell, Record]) -> Values | None:
    if cell not in found:
        return None
    other = found.get(replace(cell, model=against)) if against else None
    return values_of(found[cell], dense=other, short=None, random=None)


def compared(sheet: OclSheet, model: str, other: str) -> str:
    """One sentence on two networks of the table, measured on the same images."""
    table = sheet.table
    opening = f"{table.label(model)} against {table.label(other)}"
    found = {record.cell: record for record in sheet.records}
    own = [cell for cell in cells(table, sheet.data, sheet.scale, sheet.seeds) if cell.model == model]
    pairs = [_values(cell, other, found) for cell in own]
    told = [values for values in pairs if values is not None and "mcnemar_p" in values]
    if not told:
        return f"{opening}: {MISSING} yet."
    points, low, high = (_written(told, f"difference_{end}") for end in ("points", "lo", "hi"))
    return f"{opening}: {points} points [{low}, {high}], McNemar p {_written(told, 'mcnemar_p')}."


def _written(told: Sequence[Values], key: str) -> str:
    return written(key, tuple(values[key] for values in told))


def headlines(sheet: OclSheet) -> list[str]:
    """A sentence for every step of the table, and one for the whole way."""
    steps = [(one.line.model, one.line.against) for one in sheet.ours if one.line.against]
    whole = [sheet.table.whole] if sheet.table.whole and sheet.table.whole not in steps else []
    return [compared(sheet, *pair) for pair in [*steps, *whole]]


def probes(sheet: OclSheet) -> dict[str, list[Probed]]:
    """Pretraining -> what was measured of its encoder, from untrained to the end; of seed 0."""
    curves: dict[str, list[Probed]] = {}
    for record in sheet.records:
        history = record.result["training"]["stages"].get("pretraining")
        if history is None or record.cell.seed:
            continue
        name = "without occlusion (SimCLR)" if record.cell.model == "simclr-resnet18" else "with occlusion"
        name = f"{epochs_of(record)} epochs" if sheet.table.by_length else name
        before = {"epoch": -1, "losses": {}} | history["untrained"]
        points = [_probed(entry, record.cell) for entry in [before, *history["epochs"]] if "knn" in entry]
        curves.setdefault(name, points)
    return curves


def _probed(entry: Mapping[str, Any], cell: Cell) -> Probed:
    return Probed(entry["epoch"] + 1, entry["losses"].get("nt_xent"), entry["knn"], entry["linear"], cell)
