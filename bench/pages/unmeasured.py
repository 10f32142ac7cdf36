"""What a page has no record of, in words. Pure."""

from collections.abc import Iterable, Mapping, Sequence

from bench.pages.columns import percent
from bench.records import Cell


def unmeasured(
    wanted: Iterable[Cell], measured: Iterable[Cell], models: Mapping[str, str], variants: Mapping[str, str]
) -> list[str]:
    """A line for each method of each network, with the shares of channels at which it was not measured.

    Args:
        wanted: every cell that the page could show.
        measured: those that have a record.
        models, variants: name of a cell's model and variant -> as the page names it.
    """
    there = set(measured)
    begun = {cell.model for cell in there}
    lines: dict[tuple[str, ...], list[float]] = {}
    for cell in wanted:
        if cell in there:
            continue
        if cell.model not in begun:
            lines[models[cell.model], "all of it"] = []
            continue
        which = " ".join(part for part in (cell.runtime, cell.precision) if part)
        seed = f"seed {cell.seed}" if cell.seed else ""
        key = (models[cell.model], variants[cell.variant], which, seed)
        lines.setdefault(tuple(part for part in key if part), []).append(cell.ratio)
    return [_line(words, ratios) for words, ratios in lines.items()]


def _line(words: Sequence[str], ratios: Sequence[float]) -> str:
    shares = ", ".join(percent(ratio) for ratio in ratios if ratio)
    return ", ".join(words) + (f": {shares}" if shares else "")
