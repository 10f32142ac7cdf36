"""Paper 2's tables as pages with two plots: what the encoder learns, and what that is worth.

Pure: the same records give the same bytes.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from bench.pages.columns import ACCURACY, CLASS_MEAN, DIFFERENCE, LEAK_FREE, MACRO_F1, VALUES, Column
from bench.pages.page import Figures, Page, Part
from bench.pages.sheet import EMPTY, MISSING, Records, fill
from bench.schema import BATCHES
from bench.tables.ocl.captions import footer
from bench.tables.ocl.definitions import PAPER_DATA, OclTable
from bench.tables.ocl.plots import accuracy_plot, length_plot, probe_plot
from bench.tables.ocl.sheet import OclRow, OclSheet, headlines, probes, sheet_of

Writer = Callable[[OclRow], str]


def _filled(text: str) -> Writer:
    """What a column of that template says of a row."""
    column = Column(title="", text=text)
    return lambda one: fill(column, one.row)


def _paper_points(data: str) -> Writer:
    return lambda one: f"{one.paper_points[data]:+.2f}" if data in one.paper_points else EMPTY


def _epochs(sheet: OclSheet) -> Writer:
    def write(one: OclRow) -> str:
        epochs = sheet.epochs(one.line.model)
        return EMPTY if epochs is None else f"{epochs}"

    return write


@dataclass(frozen=True, kw_only=True)
class OclPanel:
    """A readable part of the table."""

    letter: str
    title: str
    columns: dict[str, Writer]
    note: str
    everybody: bool = False
    """With the rows that only the literature fills."""


def panels(sheet: OclSheet) -> list[OclPanel]:
    """Ours with intervals, its cost, and both beside the paper."""
    accuracy = {
        ACCURACY.title: _filled(ACCURACY.text),
        DIFFERENCE.title: _filled(DIFFERENCE.text),
        "McNemar p": _filled("{mcnemar_p}"),
        CLASS_MEAN.title: _filled(CLASS_MEAN.text),
        MACRO_F1.title: _filled(MACRO_F1.text),
        LEAK_FREE.title: _filled(LEAK_FREE.text),
        "Validation, %": _filled("{validation_percent}"),
        "Last epoch, %": _filled("{last_percent}"),
        "Best on test, %": _filled("{best_on_test_percent}"),
    }
    cost = {
        "Parameters": _filled("{params}"),
        "FLOPs (MAC)": _filled("{macs}"),
    }
    for batch in BATCHES:
        cost[f"Batch {batch}: p50 / p90, ms"] = _filled(f"{{p50_ms_b{batch}}} / {{p90_ms_b{batch}}}")
        factor = f"{{speedup_b{batch}}} [{{speedup_b{batch}_lo}}, {{speedup_b{batch}_hi}}]"
        cost[f"Batch {batch}: as fast as {sheet.table.first.label} [95 %]"] = _filled(factor)
    beside: dict[str, Writer] = {f"Ours ({sheet.data}), %": _filled("{accuracy_percent}")}
    beside["Ours: difference, points"] = _filled("{difference_points}")
    for data, name in PAPER_DATA.items():
        beside |= {f"Paper: {name}, %": _filled(f"{{{data}_percent}}"), f"{name}: difference": _paper_points(data)}
    whole = OclPanel(letter="A", title="Accuracy on the test split", columns=accuracy, note=sheet.table.note)
    if sheet.table.by_length:
        return [replace(whole, columns={"Epochs of pretraining": _epochs(sheet)} | accuracy)]
    return [
        whole,
        OclPanel(letter="B", title="Cost", columns=cost, note=_cost_note(sheet)),
        OclPanel(letter="C", title="Beside the paper", columns=beside, note=PAPER_NOTE, everybody=True),
    ]


COST_NOTE = "MACs: multiply-accumulates of convolutions and linear layers for one image."
IN_TURNS = "All networks are timed in turns. Speed-up: {first}'s time / this time, median over paired turns."
ALONE = "Each network was timed alone, not in turns with the others: do not compare these milliseconds."
PAPER_NOTE = (
    "The paper's networks have the full width and were pretrained on about 120,000 faces for 800 epochs. So the "
    "figures cannot be compared directly."
)


def _cost_note(sheet: OclSheet) -> str:
    """What the times are; those of networks that were measured elsewhere may be missing or of one network each."""
    paired = any(one.row.numbers(f"speedup_b{batch}") for one in sheet.ours for batch in BATCHES)
    timed = any(one.row.numbers(f"p50_ms_b{batch}") for one in sheet.ours for batch in BATCHES)
    how = IN_TURNS.format(first=sheet.table.first.label) if paired else ALONE
    return f"{COST_NOTE} {how}" if timed else COST_NOTE


def page_of(table: OclTable, records: Records, *, data: str, scale: str, seeds: int | None = None) -> Page:
    """Everything that is told; `seeds` is what the records have unless it is given."""
    sheet = sheet_of(table, records, data=data, scale=scale, seeds=seeds)
    parts = [
        Part(
            title=f"{one.letter}. {one.title}",
            titles=["Network", *_shown(one, sheet)],
            body=_body(one, sheet),
            note=one.note,
            cells=[row.row.cells for row in _rows(one, sheet)],
        )
        for one in panels(sheet)
    ]
    trained = {"accuracy": length_plot if sheet.table.by_length else accuracy_plot, "pretraining": probe_plot}
    return Page(
        name=sheet.table.name,
        title=sheet.table.title,
        data=data,
        scale=scale,
        seeds=sheet.seeds,
        sentences=headlines(sheet),
        parts=[*parts, *_probe_part(sheet, "BCDE"[len(parts) - 1])],
        plots={name: plot(sheet) for name, plot in trained.items()},
        figures=_figures(sheet),
        footer=footer(sheet),
    )


PROBE_NOTE = (
    "How good the pretrained features are, on the validation split: the vote of the 20 nearest training faces, and a "
    "linear layer on the features. Pretraining itself used no labels."
)


def _probe_part(sheet: OclSheet, letter: str) -> list[Part]:
    body = []
    for name, points in probes(sheet).items():
        for one in points:
            loss = EMPTY if one.nt_xent is None else f"{one.nt_xent:.3f}"
            body.append([name, f"{one.epochs}", loss, f"{100 * one.knn:.2f}", f"{100 * one.linear:.2f}"])
    titles = ["Pretraining", "Epochs", "NT-Xent", "k-NN, %", "Linear, %"]
    title = f"{letter}. What the encoder knows while it is pretrained"
    note = f"{PROBE_NOTE} Of seed 0." if sheet.seeds > 1 else PROBE_NOTE
    cells = [(one.cell,) for points in probes(sheet).values() for one in points]
    return [Part(title=title, titles=titles, body=body, note=note, cells=cells)] if body else []


def _figures(sheet: OclSheet) -> Figures:
    """Every value of every cell, one row per cell; a publication's row has its published numbers alone."""
    papers = [f"{data}_percent" for data in PAPER_DATA]
    keys = [key for key in VALUES if any(one.row.numbers(key) for one in sheet.rows)]
    columns = ["label", "model", "against", "seed", "status", *(f"paper_{key}" for key in papers), *keys]
    rows: list[Mapping[str, object]] = []
    for one in sheet.rows:
        own = {"label": one.line.label, "model": one.line.model, "against": one.line.against}
        own |= {f"paper_{key}": one.row.published.get(key) for key in papers}
        if not one.line.model:
            rows.append(own | {"status": "published"})
        for cell, values in zip(one.row.cells, one.row.found, strict=True):
            status = {"seed": cell.seed, "status": MISSING if values is None else "measured"}
            rows.append(own | status | (values or {}))
    return Figures(columns=columns, rows=rows)


def _shown(one: OclPanel, sheet: OclSheet) -> dict[str, Writer]:
    """The columns that some row fills."""
    rows = _rows(one, sheet)
    return {name: write for name, write in one.columns.items() if any(write(row) != EMPTY for row in rows)}


def _rows(one: OclPanel, sheet: OclSheet) -> Sequence[OclRow]:
    return sheet.rows if one.everybody else sheet.ours


def _body(one: OclPanel, sheet: OclSheet) -> list[list[str]]:
    """The cells as text; a network that was not measured says so in its first column, unless the paper has no more."""
    body = []
    for row in _rows(one, sheet):
        cells = [write(row) for write in _shown(one, sheet).values()]
        if row.line.model and not row.row.measured:
            cells[:1] = [MISSING]
        status = f" ({row.row.status})" if row.row.measured and row.row.status else ""
        body.append([row.line.label + status, *cells])
    return body
