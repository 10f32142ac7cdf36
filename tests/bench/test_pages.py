"""Laws of every table in the registry: one function makes its page, and every form is written from that page."""

import csv
import io

import pytest
from rich.console import Console

from bench.pages.files import committed, files
from bench.pages.page import Figures, Page, Part
from bench.pages.svg import Plot
from bench.pages.terminal import terminal
from bench.registry import PAGES, TABLES, page_of

WHICH = {"data": "synthetic", "scale": "cpu"}


@pytest.mark.parametrize("name", TABLES)
def test_without_records_a_page_has_every_cell_missing_and_every_form(name):
    page = page_of(name, {}, **WHICH, seeds=1)
    cells = TABLES[name].cells(*WHICH.values(), 1)
    assert page.missing == [cell.id for cell in cells] and not page.complete
    assert (page.name, page.data, page.scale) == (name, *WHICH.values()) and page.sentences
    made = files(page)
    assert {f"{name}.{ending}" for ending in ("md", "csv", "tex", "html")} <= set(made) and all(made.values())
    assert set(made) - set(committed(page)) == {f"{name}.html"}
    console = Console(width=400, record=True, file=io.StringIO())
    console.print(terminal(page, []))
    assert page.sentences[0] in console.export_text()


def test_every_folder_of_records_has_pages_and_every_table_has_one_folder():
    made = [maker for makers in PAGES.values() for maker in makers]
    assert len(made) == len(TABLES) + 2, "networks with random weights are timed by a command of its own"
    assert set(PAGES) >= {TABLES[name].cells(*WHICH.values(), 1)[0].table for name in TABLES}


def tiny(**changed) -> Page:
    given = {"name": "tiny", "title": "A tiny page", "data": "made", "scale": "cpu", "seeds": 2, "sentences": ["One."]}
    part = Part(title="A. Both", titles=["Group", "Row", "Value"], body=[["a", "b", "1"], ["c", "d", "2"]], keys=2)
    figures = Figures(columns=["row", "value"], rows=[{"row": "b", "value": 1.5, "more": 3}, {"row": "=d"}])
    return Page(
        **given
        | {
            "parts": [part],
            "figures": figures,
            "plots": {"p": Plot("p", (1.0, 1.0), "", lambda figure: None)},
            "footer": [],
        }
        | changed
    )


def test_figures_are_columns_and_gaps_are_empty_cells():
    assert files(tiny())["tiny.csv"].decode() == "row,value\nb,1.5\n'=d,\n"
    marked = list(csv.reader(io.StringIO(files(tiny(scale="quick"))["tiny.csv"].decode())))
    assert [line[-1] for line in marked] == ["watermark", *["QUICK RUN - NOT A RESULT"] * 2]


def test_a_terse_page_leaves_data_and_plots_to_others():
    full, terse = (files(tiny(terse=terse, marks="* a star")) for terse in (False, True))
    told = "data made, scale cpu, 2 seeds"
    assert told in full["tiny.md"].decode() and "![p](tiny-p.svg)" in full["tiny.md"].decode()
    assert told not in terse["tiny.md"].decode() and "tiny-p.svg" not in terse["tiny.md"].decode()
    assert "tab:tiny-1" in full["tiny.tex"].decode() and "tab:tiny-a" in terse["tiny.tex"].decode()
    for made in (full, terse):
        assert told in made["tiny.html"].decode() and "\\* a star" in made["tiny.md"].decode()
        assert made["tiny.tex"].decode().count("midrule") == 2, "a line between the groups"
