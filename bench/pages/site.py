"""A report as a folder of pages: index.html, a page for every table and figure, a page for every record.

Nothing is loaded from elsewhere, and everything can be read without JavaScript. Pure: the same records give the same
bytes.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from bench.pages.grid import folded
from bench.pages.html import address, environment, html, inlined, record_address
from bench.pages.page import Page, answer
from bench.pages.record_page import record_page
from bench.records import Cell, Record

INDEX, TABLE5 = "index.html", "table5"
QUESTIONS = {
    "table1": "How good is MRF beside usual networks that see the whole face?",
    "table2": "Which expressions does MRF take for which?",
    "table3": "Which expressions does MRF take for which?",
    "table4": "What is each part of MRF worth?",
    "table5": "How much accuracy does it cost to remove channels, and how many milliseconds does it bring?",
    "fig6": "From which confidence on should a landmark guide the attention map?",
    "ocl1": "What are occlusion-aware pretraining, region features and the restrain loss worth?",
    "ocl2": "Is the whole method better than SimCLR?",
    "fig3": "How fast does accuracy fall behind growing covers?",
    "fig4": "Do networks look at the cover or away from it?",
    "runtimes": "How fast is a slim network in the runtimes that ship, and does it still give the same answers?",
    "slimming": "Which way to a slim network keeps most accuracy, and do controls that choose blindly keep as much?",
    "latency-aware": "Is it better to choose channels by measured milliseconds?",
    "ocl-slim": "How much accuracy does it cost to remove channels of paper 2's network?",
    "ocl-length": "What does a longer pretraining bring?",
    "occlusion": "Does slimming cost robustness to covers?",
    "fullwidth": "How fast are the networks at the papers' full width?",
    "untrained": "How fast are these widths on the processor here?",
}
"""What a page was asked, by its name."""
PAPERS = {
    "Paper 1: slim networks of several regions (Tang et al. 2023)": {
        "table1": "Table 1",
        "table2": "Table 2",
        "table3": "Table 3",
        "table4": "Table 4",
        "table5": "Table 5",
        "fig6": "Fig 6",
    },
    "Paper 2: occlusion-aware contrastive learning (Xi 2022)": {
        "ocl1": "Table 1",
        "ocl2": "Table 2",
        "fig3": "Fig 3",
        "fig4": "Fig 4",
    },
    "What the papers do not ask": {
        "runtimes": "Every runtime",
        "slimming": "Ways to a slim network",
        "latency-aware": "Milliseconds as the target",
        "ocl-slim": "Slimming paper 2",
        "ocl-length": "Longer pretraining",
        "occlusion": "Slim and covered",
        "fullwidth": "Full width",
        "untrained": "These widths, here",
    },
}
"""Heading -> name of a page -> what it is there."""


@dataclass(frozen=True, kw_only=True)
class Card:
    """A table or figure on the first page."""

    name: str
    label: str
    """What it is in its paper."""
    page: Page | None
    """The one to show; None where nothing was measured."""
    elsewhere: Sequence[Page]
    """The same of other data sets and scales."""
    state: str
    good: bool


def site(
    pages: Sequence[Page],
    asked: Page,
    records: Iterable[Record],
    *,
    json: bool,
    there: Callable[[Page], bool] = lambda page: False,
) -> dict[str, bytes]:
    """Every file of the folder, by its path below it, in an order of writing: no page is there before its links are.

    Args:
        pages: all there are; `asked` is the one that the first page answers with.
        records: those behind the pages.
        json: the records' own files lie in `records/` of the same folder.
        there: whether a page was written before and stays as it is.
    """
    shown_by: dict[Cell, list[tuple[str, str]]] = {}
    for page in pages:
        for cell in page.told:
            shown_by.setdefault(cell, []).append((page.title, address(page)))
    files: dict[str, str] = {}
    wanted = {cell for page in pages if not there(page) for cell in page.told}
    for record in (one for one in records if one.cell in wanted):
        up = "/".join([".."] * len(record.cell.path.parts))
        own = f"{up}/records/{record.cell.path.as_posix()}" if json else ""
        files[record_address(record.cell)] = record_page(record, up, shown_by.get(record.cell, []), own)
    for i, page in enumerate(pages):
        if there(page):
            continue
        beside = {"before": pages[i - 1] if i else None, "after": pages[i + 1] if i + 1 < len(pages) else None}
        files[address(page)] = html(page, **{name: one and (one.title, address(one)) for name, one in beside.items()})
    files[INDEX] = index(pages, asked)
    return {path: text.encode() for path, text in files.items()}


def index(pages: Sequence[Page], asked: Page) -> str:
    """The page that one would send to a colleague."""
    alike = {page.name: page for page in pages if (page.data, page.scale) == (asked.data, asked.scale)}
    runtimes = alike.get("runtimes") if asked.name == TABLE5 else None
    speed = (runtimes.speed if runtimes else {}) or asked.speed or asked.plots
    plots = [(name, inlined(plot, f"plot-{i}")) for i, (name, plot) in enumerate(speed.items())]
    front = asked.front or (asked.parts[0] if asked.parts else None)
    return (
        environment()
        .get_template("index.html.j2")
        .render(
            page=asked,
            address=address(asked),
            question=QUESTIONS.get(asked.name, ""),
            answer=answer(asked, runtimes.sentences if runtimes else ()),
            plots=plots,
            table=folded(front, asked.told) if front else None,
            sections={heading: cards(names, pages, asked) for heading, names in PAPERS.items()},
            origin=[pair for pair in asked.footer if pair[0] in ("Data", "Timing", "Machine", "Code", "Cells")],
        )
    )


def cards(names: Mapping[str, str], pages: Sequence[Page], asked: Page) -> list[Card]:
    """A card for each of `names`; of several pages, that of the data that was asked for goes first."""
    made = []
    for name, label in names.items():
        own = [page for page in pages if page.name == name]
        same = [page for page in own if (page.data, page.scale) == (asked.data, asked.scale)]
        shown = (same or own or [None])[0]
        others = [page for page in own if page is not shown]
        state, good = _state(shown, bool(same))
        made.append(Card(name=name, label=label, page=shown, elsewhere=others, state=state, good=good))
    return made


def _state(shown: Page | None, same: bool) -> tuple[str, bool]:
    """What a reader should know of a page before believing it, and whether nothing is wrong with it."""
    if shown is None:
        return "not measured", False
    if not same:
        return f"other data: {shown.data}, {shown.scale}", False
    if shown.missing:
        count = len(shown.missing)
        return f"{count} cell{'s' if count > 1 else ''} missing", False
    return "complete", True
