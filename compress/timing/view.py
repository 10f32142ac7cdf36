"""What `python -m compress.speed` prints: one table where the terminal is wide enough, else two narrow ones."""

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from compress.timing.turns import NOISY_SPREAD

Row = Mapping[str, Any]
"""As `compress.timing.deployed.timed` gives it."""
KEYS = ("Batch", "Runtime", "Precision")
PERCENTILES = ("p50", "p90", "p95", "p99")
SPREAD = "Spread, %"
WIDEST = 1000
PIPED = 200
"""Columns of characters where standard output is no terminal."""


def show(name: str, rows: Sequence[Row], lines: Sequence[str]) -> None:
    """Prints the rows, without columns that are empty everywhere, and the lines below them.

    Args:
        name: of what was timed.
        rows: at least one.
    """
    console = Console(width=None if sys.stdout.isatty() else PIPED, highlight=False)
    for table in tables(name, rows, console):
        console.print(table)
    for line in [*_noise(rows), *lines]:
        console.print(line, soft_wrap=True, markup=False)


def tables(name: str, rows: Sequence[Row], console: Console) -> list[Table]:
    """The whole table, or where it is wider than the console its times and, below, everything else."""
    body = [_cells(row) for row in rows]
    titles = [title for title in body[0] if any(cells[title] for cells in body)]
    whole = _table(name, titles, body, _caption(rows))
    if console.measure(whole, options=console.options.update(max_width=WIDEST)).maximum <= console.width:
        return [whole]
    times = [*KEYS, *PERCENTILES, SPREAD]
    rest = [*KEYS, *(title for title in titles if title not in times)]
    return [_narrow(_table(name, times, body, "")), _narrow(_table("", rest, body, _caption(rows)))]


def _table(name: str, titles: Sequence[str], body: Sequence[Mapping[str, str]], caption: str) -> Table:
    heading = f"{name}: milliseconds per batch" if name else ""
    shown = [[cells[title] for title in titles] for cells in body]
    table = Table(title=escape(heading), caption=caption, title_justify="left", expand=False)
    for i, title in enumerate(titles):
        table.add_column(title, justify="left" if i < len(KEYS) else "right")
    for i, cells in enumerate(shown):
        table.add_row(*map(escape, cells), end_section=i + 1 < len(shown) and shown[i + 1][0] != cells[0])
    return table


def _narrow(table: Table) -> Table:
    table.box, table.padding, table.pad_edge, table.title_style = SIMPLE_HEAD, (0, 0), False, "bold"
    return table


def _caption(rows: Sequence[Row]) -> str:
    runs = sorted({row["n"] for row in rows})
    threads = rows[0]["threads"]
    return (
        f"{runs[0]} to {runs[-1]} runs each, in turns, {threads} thread{'s' if threads > 1 else ''}. Size: of the "
        "artefact. Memory: peak of the whole process, all sessions loaded. "
        "Spread: of the turns beside the others' (robust). "
        f"!: noisy, above {100 * NOISY_SPREAD:g} %."
    )


def _cells(row: Row) -> dict[str, str]:
    """Heading -> what stands below it."""
    faster, memory, energy = row["times_as_fast"], row["memory"], row["energy"]
    return {
        **dict(zip(KEYS, (str(row["batch"]), row["runtime"], row["precision"]), strict=True)),
        **{name: milliseconds(row[f"{name}_ms"]) for name in PERCENTILES},
        SPREAD: f"{100 * row['spread']:.1f}{'!' if row['noisy'] else ''}",
        "Images/s": f"{row['images_per_s']:,.0f}",
        "Times as fast as eager fp32 [95 %]": "{factor:.2f} [{lo:.2f}, {hi:.2f}]".format(**faster) if faster else "-",
        "Size, MB": f"{row['artefact_bytes'] / 1e6:.2f}",
        "Memory, MB": _megabytes(memory["process_bytes"]),
        "GPU memory, MB": _megabytes(memory["device_bytes"]),
        "mJ/image": f"{1000 * energy['joules_per_image']:.2f}" if energy else "",
    }


def milliseconds(value: float) -> str:
    """As the table shows a time: three decimals below 100 ms, one above."""
    return f"{value:.3f}" if value < 100 else f"{value:.1f}"


def _megabytes(size: int | None) -> str:
    return "" if size is None else f"{size / 1e6:,.0f}"


def _noise(rows: Sequence[Row]) -> list[str]:
    noisy = sum(row["noisy"] for row in rows)
    again = "their milliseconds are of little worth, and factors as good as their intervals; time them again when"
    return [f"{noisy} of {len(rows)} rows are noisy (!): {again} the machine is calm"] if noisy else []
