"""Every table there is: its cells, how they are measured, and how their records are rendered. One dict literal."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from bench import records
from bench.make import pipeline
from bench.make.stages import Job
from bench.measure.together import time_together
from bench.pages.page import Page
from bench.pages.sheet import Records, taken
from bench.records import Cell, Record
from bench.schema import BATCHES
from bench.tables.covers import fig3, fig3_page, fig4, fig4_page, occlusion, occlusion_page
from bench.tables.networks import dense, fig6
from bench.tables.networks import page as networks_page
from bench.tables.ocl import definitions as ocl
from bench.tables.ocl import page as ocl_page
from bench.tables.ratios import definitions as ratios
from bench.tables.ratios import page as ratios_page
from bench.tables.slimming import page as methods_page
from bench.tables.slimming import rows as methods
from bench.tables.speed import latency_aware, latency_aware_page, runtimes, runtimes_page, untrained
from fermodels.data.base import Dataset

TABLE5_MODELS = tuple(ratios.RATIO_TABLES["table5"].models)


def _nothing(jobs: Mapping[Cell, Job], root: Path) -> None:
    """Everything was measured network by network."""


def _every(data: Dataset, cells: Sequence[Cell]) -> list[Cell]:
    return list(cells)


def _absent(found: Mapping[Cell, Record], cells: Sequence[Cell]) -> list[Cell]:
    return [cell for cell in cells if cell not in found]


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One table."""

    models: tuple[str, ...]
    """Networks of its rows."""
    cells: Callable[[str, str, int], list[Cell]]
    """(data set, scale, seeds) -> every cell."""
    measure: Callable[[Job, Sequence[Cell], Path], object]
    """Makes the records of the cells of one network and seed below a folder, unless they are there."""
    page: Callable[..., Page]
    """(records, data=, scale=, seeds=) -> the page, from which every file and the terminal's view are made."""
    beside: tuple[str, ...] = ()
    """Other tables whose records the page shows, too, where they are there."""
    together: Callable[[Mapping[Cell, Job], Path], None] = _nothing
    """Adds to records what is measured of all networks in turns."""
    needed: Callable[[Dataset, Sequence[Cell]], list[Cell]] = _every
    """Those of the cells that tell something on the data set; the others are neither trained nor measured."""
    lacking: Callable[[Mapping[Cell, Record], Sequence[Cell]], list[Cell]] = _absent
    """Those of the cells whose records are still to be made."""
    ablation: bool = False
    """Its unpruned networks are trained by the scale's `ablation` schedule, where it has one."""
    alone: bool = False
    """Its networks depend on measured times: they are never made side by side."""


def _of_ratios(name: str) -> Entry:
    """A table of prune ratios, held as data."""
    table = ratios.RATIO_TABLES[name]
    return Entry(
        models=tuple(table.models),
        cells=partial(ratios.cells, table),
        measure=pipeline.measure,
        page=partial(ratios_page.page_of, table),
        beside=(runtimes.TABLE, untrained.OF_RECORDS),
    )


def _of_networks(name: str) -> Entry:
    """A table of whole networks; all of them render the same records."""
    sheet = networks_page.NETWORK_TABLES[name]
    return Entry(
        models=tuple(sheet.models),
        cells=partial(dense.cells, models=tuple(sheet.models)),
        measure=dense.measure,
        together=dense.time_together if sheet.timed else _nothing,
        page=partial(networks_page.page_of, sheet),
        ablation=True,
    )


def _of_ocl(name: str) -> Entry:
    """A table of paper 2, held as data; one that shows times has them of one measurement."""
    table = ocl.OCL_TABLES[name]
    timing = partial(time_together, batches=BATCHES, reference=table.first.model)
    return Entry(
        models=table.models,
        cells=partial(ocl.cells, table),
        measure=pipeline.score,
        together=_nothing if table.by_length else timing,
        page=partial(ocl_page.page_of, table),
    )


