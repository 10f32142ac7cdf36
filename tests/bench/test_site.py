"""The folder of pages: the first page, its cards and states, records as pages; names of any kind are escaped."""

import re
from pathlib import Path

import pytest
from fake_records import fake_records

from bench import records
from bench.pages import site
from bench.pages.grid import WIDE, folded, sort_key
from bench.pages.html import address, html, record_address
from bench.pages.page import Figures, Page, Part
from bench.pages.record_page import record_page
from bench.records import Cell
from bench.registry import TABLES, gathered, page_of

ROOT = Path(__file__).parents[2]
NASTY = "<script>alert(1)</script>"
CELLS = [
    Cell(table="table5", data="made", scale="cpu", model=model, variant="dense", ratio=0.0, seed=0)
    for model in ("mrf", "vggnet")
]


def part(**changed) -> Part:
    given = {"title": "A. Both", "titles": ["Row", "Value"], "body": [["b", "1"], ["c", "2"]]}
    return Part(**given | {"cells": [(CELLS[0],), (CELLS[1],)]} | changed)


def tiny(**changed) -> Page:
    given = {
        "name": "table5",
        "title": "A tiny page",
        "data": "made",
        "scale": "cpu",
        "seeds": 1,
        "sentences": ["One."],
    }
    given |= {"parts": [part()], "figures": Figures(columns=[], rows=[]), "plots": {}, "footer": [("Data", "all")]}
    return Page(**given | changed)


def states(pages: list[Page]) -> dict[str, str]:
    names = {name: label for group in site.PAPERS.values() for name, label in group.items()}
    return {card.name: card.state for card in site.cards(names, pages, pages[0])}


def test_every_table_has_a_card_and_a_question():
    known = {name for names in site.PAPERS.values() for name in names}
    assert known == {*TABLES, "fullwidth", "untrained"} == set(site.QUESTIONS)


def test_a_card_says_what_a_reader_should_know():
    others = [
        tiny(name="table1", missing=["a", "b"]),
        tiny(name="table4", data="lfw"),
        tiny(name="fig6", missing=["a"]),
    ]
    told = states([tiny(), *others])
    assert told["table5"] == "complete" and told["table1"] == "2 cells missing" and told["fig6"] == "1 cell missing"
    assert told["table4"] == "other data: lfw, cpu" and told["ocl1"] == "not measured"


def test_the_first_page_answers_in_three_sentences_and_leads_to_everything():
    runtimes = tiny(name="runtimes", sentences=["Of runtimes.", "Not told."])
    pages = [tiny(sentences=["One.", "Two."]), runtimes, tiny(name="table5", data="lfw")]
    text = site.index(pages, pages[0])
    assert re.findall(r"<li>([^<]*)</li>", text) == ["One.", "Two.", "Of runtimes."]
    assert all(f'href="{address(page)}"' in text for page in pages)
    assert site.QUESTIONS["table5"] in text and "--table fig3" in text


def test_without_runtimes_the_third_sentence_is_of_the_data():
    assert "<li>Data: all.</li>" in site.index([tiny()], tiny())


def test_pages_lead_to_each_other_and_rows_to_their_records():
    found = fake_records()
    page = page_of("table5", found, data="invented", scale="cpu")
    files = site.site([page, tiny(name="table1")], page, found.values(), json=True)
    assert set(files) == {site.INDEX, address(page), "tables/made-cpu/table1.html", *map(record_address, found)}
    text = files[address(page)].decode()
    assert 'href="../../index.html"' in text and 'href="../../tables/made-cpu/table1.html"' in text
    assert all(f'href="../../{record_address(cell)}"' in text for cell in found)
    record = files[record_address(next(iter(found)))].decode()
    assert f'href="../../../../{address(page)}"' in record and "/records/table5/invented/cpu/" in record


def test_what_is_written_already_stays_as_it_is():
    found = fake_records()
    page, other = page_of("table5", found, data="invented", scale="cpu"), tiny(name="table1")
    files = site.site([page, other], page, found.values(), json=True, there=lambda one: one is page)
    assert set(files) == {site.INDEX, address(other)}


def test_a_page_is_written_after_the_records_that_it_leads_to():
    found = fake_records()
    page = page_of("table5", found, data="invented", scale="cpu")
    order = list(site.site([page], page, found.values(), json=True))
    assert order[-2:] == [address(page), site.INDEX]
    assert set(order[:-2]) == {record_address(cell) for cell in found} != set()


def test_a_row_without_a_record_leads_nowhere():
    assert "<a" not in str([line.cells for _, lines in folded(part()).main.groups for line in lines])
    lines = folded(part(), {CELLS[1]}).main.groups[0][1]
    assert [list(line.cells) for line in lines] == [[], [CELLS[1]]]


