"""The table on the front page: fewer columns, and one line of provenance."""

from bench.pages.captions import footer
from bench.pages.markdown import markdown_table
from bench.pages.sheet import Sheet, row_cells
from bench.tables.ratios.page import FRONT, MARKS_NOTE, ROW_KEYS, row_label
from bench.tables.ratios.sentences import headlines

README_BEGIN, README_END = "<!-- table5:begin -->", "<!-- table5:end -->"


def readme_table(sheet: Sheet) -> str:
    """The compact Markdown of the front page: headline sentences, eight columns, one line of provenance."""
    body = [
        [name, row_label(row), *row_cells(FRONT, row)]
        for model, name in sheet.table.models.items()
        for row in sheet.of(model, "dense", "slim")
    ]
    titles = [*ROW_KEYS, *(column.title for column in FRONT)]
    notes = dict(footer(sheet))
    marks = f"{MARKS_NOTE} in the full table. ".replace("*", "\\*")
    line = ". ".join(f"{name}: {notes[name]}" for name in ("Data", "Machine", "Timing", "Code") if name in notes)
    mark = [f"**{sheet.watermark}**"] if sheet.watermark else []
    table = markdown_table(titles, body, texts=len(ROW_KEYS))
    texts = [*mark, *headlines(sheet), table, f"<sub>{marks}{line}.</sub>" if line else ""]
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
