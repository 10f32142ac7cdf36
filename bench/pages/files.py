"""The files of a page: Markdown, CSV, LaTeX, HTML, and its plots. Pure: the same page gives the same bytes."""

from bench.pages.escaped import csv_of
from bench.pages.html import html
from bench.pages.latex import latex
from bench.pages.markdown import markdown
from bench.pages.page import Page


def committed(page: Page) -> dict[str, bytes]:
    """Every file of the page by name, but for the one of HTML, which is large and can be made from the records."""
    texts = {f"{page.name}.md": markdown(page), f"{page.name}.csv": csv(page), f"{page.name}.tex": latex(page)}
    texts |= {f"{page.name}-{name}.svg": plot.svg for name, plot in page.plots.items()}
    return {name: text.encode() for name, text in texts.items()}


def files(page: Page) -> dict[str, bytes]:
    """Every file of the page, by name."""
    return committed(page) | {f"{page.name}.html": html(page).encode()}


def csv(page: Page) -> str:
    """The figures of the page, unrounded; a page that is no result says so in a column of its own."""
    marked = {"watermark": page.watermark} if page.watermark else {}
    rows = [{**row, **marked} for row in page.figures.rows]
    columns = [*page.figures.columns, *marked]
    return csv_of([columns, *([row.get(name, "") for name in columns] for row in rows)])
