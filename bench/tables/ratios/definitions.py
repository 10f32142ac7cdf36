"""Tables of prune ratios as data: rows, columns, and the numbers that were published.

`bench.tables.ratios.sheet` fills them from records, `bench.tables.ratios.page` makes both a page.

>>> len(cells(RATIO_TABLES["table5"], "synthetic", "cpu", seeds=1))
16
"""

from collections.abc import Sequence

from bench.make.methods import RECIPES
from bench.make.networks import NETWORKS
from bench.make.scales import scale_for
from bench.pages.columns import (
    ACCURACY,
    CLASS_MEAN,
    DIFFERENCE,
    LEAK_FREE,
    MACRO_F1,
    Column,
    Panel,
    Published,
    Table,
    detail_panel,
)
from bench.pages.noise import RULE
from bench.records import Cell
from bench.schema import BATCHES


def _accuracy_panel() -> Panel:
    columns = (
        Column(title="Removed, %", text="{achieved_percent}"),
        ACCURACY,
        DIFFERENCE,
        Column(title="McNemar p", text="{mcnemar_p}"),
        CLASS_MEAN,
        MACRO_F1,
        LEAK_FREE,
    )
    note = "Difference: this network minus the unpruned one on the same test images (paired)."
    return Panel(letter="A", title="Accuracy on the test split", columns=columns, note=note)


def _cost_panel() -> Panel:
    latency = (
        Column(title=f"Batch {batch}: p50 / p90, ms", text=f"{{p50_ms_b{batch}}} / {{p90_ms_b{batch}}}")
        for batch in BATCHES
    )
    speedups = (
        Column(
            title=f"Speed-up, batch {batch} [95 %]",
            text=f"{{speedup_b{batch}}} [{{speedup_b{batch}_lo}}, {{speedup_b{batch}_hi}}]",
        )
        for batch in BATCHES
    )
    columns = (
        Column(title="Parameters", text="{params} ({params_removed_percent})"),
        Column(title="FLOPs (MAC)", text="{macs} ({macs_removed_percent})"),
        Column(title="Fewer MACs", text="{macs_factor}"),
        *speedups,
        *latency,
    )
    note = (
        "MACs: multiply-accumulates of convolutions and linear layers for one image. Speed-up: unpruned time / this "
        f"time, median over paired turns. Compare it with the factor by which the MACs fell. {RULE}."
    )
    return Panel(letter="B", title="Cost and speed", columns=columns, note=note)


def _control_panel() -> Panel:
    columns = (
        Column(title="After the cut, %", text="{cut_percent}"),
        Column(title="+ beta absorbed, %", text="{absorbed_percent}"),
        Column(title="+ BN recalibrated, %", text="{recalibrated_percent}"),
        Column(title="At the end, %", text="{validation_percent}"),
        Column(title="Control: the recipe's channels (test), %", text="{short_percent}"),
        Column(title="Control: random (test), %", text="{control_percent}"),
        Column(
            title="Gain over random, points [95 %]", text="{control_gap_points} [{control_gap_lo}, {control_gap_hi}]"
        ),
        Column(title="p", text="{control_p}"),
        Column(title="Control's MACs", text="{control_macs_removed_percent}"),
    )
    note = (
        "The first four columns are accuracy on the validation split: after the cut; after the constant outputs of "
        "removed channels moved into the next biases; after batch norm statistics were measured again; after "
        "fine-tuning. Control: as many channels, removed at random, beside those that the recipe chose. Both are "
        "fine-tuned for as many epochs (control, below) and measured on the test split. Random channels save other "
        "MACs. A dash at a ratio: no control was measured there."
    )
    return Panel(letter="C", title="Right after the cut, and the random control", columns=columns, note=note)


def _published_panel(letter: str) -> Panel:
    columns = (
        Column(title="Ours: accuracy, %", text="{accuracy_percent}"),
        Column(title="Ours: difference, points", text="{difference_points}"),
        Column(title="Ours: parameters", text="{params} ({params_removed_percent})"),
        Column(title="Ours: FLOPs (MAC)", text="{macs} ({macs_removed_percent})"),
        Column(title="Paper: accuracy, %", text="{published_percent}"),
        Column(title="Paper: difference, points", text="{published_difference_points}"),
        Column(title="Paper: parameters", text="{published_params_million} ({published_params_removed_percent})"),
        Column(title="Paper: FLOPs (MAC)", text="{published_macs_giga} ({published_macs_removed_percent})"),
    )
    note = (
        "The paper's numbers are RAF-DB at 224 px: other data, another size, another split. They stand beside ours; "
        "no comparison is claimed."
    )
    return Panel(letter=letter, title="Beside the paper", columns=columns, note=note)


