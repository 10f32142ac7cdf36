"""Cells in words: which network a line is about, and what a page has no record of. Pure."""

from collections.abc import Iterable, Mapping

from bench.pages.columns import percent
from bench.records import Cell


def named(cell: Cell, models: Mapping[str, str], variants: Mapping[str, str]) -> str:
    """A cell without its share of channels, as "VGGNet, Taylor scores, seed 1".

    Args:
        models, variants: name of a cell's model and variant -> as the page names it.
    """
    runtime = " ".join(part for part in (cell.runtime, cell.precision) if part)
    seed = f"seed {cell.seed}" if cell.seed else ""
    return ", ".join(part for part in (models[cell.model], variants[cell.variant], runtime, seed) if part)


def unmeasured(
    wanted: Iterable[Cell], measured: Iterable[Cell], models: Mapping[str, str], variants: Mapping[str, str]
) -> list[str]:
    """A line for each method of each network, with the shares of channels at which it was not measured.

    Args:
        wanted: every cell that the page could show.
        measured: those that have a record.
        models, variants: as of `named`.
    """
    there = set(measured)
    begun = {cell.model for cell in there}
    lines: dict[str, list[str]] = {}
    for cell in wanted:
        if cell.model not in begun:
            lines[f"{models[cell.model]}, all of it"] = []
        elif cell not in there:
            lines.setdefault(named(cell, models, variants), []).extend([percent(cell.ratio)] if cell.ratio else [])
    return [name + (f": {', '.join(shares)}" if shares else "") for name, shares in lines.items()]
