"""The table on the front page: fewer columns, measured rows alone, and one line of provenance."""

from bench.pages.markdown import markdown_table
from bench.pages.page import Page
from bench.pages.sheet import MISSING

README_BEGIN, README_END = "<!-- table5:begin -->", "<!-- table5:end -->"


def readme_table(page: Page) -> str:
    """The compact Markdown of the front page: headline sentences, the first table, what it lacks, and its origin."""
    assert page.front is not None, f"{page.name} has no first table"
    keys = page.front.keys
    measured = [row for row in page.front.body if row[keys] != MISSING]
    lacking = [f"{name} {label}" for name, label, first, *_ in page.front.body if first == MISSING]
    notes = dict(page.footer)
    names = ("Data", "Machine", "Code") if page.front.note else ("Data", "Machine", "Timing", "Code")
    line = ". ".join(f"{name}: {notes[name]}" for name in names if name in notes)
    marks = f"{page.marks} in the full table. ".replace("*", "\\*")
    texts = [
        f"**{page.watermark}**" if page.watermark else "",
        *page.sentences,
        markdown_table(page.front.titles, measured, texts=keys) if measured else "",
        f"{MISSING.capitalize()}: {', '.join(lacking)}." if lacking else "",
        page.front.note,
        f"<sub>{marks}{line}.</sub>" if line else "",
    ]
    return "\n\n".join(text for text in texts if text)


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
