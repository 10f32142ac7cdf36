"""Text at the edges: names come from folders and files, and none of them may be read as a command by what shows it.

Everything within `bench` is plain text; what goes into Markdown, CSV, LaTeX or a picture passes through here once.
"""

import csv
import io
import re
from collections.abc import Iterable, Sequence

FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What makes a spreadsheet compute a cell instead of showing it."""
LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "±": r"$\pm$",
    "<": "$<$",
    ">": "$>$",
    **{letter: f"\\{letter}" for letter in "&%$#_{}"},
}


def printable(text: str) -> str:
    """`text` on one line, without control characters."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


def prose(text: str) -> str:
    """`text` for a paragraph of Markdown: no tag of HTML."""
    return re.sub(r"<(?=[A-Za-z/!?])", "&lt;", printable(text))


def markdown_cell(text: str) -> str:
    """`text` for a cell of a Markdown table."""
    return prose(text).replace("|", "\\|")


def latex_text(text: str) -> str:
    """`text` with everything LaTeX would read as a command escaped, and signs before digits as mathematics."""
    escaped = "".join(LATEX.get(letter, letter) for letter in printable(text))
    escaped = re.sub(r"(?<![\w.])([-+])(?=\d)", r"$\1$", escaped)
    return re.sub(r"(?<=\d)x\b", r"$\\times$", escaped)


def csv_of(lines: Iterable[Sequence[object]]) -> str:
    """`lines` as CSV; a text that begins like a formula has an apostrophe before it, a number is as it is."""
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerows([_csv_cell(cell) for cell in line] for line in lines)
    return stream.getvalue()


def _csv_cell(cell: object) -> object:
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULA) else cell