TABLES: dict[str, Entry] = {
    "table1": _of_networks("table1"),
    "table2": _of_networks("table2"),
    "table3": _of_networks("table3"),
    "table4": _of_networks("table4"),
    **{name: _of_ratios(name) for name in ratios.RATIO_TABLES},
    runtimes.TABLE: Entry(
        models=tuple(runtimes.RATIOS),
        cells=partial(runtimes.cells, models=tuple(runtimes.RATIOS)),
        measure=runtimes.measure,
        page=runtimes_page.page_of,
    ),
    latency_aware.TABLE: Entry(
        models=TABLE5_MODELS,
        cells=partial(latency_aware.cells, models=TABLE5_MODELS),
        measure=latency_aware.measure,
        page=latency_aware_page.page_of,
        alone=True,
    ),
    methods.TABLE: Entry(
        models=TABLE5_MODELS,
        cells=partial(methods.cells, models=TABLE5_MODELS),
        measure=methods.measure,
        page=methods_page.page_of,
    ),
    fig6.TABLE: Entry(
        models=tuple(dense.THRESHOLDS),
        cells=partial(dense.cells, models=tuple(dense.THRESHOLDS)),
        measure=dense.measure,
        page=fig6.page_of,
        needed=dense.needed,
        lacking=fig6.lacking,
        ablation=True,
    ),
    **{name: _of_ocl(name) for name in ocl.OCL_TABLES},
    occlusion.TABLE: Entry(
        models=tuple(occlusion.MODELS),
        cells=occlusion.cells,
        measure=occlusion.measure,
        page=occlusion_page.page_of,
    ),
    fig3.TABLE: Entry(
        models=tuple(fig3.METHODS),
        cells=fig3.cells,
        measure=fig3.measure,
        page=fig3_page.page_of,
    ),
    fig4.TABLE: Entry(
        models=tuple(fig4.MODELS),
        cells=fig4.cells,
        measure=fig4.measure,
        page=fig4_page.page_of,
    ),
}


def page_of(table: str, found: Records, *, data: str, scale: str, seeds: int | None = None) -> Page:
    """The page of a table, with the cells that it has and lacks; `seeds` is what the records have."""
    entry = TABLES[table]
    page = entry.page(found, data=data, scale=scale, seeds=seeds)
    cells = entry.cells(data, scale, seeds or page.seeds)
    there = {one.cell: one for one in taken(found, data=data, scale=scale, table=cells[0].table)}
    own = [cell for cell in cells if cell in there]
    return replace(page, cells=own, missing=[cell.id for cell in entry.lacking(there, cells)])


def groups(root: Path) -> list[tuple[str, str, str]]:
    """(table, data, scale) of every folder of records below `root`."""
    found = {path.parent.relative_to(root).parts for path in records.paths(root, "*/*/*/*.json")}
    return sorted((table, data, scale) for table, data, scale in found)


def gathered(root: Path) -> tuple[list[Page], list[Record]]:
    """Every page that the records below `root` give, group by group, and these records."""
    pages: list[Page] = []
    every: list[Record] = []
    for table, data, scale in groups(root):
        beside = TABLES[table].beside if table in TABLES else ()  # some folders hold the records of several tables
        found = records.load_all(root, table=table, data=data, scale=scale, beside=beside)
        pages += [page(found, data=data, scale=scale) for page in PAGES.get(table, ())]
        every += [record for cell, record in found.items() if cell.table == table]
    return pages, every


WHOLE = (*networks_page.NETWORK_TABLES, fig6.TABLE)
"""Tables that share the records of whole networks."""
PAGES: dict[str, tuple[Callable[..., Page], ...]] = {
    dense.RECORDS: tuple(partial(page_of, name) for name in WHOLE),
    **{name: (partial(page_of, name),) for name in TABLES if name not in WHOLE},
    **{name: (partial(untrained.page_of, table=name),) for name in untrained.TITLES},
}
"""Folder of records -> what makes the pages that `bench.publish` renders from it."""

__all__ = ["PAGES", "TABLES", "Entry", "gathered", "page_of"]
