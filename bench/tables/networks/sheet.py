"""Records of whole networks in the shape of a table: one row a network, every seed's numbers in it, two comparisons.

A row is compared with MRF and, in the ablation, with the row above it; both on the same test images and seed.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from bench.measure.calibration import recorded_ece
from bench.pages.columns import FORMAT_OF, Panel, Published, Table
from bench.pages.noise import noise
from bench.pages.page import Figures, Part
from bench.pages.sheet import MISSING, Records, Row, Sheet, row_cells, taken
from bench.pages.values import Values, correct, difference_values, values_of
from bench.records import Cell, Record
from bench.tables.networks.dense import RECORDS, REFERENCE, cells

UNMEASURED = "published"
"""Variant of a row that only the literature has."""


@dataclass(frozen=True, kw_only=True)
class NetworkTable(Table):
    """A table of whole networks: its rows and panels as in a table of prune ratios, without the ratios."""

    ratios: tuple[float, ...] = ()
    paper_ratios: tuple[float, ...] = ()
    panels: tuple[Panel, ...] = ()
    published: dict[tuple[str, float], Published] = field(default_factory=dict)
    headline_ratio: float = 0.0
    above: Mapping[str, str] = field(default_factory=dict)
    """Network -> the network of the row above it, where the two are compared."""
    printed: Mapping[str, Values] = field(default_factory=dict)
    """Network, or a method of others by its printed name -> published values."""
    literature: tuple[str, ...] = ()
    """Methods of others, as printed: rows below ours, with published values only."""
    timed: bool = True
    """Whether the table tells latencies."""


def sheet_of(table: NetworkTable, records: Records, *, data: str, scale: str, seeds: int | None = None) -> Sheet:
    """`records` sorted into the rows of `table`, whatever their order; those of other tables or data are passed over.

    Args:
        seeds: rows cover seeds 0 to seeds - 1; without it every seed that has a record.
    """
    found = {one.cell: one for one in taken(records, data=data, scale=scale, table=RECORDS)}
    own = [cell for cell in found if cell.model in table.models]
    seeds = seeds or 1 + max((cell.seed for cell in own), default=0)
    asked = cells(data, scale, seeds, tuple(table.models))
    rows = [_row(table, model, [cell for cell in asked if cell.model == model], found) for model in table.models]
    rows += [_literature_row(table, name) for name in table.literature]
    used = tuple(found[cell] for cell in sorted(set(asked) & set(found)))
    return Sheet(table=table, data=data, scale=scale, seeds=seeds, rows=tuple(rows), records=used)


def _row(table: NetworkTable, model: str, own: list[Cell], found: Mapping[Cell, Record]) -> Row:
    values = tuple(network_values(cell, found, table.above.get(model)) for cell in own)
    published = dict(table.printed.get(model, {}))
    whole = {"variant": "dense", "ratio": 0.0, "beyond": False}
    row = Row(model=model, cells=tuple(own), found=values, published=published, **whole)
    return replace(row, remarks=(*noise(found[cell] for cell in own if cell in found), *_untaught(row)))


def _untaught(row: Row) -> list[str]:
    """A remark on a network that does not beat always naming the most frequent class."""
    low, majority = row.mean("accuracy_lo"), row.mean("majority_percent")
    return ["not above the majority class"] if low is not None and majority is not None and low <= majority else []


def _literature_row(table: NetworkTable, name: str) -> Row:
    published = dict(table.printed[name])
    return Row(model=name, variant=UNMEASURED, ratio=0.0, beyond=False, cells=(), found=(), published=published)


def network_values(cell: Cell, found: Mapping[Cell, Record], above: str | None) -> Values | None:
    """Every value of one network: those of `bench.pages.values`, calibration, occlusion; None without its record.

    Raises:
        ValueError: records to be compared do not share a test split.
    """
    if cell not in found:
        return None
    record, reference = found[cell], found.get(replace(cell, model=REFERENCE))
    values = values_of(record, dense=reference, short=None, random=None)
    values |= _calibration(record) | _occlusion(record, values["accuracy_percent"])
    values |= _passing(record) | _attention(record)
    neighbour = found.get(replace(cell, model=above)) if above else None
    return values | (difference_values(record, neighbour, "above", "above_p") if neighbour else {})


def _calibration(record: Record) -> Values:
    told, right = record.result["calibration"], correct(record)
    trained, scaled = told["as_trained"], told["scaled"]
    return {
        "ece_percent": 100 * recorded_ece(trained, right),
        "ece_scaled_percent": 100 * recorded_ece(scaled, right),
        "nll": trained["nll"],
        "nll_scaled": scaled["nll"],
        "temperature": told["temperature"],
    }


def _occlusion(record: Record, whole: float) -> Values:
    percent = 100 * record.result["occluder"]["accuracy"]["overall"]
    return {"occluded_percent": percent, "occluded_change_points": percent - whole}


def _passing(record: Record) -> Values:
    mask = record.result["mask"]
    return {"passing_percent": 100 * mask["passing"][str(mask["confidence"])]} if mask["passing"] else {}


def _attention(record: Record) -> Values:
    """Where the map lies, in percent; nothing of a network without a map."""
    return {f"map_{name}_percent": percent for name, percent in (record.result.get("attention") or {}).items()}


def name_of(sheet: Sheet, row: Row) -> str:
    """The network's printed name, with the seeds it has when some are missing."""
    name = sheet.table.models.get(row.model, row.model)
    return f"{name} ({row.status})" if row.cells and row.status and row.measured else name


def part_of(sheet: Sheet, panel: Panel, *, literature: bool = False) -> Part:
    """A panel as a table; rows of the literature only where it is asked for them."""
    columns = sheet.columns(panel)
    rows = [row for row in sheet.rows if row.cells or literature]
    body = [[name_of(sheet, row), *row_cells(columns, row)] for row in rows]
    titles = ["Network", *(column.title for column in columns)]
    cells = [row.cells for row in rows]
    return Part(title=f"{panel.letter}. {panel.title}", titles=titles, body=body, note=panel.note, cells=cells)


def figures_of(sheet: Sheet) -> Figures:
    """Every value of every network and seed, one row each; a row of the literature has no seed."""
    filled = {key for row in sheet.rows for values in (*row.found, row.published) if values for key in values}
    recalls = [key for key in sorted(filled) if key.startswith("recall_")]
    identity = ["table", "data", "scale", "model", "seed", "status"]
    columns = [*identity, *(key for key in FORMAT_OF if key in filled), *recalls]
    place = {"table": sheet.table.name, "data": sheet.data, "scale": sheet.scale}
    rows = [{**place, "model": row.model, **row.published, **told} for row in sheet.rows for told in _told(row)]
    return Figures(columns=columns, rows=rows)


def _told(row: Row) -> Iterable[Mapping[str, object]]:
    """Seed, status and values of every line for `row`."""
    if not row.cells:
        return [{"status": UNMEASURED}]
    return [
        {"seed": cell.seed, "status": MISSING if values is None else "measured", **(values or {})}
        for cell, values in zip(row.cells, row.found, strict=True)
    ]
