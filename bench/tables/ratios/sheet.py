"""The rows of a table of prune ratios from records, with remarks on those that need one."""

from dataclasses import replace

from bench.pages.columns import Published, Table
from bench.pages.noise import noise
from bench.pages.sheet import Records, Row, Sheet, taken
from bench.pages.values import Values, values_of
from bench.records import Cell, Record
from bench.schema import BATCHES
from bench.tables.ratios.definitions import cells


def sheet_of(table: Table, records: Records, *, data: str, scale: str, seeds: int | None = None) -> Sheet:
    """`records` sorted into the rows of `table`, whatever their order.

    Args:
        seeds: rows cover seeds 0 to seeds - 1; without it every seed that has a record.

    Raises:
        ValueError: inconsistent records.
    """
    found = {record.cell: record for record in taken(records, data=data, scale=scale, table=table.name)}
    seeds = seeds or 1 + max((cell.seed for cell in found), default=0)
    wanted = cells(table, data, scale, seeds)
    rows = _flag_slower(_rows(table, wanted, found))
    used = tuple(found[cell] for cell in found if cell in set(wanted))
    return Sheet(table=table, data=data, scale=scale, seeds=seeds, rows=rows, records=used)


def _rows(table: Table, wanted: list[Cell], found: dict[Cell, Record]) -> tuple[Row, ...]:
    grouped: dict[tuple[str, str, float], list[Cell]] = {}
    for cell in wanted:
        grouped.setdefault((cell.model, cell.variant, cell.ratio), []).append(cell)
    return tuple(_row(table, key, group, found) for key, group in grouped.items())


def _row(table: Table, key: tuple[str, str, float], group: list[Cell], found: dict[Cell, Record]) -> Row:
    model, variant, ratio = key
    values = tuple(_cell_values(cell, found) for cell in group)
    row = Row(
        model=model,
        variant=variant,
        ratio=ratio,
        beyond=ratio > 0 and ratio not in table.paper_ratios,
        cells=tuple(group),
        found=values,
        published=_published(table, model, variant, ratio),
    )
    noisy = noise(found[cell] for cell in group if cell in found)
    return replace(row, remarks=(*noisy, *_off_budget(row), *_collapsed(row)))


def _published(table: Table, model: str, variant: str, ratio: float) -> Values:
    """The paper's own numbers for a row; empty where it has none (the controls, the ratios beyond it)."""
    found: Published | None = table.published.get((model, ratio))
    if found is None or variant not in ("dense", "slim"):
        return {}
    values = {
        "published_percent": found.accuracy_percent,
        "published_params_million": found.params_million,
        "published_macs_giga": found.macs_giga,
    }
    if found.params_removed_percent is not None and found.macs_removed_percent is not None:
        whole = table.published[model, 0.0]
        values["published_difference_points"] = found.accuracy_percent - whole.accuracy_percent
        values["published_params_removed_percent"] = found.params_removed_percent
        values["published_macs_removed_percent"] = found.macs_removed_percent
    return values


def _cell_values(cell: Cell, found: dict[Cell, Record]) -> Values | None:
    if cell not in found:
        return None
    beside = ("short", "random") if cell.variant == "slim" else ()
    controls = {variant: found.get(_sibling(cell, variant, cell.ratio)) for variant in beside}
    dense, short, random = found.get(_sibling(cell, "dense", 0.0)), controls.get("short"), controls.get("random")
    return values_of(found[cell], dense=dense, short=short, random=random)


def _sibling(cell: Cell, variant: str, ratio: float) -> Cell:
    return replace(cell, variant=variant, ratio=ratio)


def _off_budget(row: Row) -> list[str]:
    off = [share for share in row.numbers("achieved_percent") if abs(share - 100 * row.ratio) > 1]
    return [f"asked for {100 * row.ratio:.0f} %, got {off[0]:.1f} %"] if off else []


def _collapsed(row: Row) -> list[str]:
    most = max(row.numbers("collapsed_layers"), default=0)
    return [f"{most:.0f} layers have almost no channels left (see the plot of widths)"] if most else []


def _flag_slower(rows: tuple[Row, ...]) -> tuple[Row, ...]:
    """Remarks on rows whose network is slower than one with fewer channels removed."""
    flagged = []
    for row in rows:
        lower = [other for other in rows if _is_lower(other, row)] if row.variant == "slim" else []
        remarks = [remark for batch in BATCHES if (remark := _slower(row, lower, batch))]
        flagged.append(replace(row, remarks=(*row.remarks, *remarks)))
    return tuple(flagged)


def _is_lower(other: Row, row: Row) -> bool:
    return other.model == row.model and other.variant in ("dense", "slim") and other.ratio < row.ratio


def _slower(row: Row, lower: list[Row], batch: int) -> str:
    key = f"speedup_b{batch}"
    ours = row.mean(key)
    rivals = [(1.0 if other.variant == "dense" else other.mean(key), other) for other in lower]
    rivals = [(speed, other) for speed, other in rivals if speed is not None]
    if ours is None or not rivals:
        return ""
    speed, fastest = max(rivals, key=lambda rival: rival[0])
    if ours >= speed:
        return ""
    floor = fastest.mean(f"{key}_lo") or 1.0
    ceiling = row.mean(f"{key}_hi") or ours
    within = " (intervals overlap)" if ceiling >= floor else ""
    return f"slower than {fastest.label} at batch {batch}{within}"