def _published(*rows: tuple[float, float, float, float | None, float, float | None]) -> dict[float, Published]:
    return {
        percent / 100: Published(
            accuracy_percent=accuracy,
            params_million=params,
            params_removed_percent=params_removed,
            macs_giga=macs,
            macs_removed_percent=macs_removed,
        )
        for percent, accuracy, params, params_removed, macs, macs_removed in rows
    }


PUBLISHED_TABLE5 = {
    "mrf": _published(
        (0, 85.39, 31.00, None, 16.95, None),
        (40, 84.78, 13.77, 55.58, 11.64, 31.33),
        (50, 84.19, 11.48, 62.97, 9.91, 41.53),
        (60, 82.43, 8.26, 73.35, 8.11, 52.15),
    ),
    "vggnet": _published(
        (0, 80.96, 20.48, None, 14.26, None),
        (40, 75.31, 10.69, 47.80, 9.75, 31.62),
        (50, 52.92, 8.79, 57.08, 8.66, 39.27),
        (60, 49.25, 5.28, 74.22, 7.59, 46.77),
    ),
}
"""Tang et al. 2023, Table 5, as printed there."""

OURS = (_accuracy_panel(), _cost_panel(), _control_panel())
"""Panels of what we measure; the three-number report comes last."""

RATIO_TABLES: dict[str, Table] = {
    "table5": Table(
        name="table5",
        title="Channel pruning of MRF and of a plain VGGNet",
        models={"mrf": "MRF", "vggnet": "VGGNet"},
        ratios=(0.4, 0.5, 0.6, 0.7, 0.8),
        paper_ratios=(0.4, 0.5, 0.6),
        panels=(*OURS, _published_panel("D"), detail_panel("E")),
        published={(model, ratio): row for model, rows in PUBLISHED_TABLE5.items() for ratio, row in rows.items()},
        published_source="Tang et al., Lightweight Network Based on Multiregion Fusion, doi 10.3788/LOP213204, Table 5",
        headline_ratio=0.6,
    ),
    "ocl-slim": Table(
        name="ocl-slim",
        title="Channel pruning of paper 2's network: ResNet-18, five crops, CBAM",
        models={"ocl-fgw-lgds": "OCL + Res18 + FGW + LGDS"},
        ratios=(0.4, 0.5, 0.6, 0.7),  # tied residual channels: the floor of every layer leaves no room for 80 %
        paper_ratios=(0.4, 0.5, 0.6, 0.7),
        panels=(*OURS, detail_panel("D")),
        published={},
        published_source="",
        headline_ratio=0.6,
    ),
}
"""Tables of prune ratios; paper 2 has none, so the second has Table 5's columns and nothing published beside it."""


def shown(model: str) -> str:
    """What readers call the network `model`."""
    return {name: told for table in RATIO_TABLES.values() for name, told in table.models.items()}.get(model, model)


def named(cell: Cell) -> str:
    """What readers call the network of `cell`, with its seed where that is not the first."""
    return shown(cell.model) + (f", seed {cell.seed}" if cell.seed else "")


def find(table: str | Table) -> Table:
    """The table of that name; a table is passed through.

    Raises:
        ValueError: no such table.
    """
    if isinstance(table, Table):
        return table
    if table not in RATIO_TABLES:
        raise ValueError(f'no table "{table}": the tables are {", ".join(RATIO_TABLES)}')
    return RATIO_TABLES[table]


def variants(table: Table, controls: Sequence[float] | None = None) -> list[tuple[str, float]]:
    """(variant, requested share) of every row of one network, in the order of the rows; controls at their ratios."""
    held = table.ratios if controls is None else [ratio for ratio in table.ratios if ratio in controls]
    cuts = [("slim", ratio) for ratio in table.ratios]
    cuts += [(variant, ratio) for variant in ("short", "random") for ratio in held]
    return [("dense", 0.0), ("sparse", 0.0), *cuts]


def cells(table: str | Table, data: str, scale: str, seeds: int) -> list[Cell]:
    """Every cell of the table, all of seed 0 before any of seed 1, so that a short run has whole rows.

    Raises:
        ValueError: unknown table, or fewer than one seed.
    """
    table = find(table)
    if seeds < 1:
        raise ValueError(f"seeds = {seeds}: give a number of seeds, at least 1")
    of = scale_for(scale, data)
    own = {model: NETWORKS[model].scale(of) for model in table.models}
    return [
        Cell(table=table.name, data=data, scale=scale, model=model, variant=variant, ratio=ratio, seed=seed)
        for seed in range(seeds)
        for model in table.models
        for variant, ratio in variants(table, own[model].measurement.control_ratios)
        if variant != "sparse" or RECIPES[own[model].schedules.recipe].penalised
    ]
