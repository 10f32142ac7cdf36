"""A sheet as Markdown, CSV and LaTeX: the same rows and words in three dresses.

The readable forms are split into panels with the same row keys; the CSV has every value of every cell, unrounded.
"""

from collections.abc import Iterable, Sequence

from bench.pages.captions import Pairs, footer, headlines, settings
from bench.pages.columns import VALUES, Column, Panel, recall_key
from bench.pages.escaped import csv_of, latex_text, markdown_cell, printable, prose
from bench.pages.rows import MISSING, Row, Sheet, fill
from bench.pages.values import Values

SHOWN = ("dense", "sparse", "slim")
"""Variants with rows of their own in the panels; the random control has columns there and rows in the CSV."""
ROW_KEYS = ("Network", "Channels removed")
BEYOND, REMARKED = "*", "!"
MARKS_NOTE = f"{BEYOND} beyond the paper's ratios; {REMARKED} see the remarks"
IDENTITY = ("table", "data", "scale", "model", "variant", "ratio", "seed", "status")


def panel_rows(sheet: Sheet) -> list[tuple[str, str, Row]]:
    """(network, what was done, row) of every row of a panel."""
    return [
        (name, row_label(row), row) for model, name in sheet.table.models.items() for row in sheet.of(model, *SHOWN)
    ]


def row_label(row: Row) -> str:
    """What was done to the network, with its marks and the seeds that are there when some are not."""
    marks = (BEYOND if row.beyond else "") + (REMARKED if row.remarks else "")
    return f"{row.label}{marks}" + (f" ({row.status})" if row.status and row.measured else "")


def panel_cells(sheet: Sheet, panel: Panel) -> list[list[str]]:
    """The panel's body as text; a row that was not measured says so in its first free column."""
    columns = sheet.columns(panel)
    body = []
    for name, label, row in panel_rows(sheet):
        body.append([name, label, *row_cells(columns, row)])
    return body


def row_cells(columns: Sequence[Column], row: Row) -> list[str]:
    """What stands in `columns` for `row`; a row without any record says so in the first of them."""
    first, *others = [fill(column, row) for column in columns]
    return [first if row.measured else MISSING, *others]


def remarks(sheet: Sheet) -> list[str]:
    """Warnings that belong to single rows: noisy timing, a slower smaller network, a budget not met."""
    return [f"{name}, {row.label}: {'; '.join(row.remarks)}" for name, _, row in panel_rows(sheet) if row.remarks]


def markdown(sheet: Sheet) -> str:
    """The table for people who read it in a repository."""
    parts = [f"# {sheet.table.name}: {sheet.table.title}", *_watermark(sheet)]
    parts.append(listed(headlines(sheet)))
    for panel in sheet.table.panels:
        titles = [*ROW_KEYS, *(column.title for column in sheet.columns(panel))]
        parts += [f"## {panel.letter}. {panel.title}", markdown_table(titles, panel_cells(sheet, panel)), panel.note]
    parts.append(MARKS_NOTE.replace("*", "\\*"))
    if said := remarks(sheet):
        parts += ["## Remarks", listed(said)]
    parts += ["## Where the numbers come from", listed(f"**{name}**: {text}" for name, text in footer(sheet))]
    if pairs := settings(sheet.records):
        parts.append(settings_text(pairs))
    return "\n\n".join(part for part in [*parts, *_watermark(sheet)] if part) + "\n"


def listed(lines: Iterable[str]) -> str:
    """A Markdown list."""
    return "\n".join(f"- {prose(line)}" for line in lines)


def settings_text(pairs: Pairs) -> str:
    """Settings in a fold of their own."""
    told = listed(f"`{key}`: {value}" for key, value in pairs)
    return f"<details><summary>All settings</summary>\n\n{told}\n\n</details>"


def markdown_table(titles: Sequence[str], body: Sequence[Sequence[str]], *, texts: int = len(ROW_KEYS)) -> str:
    """A Markdown table: the first `texts` columns left, numbers right."""
    align = [":--"] * texts + ["--:"] * (len(titles) - texts)
    lines = [titles, align, *body]
    return "\n".join(f"| {' | '.join(map(markdown_cell, line))} |" for line in lines)


def csv_text(sheet: Sheet) -> str:
    """Every value of every cell, one row per cell, unrounded; empty where a cell was not measured."""
    classes = sheet.records[0].result["data"]["classes"] if sheet.records else []
    keys = [*VALUES, *map(recall_key, classes)]
    marked = ["watermark"] if sheet.watermark else []
    lines: list[Sequence[object]] = []
    lines.append([*IDENTITY, *keys, "commit", "created", *marked])
    told = {record.cell: (record.commit, record.created) for record in sheet.records}
    for row in sheet.rows:
        for cell, values in zip(row.cells, row.found, strict=True):
            status = "not measured" if values is None else "measured"
            given: Values = {"requested_percent": 100 * cell.ratio, **row.published, **(values or {})}
            identity = [cell.table, cell.data, cell.scale, cell.model, cell.variant, cell.ratio, cell.seed, status]
            numbers = [given.get(key, "") for key in keys]
            lines.append([*identity, *numbers, *told.get(cell, ("", "")), *filter(None, [sheet.watermark])])
    return csv_of(lines)


def latex(sheet: Sheet) -> str:
    """One booktabs table per panel, to be included where `booktabs` is loaded."""
    head = f"% Generated by bench.report from records; do not edit. {sheet.watermark}".rstrip()
    panels = [_latex_panel(sheet, panel) for panel in sheet.table.panels]
    sentences = [*headlines(sheet), *(f"{name}: {text}." for name, text in footer(sheet))]
    notes = "\n".join(f"% {' '.join(printable(sentence).split())}" for sentence in sentences)
    return "\n\n".join([head, *panels, notes]) + "\n"


def _latex_panel(sheet: Sheet, panel: Panel) -> str:
    titles = [*ROW_KEYS, *(column.title for column in sheet.columns(panel))]
    mark = f" {sheet.watermark}." if sheet.watermark else ""
    caption = f"{sheet.table.title}. {panel.letter}: {panel.title}. {panel.note} {MARKS_NOTE}.{mark}"
    label = f"tab:{sheet.table.name}-{panel.letter.lower()}"
    return latex_table(titles, panel_cells(sheet, panel), caption, label, len(ROW_KEYS))


def latex_table(titles: Sequence[str], body: Sequence[Sequence[str]], caption: str, label: str, texts: int) -> str:
    """A booktabs table: the first `texts` columns left; where there are two, a line where the first changes."""
    lines = []
    for i, cells in enumerate(body):
        if texts > 1 and i and cells[0] != body[i - 1][0]:
            lines.append(r"\midrule")
        lines.append(" & ".join(map(latex_text, cells)) + r" \\")
    return "\n".join(
        [
            r"\begin{table}",
            r"\centering\small",
            f"\\caption{{{latex_text(caption)}}}",
            f"\\label{{{label}}}",
            f"\\begin{{tabular}}{{{'l' * texts}{'r' * (len(titles) - texts)}}}",
            r"\toprule",
            " & ".join(map(latex_text, titles)) + r" \\",
            r"\midrule",
            *lines,
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
        ]
    )


def _watermark(sheet: Sheet) -> list[str]:
    return [f"**{sheet.watermark}**"] if sheet.watermark else []
