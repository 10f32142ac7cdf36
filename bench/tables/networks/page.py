"""Tables 1 to 4 of paper 1 as data, and as pages: whole networks beside each other, all from the same records.

Rows, panels and published numbers are here; `bench.tables.networks.sheet` fills them.
"""

from bench.pages.captions import footer, settings
from bench.pages.columns import ACCURACY, CLASS_MEAN, LEAK_FREE, MACRO_F1, Column, Panel, detail_panel
from bench.pages.noise import RULE, spread_line
from bench.pages.page import Page, Pairs
from bench.pages.sheet import Records, Row, Sheet, mean_text, written
from bench.pages.svg import Plot
from bench.tables.networks import confusion, published
from bench.tables.networks.dense import OCCLUDER, REFERENCE
from bench.tables.networks.plots import accuracy_dots, attention_plot, reliability_plot
from bench.tables.networks.sheet import NetworkTable, figures_of, name_of, part_of, sheet_of

MODELS = {
    "local": "Local branch",
    "global": "Global branch",
    "global-attention": "Global branch + attention map",
    "mrf-no-bn": "MRF without BN",
    "mrf": "MRF",
    "mrf-bn-first": "MRF, BN first in each group",
    "mrf-separate": "MRF, separate local trunks",
    "mrf-no-mask": "MRF, mask loss off",
    "mrf-off-mask": "MRF, eq 6 as written",
}
"""Rows of Table 4: the paper's five, then ours."""
ABOVE = {"global": "local", "global-attention": "global", "mrf-no-bn": "global-attention", "mrf": "mrf-no-bn"}
OTHER_DATA = "The paper's numbers are of other data sets, at 224 px: they stand beside ours, no comparison is claimed."
PAIRED = "Differences: on the same test images and seed, with McNemar's exact p."


def _accuracy_panel(*comparisons: Column) -> Panel:
    columns = (
        ACCURACY,
        CLASS_MEAN,
        MACRO_F1,
        *comparisons,
        Column(title="Against MRF, points [95 %]", text="{difference_points} [{difference_lo}, {difference_hi}]"),
        Column(title="p against MRF", text="{mcnemar_p}"),
        LEAK_FREE,
    )
    return Panel(letter="A", title="Accuracy on the test split", columns=columns, note=PAIRED)


def _published_panel(letter: str) -> Panel:
    columns = (
        Column(title="Ours, %", text="{accuracy_percent}"),
        Column(title="Paper: RAF-DB, %", text="{published_rafdb_percent}"),
        Column(title="Paper: AffectNet, %", text="{published_affectnet_percent}"),
    )
    return Panel(letter=letter, title="Beside the paper", columns=columns, note=OTHER_DATA)


_COST = Panel(
    letter="B",
    title="Cost and speed",
    columns=(
        Column(title="Parameters", text="{params}"),
        Column(title="FLOPs (MAC)", text="{macs}"),
        Column(title="Batch 1: p50 / p90, ms", text="{p50_ms_b1} / {p90_ms_b1}"),
        Column(title="As fast as MRF [95 %]", text="{speedup_b1} [{speedup_b1_lo}, {speedup_b1_hi}]"),
    ),
    note="MACs: multiply-accumulates of convolutions and linear layers for one image. All networks are timed in "
    f"turns. As fast as MRF: MRF's time / this time, median over paired turns. {RULE}.",
)
_CALIBRATION = Panel(
    letter="C",
    title="Calibration and one occluder",
    columns=(
        Column(title="ECE, %", text="{ece_percent}"),
        Column(title="NLL, nats", text="{nll}"),
        Column(title="Temperature", text="{temperature}"),
        Column(title="ECE at it, %", text="{ece_scaled_percent}"),
        Column(title="NLL at it, nats", text="{nll_scaled}"),
        Column(title="Accuracy occluded, %", text="{occluded_percent}"),
        Column(title="Change, points", text="{occluded_change_points}"),
    ),
    note="ECE: expected calibration error, 10 bins. Temperature: p^(1/T), normalised, T fitted on validation. "
    f'Occluded: one rectangle over {100 * OCCLUDER.share:.0f} % of the face ("{OCCLUDER.name}"), unseen in training; '
    "regions and landmarks stay where they were.",
)
_DETAIL = detail_panel("E")
_ABOVE = (
    Column(title="Against the row above, points [95 %]", text="{above_points} [{above_lo}, {above_hi}]"),
    Column(title="p against it", text="{above_p}"),
)
_ATTENTION = Panel(
    letter="F",
    title="Where the attention map lies",
    columns=(
        Column(title="On the landmarks' cells, %", text="{map_all_percent}"),
        Column(title="Named rightly, %", text="{map_right_percent}"),
        Column(title="Named wrongly, %", text="{map_wrong_percent}"),
        Column(title="These cells, % of the face", text="{map_mask_percent}"),
    ),
    note="The share of the attention map (eq 3) that lies on the cells of the mask (eq 4), mean over the test faces. "
    "A uniform map has the share in the last column. The mask loss (eq 6) draws the map to these cells. "
    "Plot: mean maps of seed 0, white 0 and dark 1; dots: the mean landmarks.",
)
PRINTED_KEYS = ("published_rafdb_percent", "published_affectnet_percent")
_PRINTED1 = {
    name: {key: percent for key, percent in zip(PRINTED_KEYS, both, strict=True) if percent is not None}
    for name, both in (published.TABLE1 | published.LITERATURE).items()
}


