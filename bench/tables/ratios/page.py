"""A table of prune ratios as a page: wide, so it is cut into panels of the same rows."""

from collections.abc import Sequence
from dataclasses import replace

from bench.pages.captions import footer, settings
from bench.pages.columns import ACCURACY, DIFFERENCE, VALUES, Column, Panel, Table, recall_key
from bench.pages.page import Figures, Page, Part
from bench.pages.sheet import MISSING, Records, Row, Sheet, row_cells, taken
from bench.records import Record
from bench.schema import BATCHES, SINGLE, Latency
from bench.tables.ratios import shipping
from bench.tables.ratios.plot_widths import width_plot
from bench.tables.ratios.plots import accuracy_plot, gamma_plot, recovery_plot
from bench.tables.ratios.sentences import headlines
from bench.tables.ratios.sheet import sheet_of
from bench.tables.ratios.speed_plot import Point, point_of, speed_plots

SHOWN = ("dense", "sparse", "slim")
"""Variants with rows of their own in the panels; the random control has columns there and rows in the CSV."""
ROW_KEYS = ("Network", "Channels removed")
BEYOND, REMARKED = "*", "!"
MARKS_NOTE = f"{BEYOND} beyond the paper's ratios; {REMARKED} see the remarks"
FRONT = (
    ACCURACY,
    DIFFERENCE,
    Column(title="Parameters", text="{params} ({params_removed_percent})"),
    Column(title="FLOPs (MAC)", text="{macs} ({macs_removed_percent})"),
    *(
        Column(title=f"p50 ms, batch {batch} (speed-up)", text=f"{{p50_ms_b{batch}}} ({{speedup_b{batch}}})")
        for batch in BATCHES
    ),
)
"""Columns of the first page of a report, and of the README."""
BRIEF = (
    Column(title="Accuracy, %", text="{accuracy_percent}"),
    FRONT[1],
    Column(title="Params", text="{params}"),
    Column(title="MACs", text="{macs}"),
    *FRONT[-2:],
)
"""Those of a terminal of 100 columns."""
CLOSEUPS = {"gammas": gamma_plot, "widths": width_plot, "recovery": recovery_plot}


def page_of(table: Table, records: Records, *, data: str, scale: str, seeds: int | None = None) -> Page:
    """The page of `table`; arguments and errors are those of `bench.tables.ratios.sheet.sheet_of`."""
    made = sheet_of(table, records, data=data, scale=scale, seeds=seeds)
    timed = [one for table in shipping.TABLES for one in taken(records, data=data, scale=scale, table=table)]
    return page_of_sheet(made, timed)


def page_of_sheet(sheet: Sheet, timed: Sequence[Record] = ()) -> Page:
    """Everything that is told of the records of a table, and of its networks in the runtimes that ship (`timed`)."""
    models, shown, panels = sheet.table.models, _shown(sheet), sheet.table.panels
    letter = chr(ord(panels[-1].letter) + 1)
    timed = shipping.shipped_of(timed)
    deployed = shipping.shipping_part(letter, shown, timed)
    short = [(name, row) for name, row in shown if row.variant != "sparse"]
    return Page(
        name=sheet.table.name,
        title=sheet.table.title,
        data=sheet.data,
        scale=sheet.scale,
        seeds=sheet.seeds,
        sentences=headlines(sheet, timed),
        parts=[*(_part(sheet, panel) for panel in panels), *([deployed] if deployed else [])],
        figures=_figures(sheet),
        front=_front(short, timed),
        brief=_short(BRIEF, short),
        speed=speed_plots(_points(sheet, timed), sheet.watermark),
        plots={"accuracy": accuracy_plot(sheet)},
        closeups={f"{name}-{model}": draw(sheet, model) for name, draw in CLOSEUPS.items() for model in models},
        footer=footer(sheet),
        remarks={"Remarks": [f"{name}, {row.label}: {'; '.join(row.remarks)}" for name, row in shown if row.remarks]},
        settings=settings(sheet.records),
        marks=MARKS_NOTE,
        terse=True,
    )


