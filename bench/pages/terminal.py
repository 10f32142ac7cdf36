"""A page in a terminal."""

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from bench.pages.page import Page


def terminal(page: Page) -> RenderableType:
    """Tables and sentences for `rich.print`."""
    mark = [Text(page.watermark, style="bold red")] if page.watermark else []
    tables = [
        terminal_table(part.title or page.title, part.titles, part.body, caption=part.note, texts=part.keys)
        for part in page.parts
    ]
    marks = [Text(page.marks)] if page.marks else []
    said = [Text(f"! {line}", style="yellow") for lines in page.remarks.values() for line in lines]
    notes = [Text.assemble((f"{name}: ", "bold"), text) for name, text in page.footer]
    return Group(*mark, *tables, *marks, *said, *notes, *(Text(one, style="bold") for one in page.sentences), *mark)


def terminal_table(
    title: str, titles: Sequence[str], body: Sequence[Sequence[str]], *, caption: str = "", texts: int
) -> Table:
    """A table for `rich.print`: the first `texts` columns left; where there are two, a line where the first changes."""
    view = Table(title=title, caption=caption, title_justify="left", expand=False)
    for i, heading in enumerate(titles):
        view.add_column(heading, justify="left" if i < texts else "right")
    for i, cells in enumerate(body):
        last = texts > 1 and i + 1 < len(body) and body[i + 1][0] != cells[0]
        view.add_row(*map(escape, cells), end_section=last)
    return view
