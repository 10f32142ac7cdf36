"""A page as one self-contained file: inline style, inline SVG, light and dark, readable on a phone.

Nothing is loaded from elsewhere, so the page can be sent as a single file.
"""

import re
from pathlib import Path, PurePosixPath
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from bench.pages.escaped import printable
from bench.pages.grid import folded
from bench.pages.page import Page, folder_of
from bench.pages.svg import PALETTE, Plot, inline
from bench.records import Cell

TEMPLATES = Path(__file__).parent / "templates"


Link = tuple[str, str]
"""What it says, and its address seen from the index."""


def html(page: Page, *, before: Link | None = None, after: Link | None = None) -> str:
    """The whole page, as text; `before` and `after` lead to its neighbours."""
    plots, closeups = (
        [inlined(plot, f"{page.name}-{i}-{j}") for j, plot in enumerate(shown)]
        for i, shown in enumerate(((*page.plots.values(), *page.speed.values()), page.closeups.values()))
    )
    template = environment().get_template("page.html.j2")
    parts = [folded(part, page.told) for part in page.parts]
    return template.render(page=page, parts=parts, plots=plots, closeups=closeups, before=before, after=after)


def inlined(plot: Plot, name: str) -> tuple[Markup, int]:
    """A plot as an element of a page, and its own width in points."""
    return Markup(inline(plot.svg, name)), round(72 * plot.inches[0])


def address(page: Page) -> str:
    """Where a page lies, seen from the index."""
    return f"{folder_of(page)}/{page.name}.html"


def record_address(cell: Cell) -> str:
    """Where the page of a record lies, seen from the index."""
    return str(PurePosixPath("cells", *cell.path.parts).with_suffix(".html"))


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
    jinja.filters |= {"typeset": typeset, "heading": heading, "href": quote}
    jinja.filters |= {"record": record_address, "address": address}
    jinja.globals |= {"palette": {name: {"light": light, "dark": dark} for name, (light, dark) in PALETTE.items()}}
    return jinja


def typeset(text: str) -> Markup:
    """`text` escaped, with real minus and multiplication signs and no line break inside an interval."""
    safe = re.sub(r"(?<![\w.])-(?=\d)", "&minus;", str(escape(printable(text))))
    safe = re.sub(r"(?<=\d)x\b", "&times;", safe).replace("-&gt;", "&rarr;")
    return Markup(re.sub(r"\[[^\]]*\]|\([^)]{1,16}\)", r'<span class="extra">\g<0></span>', safe))


def heading(text: str) -> Markup:
    """A column's heading: words may break, a unit stays with its interval."""
    return Markup(str(escape(printable(text))).replace(" [95 %]", " [95&nbsp;%]").replace(", %", ",&nbsp;%"))
