"""A sheet as one self-contained page: inline style, inline SVG, light and dark, readable on a phone.

Nothing is loaded from elsewhere, so the page can be sent as a single file.
"""

import re
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from bench.pages.captions import footer, headlines, settings
from bench.pages.columns import Panel
from bench.pages.escaped import printable
from bench.pages.plot_widths import width_plot
from bench.pages.plots import accuracy_plot, gamma_plot, recovery_plot
from bench.pages.render_text import MARKS_NOTE, ROW_KEYS, panel_cells, panel_rows, remarks
from bench.pages.rows import Sheet
from bench.pages.svg import PALETTE, inline

TEMPLATES = Path(__file__).parent / "templates"
KINDS = {"gammas": gamma_plot, "widths": width_plot, "recovery": recovery_plot}


def html(sheet: Sheet) -> str:
    """The whole page, as text."""
    return (
        environment()
        .get_template("table.html.j2")
        .render(
            sheet=sheet,
            headlines=headlines(sheet),
            panels=[_panel(sheet, panel) for panel in sheet.table.panels],
            accuracy=[Markup(inline(accuracy_plot(sheet, model), f"accuracy-{model}")) for model in sheet.table.models],
            plots=_plots(sheet),
            remarks=remarks(sheet),
            footer=footer(sheet),
            settings=settings(sheet.records),
            marks=MARKS_NOTE,
            palette={name: {"light": light, "dark": dark} for name, (light, dark) in PALETTE.items()},
        )
    )


def environment() -> Environment:
    """Templates with our filters, of pages that escape everything and miss nothing silently."""
    jinja = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=lambda shown: printable(shown) if type(shown) is str else shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    jinja.filters |= {"typeset": typeset, "heading": heading}
    return jinja


def typeset(text: str) -> Markup:
    """`text` escaped, with real minus and multiplication signs and no line break inside an interval."""
    safe = re.sub(r"(?<![\w.])-(?=\d)", "&minus;", str(escape(printable(text))))
    safe = re.sub(r"(?<=\d)x\b", "&times;", safe).replace("-&gt;", "&rarr;")
    return Markup(re.sub(r"\[[^\]]*\]|\([^)]{1,16}\)", r'<span class="extra">\g<0></span>', safe))


def heading(text: str) -> Markup:
    """A column's heading: words may break, a unit stays with its interval."""
    return Markup(str(escape(printable(text))).replace(" [95 %]", " [95&nbsp;%]").replace(", %", ",&nbsp;%"))


def _panel(sheet: Sheet, panel: Panel) -> dict:
    """What the template needs of a panel: headings, and rows as (network, its first row?, cells, classes)."""
    body = []
    before = ""
    for (name, _, row), cells in zip(panel_rows(sheet), panel_cells(sheet, panel), strict=True):
        classes = [*(["missing"] if not row.measured else []), *(["beyond"] if row.beyond else [])]
        body.append({"network": name, "opens": name != before, "cells": cells[1:], "classes": " ".join(classes)})
        before = name
    titles = [ROW_KEYS[1], *(column.title for column in sheet.columns(panel))]
    return {"letter": panel.letter, "title": panel.title, "note": panel.note, "titles": titles, "body": body}


def _plots(sheet: Sheet) -> list[Markup]:
    return [
        Markup(inline(draw(sheet, model), f"{kind}-{model}"))
        for kind, draw in KINDS.items()
        for model in sheet.table.models
    ]
