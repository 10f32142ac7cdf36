"""A table and its records as files: Markdown, CSV, LaTeX, HTML with plots, a plot for the README, a terminal view.

Pure: (table, records) -> {file name: bytes}. The same records, in any order, give the same bytes; a missing record is
a row that says "not measured".

    python -m bench.report --render-only
"""

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table as RichTable
from rich.text import Text

from bench.pages.captions import footer, headlines
from bench.pages.columns import ACCURACY, BATCHES, Column, Panel, Table
from bench.pages.plots import accuracy_plot
from bench.pages.render_html import html
from bench.pages.render_text import (
    MARKS_NOTE,
    ROW_KEYS,
    csv_text,
    latex,
    markdown,
    markdown_table,
    panel_cells,
    remarks,
    row_cells,
    row_label,
)
from bench.pages.rows import Records, Sheet, sheet

README_BEGIN, README_END = "<!-- table5:begin -->", "<!-- table5:end -->"
README_COLUMNS = (
    ACCURACY,
    Column(title="Difference, points [95 %]", text="{difference_points} [{difference_lo}, {difference_hi}]"),
    Column(title="Parameters", text="{params} ({params_removed_percent})"),
    Column(title="FLOPs (MAC)", text="{macs} ({macs_removed_percent})"),
    *(
        Column(title=f"p50 ms, batch {batch} (speed-up)", text=f"{{p50_ms_b{batch}}} ({{speedup_b{batch}}})")
        for batch in BATCHES
    ),
)


def render(
    table: str | Table, records: Records, *, data: str | None = None, scale: str | None = None, seeds: int | None = None
) -> dict[str, bytes]:
    """Every file of a table, by name.

    Args:
        records: as `bench.records.load_all` gives them; those of other tables, data sets and scales are passed over.
        data, scale, seeds: which rows to expect; without them, those the records have.

    Raises:
        ValueError: unknown table, records of several data sets and no word on which, or inconsistent records.
    """
    filled = sheet(table, records, data=data, scale=scale, seeds=seeds)
    name = filled.table.name
    files = {
        f"{name}.md": markdown(filled),
        f"{name}.csv": csv_text(filled),
        f"{name}.tex": latex(filled),
        f"{name}.html": html(filled),
        f"{name}-accuracy.svg": accuracy_plot(filled),
    }
    return {file: text.encode() for file, text in files.items()}


def terminal(
    table: str | Table, records: Records, *, data: str | None = None, scale: str | None = None, seeds: int | None = None
) -> RenderableType:
    """The panels, remarks and footer for `rich.print`; arguments and errors are those of `render`."""
    filled = sheet(table, records, data=data, scale=scale, seeds=seeds)
    mark = [Text(filled.watermark, style="bold red")] if filled.watermark else []
    panels = [_terminal_panel(filled, panel) for panel in filled.table.panels]
    said = [Text(f"! {remark}", style="yellow") for remark in remarks(filled)]
    notes = [Text.assemble((f"{name}: ", "bold"), text) for name, text in footer(filled)]
    sentences = [Text(sentence, style="bold") for sentence in headlines(filled)]
    return Group(*mark, *panels, Text(MARKS_NOTE), *said, *notes, *sentences, *mark)


def readme_table(
    records: Records,
    *,
    table: str | Table = "table5",
    data: str | None = None,
    scale: str | None = None,
    seeds: int | None = None,
) -> str:
    """The compact Markdown of the front page: headline sentences, eight columns, one line of provenance."""
    filled = sheet(table, records, data=data, scale=scale, seeds=seeds)
    body = [
        [name, row_label(row), *row_cells(README_COLUMNS, row)]
        for model, name in filled.table.models.items()
        for row in filled.of(model, "dense", "slim")
    ]
    titles = [*ROW_KEYS, *(column.title for column in README_COLUMNS)]
    notes = dict(footer(filled))
    marks = f"{MARKS_NOTE} in the full table. ".replace("*", "\\*")
    line = ". ".join(f"{name}: {notes[name]}" for name in ("Data", "Machine", "Timing", "Code") if name in notes)
    mark = [f"**{filled.watermark}**"] if filled.watermark else []
    parts = [*mark, *headlines(filled), markdown_table(titles, body), f"<sub>{marks}{line}.</sub>" if line else ""]
    return "\n\n".join(part for part in parts if part)


def embed(readme: str, snippet: str) -> str:
    """`readme` with `snippet` between its two markers, in place of what stood there.

    Raises:
        ValueError: the markers are not there exactly once and in order.
    """
    before, begin, rest = readme.partition(README_BEGIN)
    _, end, after = rest.partition(README_END)
    if not begin or not end or README_BEGIN in rest or README_END in before + after:
        raise ValueError(f"the text needs one line {README_BEGIN} and, below it, one line {README_END}")
    return f"{before}{begin}\n{snippet.strip()}\n{end}{after}"


def terminal_table(
    title: str, titles: Sequence[str], body: Sequence[Sequence[str]], *, caption: str = "", texts: int = len(ROW_KEYS)
) -> RichTable:
    """A table for `rich.print`: the first `texts` columns left; where there are two, a line where the first changes."""
    view = RichTable(title=title, caption=caption, title_justify="left", expand=False)
    for i, heading in enumerate(titles):
        view.add_column(heading, justify="left" if i < texts else "right")
    for i, cells in enumerate(body):
        last = texts > 1 and i + 1 < len(body) and body[i + 1][0] != cells[0]
        view.add_row(*map(escape, cells), end_section=last)
    return view


def _terminal_panel(filled: Sheet, panel: Panel) -> RichTable:
    titles = [*ROW_KEYS, *(column.title for column in filled.columns(panel))]
    return terminal_table(f"{panel.letter}. {panel.title}", titles, panel_cells(filled, panel), caption=panel.note)
