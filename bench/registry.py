"""Every table there is: its cells, how they are measured, and how their records are rendered. One dict literal."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from rich.console import RenderableType

from bench import (
    fig3,
    fig3_table,
    full_width,
    occlusion,
    occlusion_table,
    pipeline,
    render,
    runtime_table,
    runtimes,
    tables,
)
from bench.records import Cell
from bench.stages import Job

TABLE5_MODELS = tuple(tables.TABLES["table5"].models)


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One table."""

    models: tuple[str, ...]
    """Networks of its rows."""
    cells: Callable[[str, str, int], list[Cell]]
    """(data set, scale, seeds) -> every cell."""
    measure: Callable[[Job, Sequence[Cell], Path], None]
    """Makes the records of the cells of one network and seed below a folder, unless they are there."""
    render: Callable[..., dict[str, bytes]]
    """(records, data=, scale=, seeds=) -> files by name."""
    terminal: Callable[..., RenderableType]


def _of_paper(name: str) -> Kind:
    """A table of prune ratios, which `bench.tables` holds as data."""
    table = tables.TABLES[name]
    return Kind(
        models=tuple(table.models),
        cells=partial(tables.cells, table),
        measure=pipeline.measure,
        render=partial(render.render, table),
        terminal=partial(render.terminal, table),
    )


def _runtime_cells(data: str, scale: str, seeds: int) -> list[Cell]:
    return runtimes.cells(data, scale, seeds, TABLE5_MODELS)


KINDS: dict[str, Kind] = {
    "table5": _of_paper("table5"),
    runtimes.TABLE: Kind(
        models=TABLE5_MODELS,
        cells=_runtime_cells,
        measure=runtimes.measure,
        render=runtime_table.render,
        terminal=runtime_table.terminal,
    ),
    occlusion.TABLE: Kind(
        models=tuple(occlusion.MODELS),
        cells=occlusion.cells,
        measure=occlusion.measure,
        render=occlusion_table.render,
        terminal=occlusion_table.terminal,
    ),
    fig3.TABLE: Kind(
        models=tuple(fig3.METHODS),
        cells=fig3.cells,
        measure=fig3.measure,
        render=fig3_table.render,
        terminal=fig3_table.terminal,
    ),
}

RENDERERS = {name: kind.render for name, kind in KINDS.items()} | {full_width.TABLE: full_width.render}
"""Everything that `bench.publish` renders: the tables of `bench.report`, and those with a command of their own."""

__all__ = ["KINDS", "RENDERERS", "Kind"]
