"""Fig 6 of paper 1: how sure must a landmark be to enter the mask? Accuracy of MRF trained at several thresholds.

Where two thresholds let the same landmarks through, they make the same network, which is trained once; where a data set
gives its landmarks no confidence there is nothing to choose, and the page says so.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from bench.make.scales import titled
from bench.pages.captions import settings
from bench.pages.columns import ACCURACY, CLASS_MEAN, Column, Panel
from bench.pages.page import Page
from bench.pages.sheet import Records, Sheet, first_record
from bench.pages.svg import LIGHT, Plot, nothing
from bench.records import Cell, Record
from bench.tables.networks import published
from bench.tables.networks.dense import REFERENCE, THRESHOLDS, distinct, trained_as
from bench.tables.networks.page import provenance
from bench.tables.networks.sheet import NetworkTable, figures_of, part_of, sheet_of

TABLE = "fig6"
_PANEL = Panel(
    letter="A",
    title="Accuracy by threshold",
    columns=(
        Column(title="Landmarks that pass, %", text="{passing_percent}"),
        ACCURACY,
        CLASS_MEAN,
        Column(title="Against 0.5, points [95 %]", text="{difference_points} [{difference_lo}, {difference_hi}]"),
        Column(title="p against 0.5", text="{mcnemar_p}"),
    ),
    note="Landmarks: the 31 main points of the training faces. Differences: same test images and seed. Thresholds that "
    "let the same landmarks through share one network.",
)
SHEET = NetworkTable(
    name=TABLE,
    title="Confidence threshold of the landmarks behind the mask",
    models={model: f"{level:g}" for model, level in THRESHOLDS.items()},
    panels=(_PANEL,),
    published_source=f"{published.SOURCE}, Fig 6 (0.4, 0.5 and 0.6; {published.FIG6_BEST} did best on RAF-DB)",
    timed=False,
)


def lacking(found: Mapping[Cell, Record], cells: Sequence[Cell]) -> list[Cell]:
    """Those of `cells` whose records are still to be made; where a reference tells the shares, only distinct masks."""
    told = next((record for cell, record in found.items() if cell.model == REFERENCE), None)
    wanted = distinct(told.result["mask"]["passing"], cells) if told else cells
    return [cell for cell in wanted if cell not in found]


def page_of(records: Records, *, data: str, scale: str, seeds: int | None = None) -> Page:
    """Everything that is told; `seeds` is what the records have."""
    sheet = sheet_of(SHEET, records, data=data, scale=scale, seeds=seeds)
    reference = first_record(sheet, REFERENCE, "dense")
    shares = reference.result["mask"]["passing"] if reference else None
    silent = f"{sheet.data} gives its landmarks no confidence: no threshold changes the mask, so none was tried."
    why = "" if reference is None or shares else silent
    filled = _with_twins(sheet, shares) if shares else sheet
    part = part_of(filled, _PANEL)
    return Page(
        name=TABLE,
        title=sheet.table.title,
        data=data,
        scale=scale,
        seeds=sheet.seeds,
        sentences=[why] if why else _sentences(filled, set(trained_as(shares).values()) if shares else set(THRESHOLDS)),
        parts=[] if why else [replace(part, titles=["Threshold", *part.titles[1:]])],
        plots={"accuracy": Plot(TABLE, (6.4, 3.8), sheet.watermark, lambda figure: _draw(figure, filled, why))},
        figures=figures_of(filled),
        footer=[(name, text) for name, text in provenance(sheet) if name != "Cells"],
        settings=settings(sheet.records),
    )


def _with_twins(sheet: Sheet, shares: Mapping[str, float]) -> Sheet:
    """The rows of thresholds that were not trained hold the numbers of the network they would be, and say so."""
    twins = trained_as(shares)
    rows = tuple(replace(sheet.row(twins[row.model], "dense"), model=row.model) for row in sheet.rows)
    names = {
        model: f"{level:g}" if twins[model] == model else f"{level:g} (same masks as {THRESHOLDS[twins[model]]:g})"
        for model, level in THRESHOLDS.items()
    }
    return replace(sheet, rows=rows, table=replace(sheet.table, models=names))


def _sentences(sheet: Sheet, trained: set[str]) -> list[str]:
    known = {row.model: row.mean("accuracy_percent") for row in sheet.rows if row.model in trained}
    measured = {THRESHOLDS[model]: percent for model, percent in known.items() if percent is not None}
    if len(measured) < len(known):
        return [f"{len(measured)} of {len(known)} thresholds measured."]
    best = max(measured, key=measured.__getitem__)
    spread = max(measured.values()) - min(measured.values())
    return [
        f"Best at {best:g} ({measured[best]:.2f} %); {spread:.2f} points between the best threshold and the worst, "
        f"{len(measured)} different masks. "
        f"The paper tried 0.4, 0.5 and 0.6 on RAF-DB and found {published.FIG6_BEST:g} best."
    ]


def _draw(figure: Figure, sheet: Sheet, why: str) -> None:
    axes = figure.add_axes((0.115, 0.19, 0.855, 0.69))
    axes.set_title(f"MRF on {sheet.data}, scale {titled(sheet.scale)}", pad=10)
    known = [(THRESHOLDS[row.model], row) for row in sheet.rows if row.measured]
    if why:
        nothing(axes, "no landmark confidence in this data set")
        return
    if not known:
        nothing(axes, "accuracy")
        return
    x = [level for level, _ in known]
    middle, low, high = (
        np.array([row.mean(f"accuracy_{end}") or 0.0 for _, row in known]) for end in ("percent", "lo", "hi")
    )
    axes.grid(True, axis="y", linewidth=0.8)
    axes.errorbar(
        x, middle, yerr=(middle - low, high - middle), color=LIGHT["mrf"], marker="o", markersize=5.5, elinewidth=1.2
    )
    axes.set_xticks(x, [f"{level:g}\n{row.mean('passing_percent') or 0:.0f} %" for level, row in known])
    axes.set_xlabel("Least confidence of a landmark in the mask, and share of landmarks that pass")
    axes.set_ylabel("Accuracy on test, % (bars: 95 %)")
    axes.yaxis.set_major_locator(MaxNLocator(8, integer=True))
