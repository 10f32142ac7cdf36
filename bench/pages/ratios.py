"""A table of prune ratios as a page: wide, so it is cut into panels of the same rows."""

from collections.abc import Sequence

from bench.pages import shipping
from bench.pages.captions import footer, settings
from bench.pages.columns import VALUES, Panel, Table, recall_key
from bench.pages.page import Figures, Page, Part
from bench.pages.plot_widths import width_plot
from bench.pages.plots import accuracy_plot, gamma_plot, recovery_plot
from bench.pages.ratio_rows import sheet
from bench.pages.ratio_sentences import headlines
from bench.pages.rows import MISSING, Records, Row, Sheet, row_cells, taken
from bench.records import Record

SHOWN = ("dense", "sparse", "slim")
"""Variants with rows of their own in the panels; the random control has columns there and rows in the CSV."""
ROW_KEYS = ("Network", "Channels removed")
BEYOND, REMARKED = "*", "!"
MARKS_NOTE = f"{BEYOND} beyond the paper's ratios; {REMARKED} see the remarks"
CLOSEUPS = {"gammas": gamma_plot, "widths": width_plot, "recovery": recovery_plot}


def page_of(table: Table, records: Records, *, data: str, scale: str, seeds: int | None = None) -> Page:
    """The page of `table`; arguments and errors are those of `bench.pages.ratio_rows.sheet`."""
    made = sheet(table, records, data=data, scale=scale, seeds=seeds)
    return page_of_sheet(made, taken(records, data=data, scale=scale, table=shipping.TABLE))


def page_of_sheet(sheet: Sheet, timed: Sequence[Record] = ()) -> Page:
    """Everything that is told of the records of a table, and of its networks in the runtimes that ship (`timed`)."""
    models, shown, panels = sheet.table.models, _shown(sheet), sheet.table.panels
    letter = chr(ord(panels[-1].letter) + 1)
    deployed = shipping.shipping_part(letter, shown, timed)
    return Page(
        name=sheet.table.name,
        title=sheet.table.title,
        data=sheet.data,
        scale=sheet.scale,
        seeds=sheet.seeds,
        sentences=headlines(sheet),
        parts=[*(_part(sheet, panel) for panel in panels), *([deployed] if deployed else [])],
        figures=_figures(sheet),
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
        body=[[name, row_label(row), *row_cells(columns, row)] for name, row in _shown(sheet)],
        note=panel.note,
        keys=len(ROW_KEYS),
    )


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
