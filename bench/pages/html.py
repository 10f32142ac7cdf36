"""A page as one self-contained file: inline style, inline SVG, light and dark, readable on a phone.

Nothing is loaded from elsewhere, so the page can be sent as a single file.
"""

import re
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from bench.pages.escaped import printable
from bench.pages.page import Page
from bench.pages.rows import MISSING
from bench.pages.svg import PALETTE, inline

TEMPLATES = Path(__file__).parent / "templates"


def html(page: Page) -> str:
    """The whole page, as text."""
    plots, closeups = (
        [Markup(inline(svg, f"{page.name}-{plot}")) for plot, svg in shown.items()]
        for shown in (page.plots, page.closeups)
    )
    palette = {name: {"light": light, "dark": dark} for name, (light, dark) in PALETTE.items()}
    template = environment().get_template("page.html.j2")
    return template.render(page=page, plots=plots, closeups=closeups, palette=palette, missing=MISSING)


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