NETWORK_TABLES: dict[str, NetworkTable] = {
    "table1": NetworkTable(
        name="table1",
        title="Networks on the whole face, and MRF",
        models={"resnet50": "ResNet-50", "vggnet": "VGG-16 (with BN)", "mrf": "MRF"},
        published_source=f"{published.SOURCE}, Table 1",
        panels=(_accuracy_panel(), _COST, _CALIBRATION, _published_panel("D"), _DETAIL),
        printed=_PRINTED1,
        literature=tuple(published.LITERATURE),
    ),
    "table2": NetworkTable(
        name="table2",
        title="Confusion matrix of MRF, beside the paper's on RAF-DB",
        models={"mrf": "MRF"},
        published_source=f"{published.SOURCE}, Table 2",
        timed=False,
    ),
    "table3": NetworkTable(
        name="table3",
        title="Confusion matrix of MRF, beside the paper's on AffectNet",
        models={"mrf": "MRF"},
        published_source=f"{published.SOURCE}, Table 3",
        timed=False,
    ),
    "table4": NetworkTable(
        name="table4",
        title="What the parts of MRF are worth",
        models=MODELS,
        published_source=f"{published.SOURCE}, Table 4 (AffectNet: Table 1)",
        panels=(_accuracy_panel(*_ABOVE), _COST, _CALIBRATION, _published_panel("D"), _DETAIL, _ATTENTION),
        above=ABOVE,
        printed={name: {PRINTED_KEYS[0]: percent} for name, percent in published.TABLE4.items()}
        | {"mrf": _PRINTED1["mrf"]},
    ),
}
MATRICES = {"table2": ("RAF-DB", published.TABLE2), "table3": ("AffectNet", published.TABLE3)}
"""Published confusion matrices by our table's name: the data set and the shares."""


def page_of(table: NetworkTable, records: Records, *, data: str, scale: str, seeds: int | None = None) -> Page:
    """Everything that is told; arguments are those of `bench.tables.networks.sheet.sheet_of`."""
    sheet = sheet_of(table, records, data=data, scale=scale, seeds=seeds)
    name = sheet.table.name
    if name in MATRICES:
        content = confusion.content(sheet, *MATRICES[name])
    else:
        content = {
            "sentences": sentences(sheet),
            "parts": [part_of(sheet, panel, literature=panel.letter == "D") for panel in sheet.table.panels],
            "plots": {"accuracy": accuracy_dots(sheet), "reliability": reliability_plot(sheet)} | _maps(sheet),
        }
    return Page(
        name=name,
        title=sheet.table.title,
        data=sheet.data,
        scale=sheet.scale,
        seeds=sheet.seeds,
        figures=figures_of(sheet),
        footer=provenance(sheet),
        remarks={"Remarks": [f"{name_of(sheet, row)}: {'; '.join(row.remarks)}" for row in sheet.rows if row.remarks]},
        settings=settings(sheet.records),
        **content,
    )


def _maps(sheet: Sheet) -> dict[str, Plot]:
    """The plot of the attention maps, where the table tells where they lie."""
    return {"attention": attention_plot(sheet)} if _ATTENTION in sheet.table.panels else {}


def provenance(sheet: Sheet) -> Pairs:
    """Where the numbers come from; the timing is of other turns than those of Table 5."""
    timed = isinstance(sheet.table, NetworkTable) and sheet.table.timed
    turns = f"all networks of a measurement in turns, eager PyTorch, float32, seed 0{spread_line(sheet.records)}"
    said = {"Three numbers": ""} | ({"Timing": turns} if timed else {"Timing": "", "MACs": ""})
    return [(name, said.get(name, text)) for name, text in footer(sheet) if said.get(name, text)]


def sentences(sheet: Sheet) -> list[str]:
    """MRF's accuracy beside the majority, then every difference to the row above, or to MRF where there is none."""
    whole = sheet.row(REFERENCE, "dense")
    if not whole.measured:
        return [f"{sheet.table.models[REFERENCE]}: not measured yet."]
    said = [
        f"MRF is right for {mean_text(whole, 'accuracy_percent')} % "
        f"[{mean_text(whole, 'accuracy_lo')}, {mean_text(whole, 'accuracy_hi')}]; "
        f"the most frequent class alone gives {mean_text(whole, 'majority_percent')} %."
    ]
    above = sheet.table.above if isinstance(sheet.table, NetworkTable) else {}
    for row in (row for row in sheet.rows if row.measured and row.cells):
        name = sheet.table.models[row.model]
        if row.numbers("above_points"):
            said.append(f"{name} minus {sheet.table.models[above[row.model]]}: {_gap(row, 'above', 'above_p')}")
        elif row.numbers("difference_points"):
            said.append(f"{name} minus MRF: {_gap(row, 'difference', 'mcnemar_p')}")
    return said


def _gap(row: Row, prefix: str, p_key: str) -> str:
    points, low, high = (mean_text(row, f"{prefix}_{end}") for end in ("points", "lo", "hi"))
    return f"{points} points [{low}, {high}], p {written(p_key, row.numbers(p_key))}."