def _shown(sheet: Sheet) -> list[tuple[str, Row]]:
    """(network, row) of every row of a panel."""
    return [(name, row) for model, name in sheet.table.models.items() for row in sheet.of(model, *SHOWN)]


def row_label(row: Row) -> str:
    """What was done to the network, with its marks and the seeds that are there when some are not."""
    marks = (BEYOND if row.beyond else "") + (REMARKED if row.remarks else "")
    return f"{row.label}{marks}" + (f" ({row.status})" if row.status and row.measured else "")


def _part(sheet: Sheet, panel: Panel) -> Part:
    columns = sheet.columns(panel)
    return Part(
        title=f"{panel.letter}. {panel.title}",
        titles=[*ROW_KEYS, *(column.title for column in columns)],
        body=_body(columns, _shown(sheet)),
        note=panel.note,
        keys=len(ROW_KEYS),
        cells=[row.cells for _, row in _shown(sheet)],
    )


def _short(columns: Sequence[Column], rows: Sequence[tuple[str, Row]]) -> Part:
    """One table for a reader in a hurry."""
    titles, cells = [*ROW_KEYS, *(column.title for column in columns)], [row.cells for _, row in rows]
    return Part(title="Accuracy, cost and time", titles=titles, body=_body(columns, rows), keys=2, cells=cells)


def _front(rows: Sequence[tuple[str, Row]], timed: Sequence[Record]) -> Part:
    """The first table: its times are those in the runtimes that ship, where these were measured."""
    shipped = shipping.shortest([row for _, row in rows], timed)
    if not shipped:
        return _short(FRONT, rows)
    part = _short(FRONT[: -len(BATCHES)], rows)
    body = [[*own, text] for own, (text, _) in zip(part.body, shipped, strict=True)]
    behind = [[*(None for _ in own), cell] for own, (_, cell) in zip(part.body, shipped, strict=True)]
    titles = [*part.titles, shipping.SHORT]
    return replace(part, titles=titles, body=body, behind=behind, note=shipping.note_of(timed))


def _body(columns: Sequence[Column], rows: Sequence[tuple[str, Row]]) -> list[list[str]]:
    return [[name, row_label(row), *row_cells(columns, row)] for name, row in rows]


def _points(sheet: Sheet, timed: Sequence[Record]) -> dict[str, list[Point]]:
    """Accuracy and milliseconds of seed 0 in the runtime of the table's own times, and in those of `timed`."""
    scores = {_network(one): one.result["accuracy"]["val_selected"] for one in sheet.records if not one.cell.seed}
    runs: dict[str, list[Point]] = {}
    for one in (*timed, *sheet.records):
        told = (one.result.get("latency") or {}).get(str(SINGLE))
        if told and not one.cell.seed and _network(one) in scores:
            point = point_of(one.cell, told["p50_ms"], scores[_network(one)])
            runs.setdefault(f"{told['runtime']} {told['precision']}{_on_gpu(one, told)}", []).append(point)
    return runs


def _on_gpu(record: Record, told: Latency) -> str:
    """The GPU that was timed, where it was none of the processors."""
    used = (told.get("memory") or {}).get("device_bytes")
    return f", {record.timing['environment']['gpu']['model']}" if used else ""


def _network(record: Record) -> tuple[str, str, float]:
    return record.cell.model, record.cell.variant, record.cell.ratio


def _figures(sheet: Sheet) -> Figures:
    """Every value of every cell; nothing but what was published where a cell was not measured."""
    classes = sheet.records[0].result["data"]["classes"] if sheet.records else []
    identity = ["table", "data", "scale", "model", "variant", "ratio", "seed", "status"]
    columns = [*identity, *VALUES, *map(recall_key, classes), "commit", "created"]
    made = {record.cell: {"commit": record.commit, "created": record.created} for record in sheet.records}
    rows = []
    for row in sheet.rows:
        for cell, values in zip(row.cells, row.found, strict=True):
            status = {"status": MISSING if values is None else "measured", "requested_percent": 100 * cell.ratio}
            rows.append(vars(cell) | status | row.published | (values or {}) | made.get(cell, {}))
    return Figures(columns=columns, rows=rows)
