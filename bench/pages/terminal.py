"""How a run ends in a terminal: one table that fits, the answer in at most three sentences, where the rest lies."""

from collections.abc import Sequence
from textwrap import fill

from rich import box
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from bench.pages.page import Page, Pairs, Part, answer

WIDTH, MOST, BETWEEN = 100, 8, 2
"""Letters across, columns, and letters between two of them."""


def terminal(page: Page, where: Pairs) -> RenderableType:
    """One page; `where` names files."""
    part = page.brief or (page.parts[0] if page.parts else None)
    mark = [Text(page.watermark, style="bold red")] if page.watermark else []
    table = [_fitting(part, page.title)] if part else []
    left_out = max((len(one.titles) for one in page.parts), default=0) > MOST or len(page.parts) > 1
    more = [Text("More columns and tables, plots and remarks are in the report.", style="dim")] if left_out else []
    return Group(*mark, *table, *more, *_told(page, where), *mark)


def terminal_of_all(pages: Sequence[Page], where: Pairs) -> RenderableType:
    """Every page in a line of its own."""
    body = [
        [page.name, f"{len(page.cells)}", f"{len(page.missing)}", page.title[: WIDTH - 42] or "-"] for page in pages
    ]
    part = Part(title="", titles=["Table", "Cells", "Missing", "What it is"], body=body)
    asked = next((page for page in pages if page.name == "table5"), pages[0])
    return Group(_fitting(part, "All tables"), *_told(asked, where))


def _told(page: Page, where: Pairs) -> list[RenderableType]:
    paths = [Text.assemble((f"{name}: ", "bold"), path) for name, path in where]
    return [Text(), *(Text(sentence, style="bold") for sentence in answer(page)), Text(), *paths]


def _fitting(part: Part, title: str) -> Table:
    """As many of the first columns as fit; a heading breaks between words."""
    widths: list[int] = []
    for i, heading in enumerate(part.titles[:MOST]):
        letters = [len(word) for word in heading.split()] + [len(cells[i]) for cells in part.body]
        if sum(widths) + max(letters) + BETWEEN * i > WIDTH:
            break
        widths.append(max(letters))
    view = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    view.show_edge = False
    for i, width in enumerate(widths):
        heading = fill(part.titles[i], width, break_long_words=False)
        view.add_column(escape(heading), justify="left" if i < part.keys else "right", width=width, vertical="bottom")
    for i, cells in enumerate(part.body):
        last = part.keys > 1 and i + 1 < len(part.body) and part.body[i + 1][0] != cells[0]
        view.add_row(*map(escape, cells[: len(widths)]), end_section=last)
    return view


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