def test_figures_of_several_records_lead_to_each_of_them():
    told = part(cells=(), titles=["Row", "A", "B"], body=[["b", "1", "2"]], behind=[[None, *CELLS]])
    shown = tiny(parts=[told])
    (line,) = folded(told, shown.told).main.groups[0][1]
    assert line.behind == CELLS and shown.told == set(CELLS) and not line.cells
    text = html(shown)
    assert all(
        f'<a href="../../{record_address(cell)}">{figure}</a>' in text for cell, figure in zip(CELLS, "12", strict=True)
    )


def test_every_figure_of_ours_leads_to_a_record():
    pages, found = gathered(ROOT / "reports/records")
    known = {record.cell for record in found}
    silent = [(page.name, part.title) for page in pages for part in page.parts if not part.cells and not part.behind]
    assert len(pages) > 20 and {title.partition(":")[0] for _, title in silent} == {"C. The paper's matrix"}
    assert all(page.told <= known for page in pages)


def test_columns_that_do_not_fit_are_folded_and_none_is_lost():
    titles = ["Row", *(f"Column {i}" for i in range(30))]
    told = folded(part(titles=titles, body=[["b", *["12.34 [11.11, 22.22]"] * 30], ["c", *["1"] * 30]]))
    tables = [told.main, *(table for _, table in told.more)]
    assert [title for table in tables for title in table.titles[1:]] == titles[1:] and len(tables) > 3
    assert all(len(table.titles) * 20 * 7 < WIDE + 200 for table in tables)
    assert told.more[0][0].startswith(f"{len(tables[1].titles) - 1} more columns: Column ")


def test_published_methods_are_folded_and_rows_of_dashes_are_named():
    titles, dashes = ["Row", *"ABCDEFGH"], ["-"] * 8
    body = [["ours", *"12345678"], ["theirs", "9", *dashes[1:]], ["little", *dashes[1:], "8"]]
    body += [["nothing", *dashes[1:], "not measured"], ["this", *dashes], ["that", *dashes]]
    told = folded(part(titles=titles, body=body, cells=[CELLS[:1], (), *[CELLS[1:]] * 4]))
    assert [line.name for line in told.main.groups[0][1]] == ["ours"]
    assert {what: table.groups[0][1][0].name for what, table in told.more} == {
        "1 published methods": "theirs",
        "1 rows with hardly a figure": "little",
    }
    assert told.absent == ["Not measured: nothing.", "No figure here: this; that."]


def test_a_table_without_any_figure_is_still_a_table():
    told = folded(part(titles=["Row", "A"], body=[["x", "-"], ["y", "-"]]))
    assert told.main.rows == 2 and told.more == []


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("67.90 [66.36, 69.41]", 67.9),
        ("-1.37 [-2.51, -0.22]", -1.37),
        ("+0.06 points", 0.06),
        ("0.69 M (-64.7 %)", 690_000.0),
        ("16.95 G", 16.95e9),
        ("1,234", 1234.0),
        ("<0.001", 0.001),
        ("unpruned", None),
        ("-", None),
        ("", None),
    ],
)
def test_figures_are_sorted_by_what_they_are(text, key):
    assert sort_key(text) == (pytest.approx(key) if key is not None else None)


def test_a_record_tells_figures_samples_machine_commits_and_every_setting():
    record = fake_records()[Cell(**vars(CELLS[0]) | {"data": "invented"})]
    text = record_page(record, "../../../..", [("Table", "tables/x.html")])
    assert f"{100 * record.result['accuracy']['val_selected']['overall']:.2f}" in text
    assert text.count("<rect ") >= 20 and record.commit in text and record.created in text
    assert "scale.size" in text and "letters</dd>" in text, "settings, and predictions by their length"


def test_names_are_escaped_everywhere():
    page = tiny(title=NASTY, sentences=[NASTY], parts=[part(title=NASTY, body=[[NASTY, "1"], ["c", NASTY]])])
    found = fake_records()
    record = next(iter(found.values()))
    record.config["note"] = NASTY
    texts = [site.index([page], page), record_page(record, "..", [(NASTY, "x.html")])]
    texts += [content.decode() for content in site.site([page, tiny(title=NASTY)], page, [], json=False).values()]
    assert len(texts) == 4
    assert all(NASTY not in text and "&lt;script&gt;alert" in text for text in texts)


def test_a_record_of_every_table_has_a_page() -> None:
    folders = sorted({path.parent for path in records.paths(ROOT / "reports/records", "*/*/*/*.json")})
    assert len(folders) > 20
    for folder in folders:
        record = records.load(records.paths(folder)[0])
        assert record.cell.id in record_page(record, "../../..", [])
