"""How a run ends on a terminal of 100 columns: one table, three sentences, where the rest lies, one line of JSON."""

import io
import json

import pytest
from fake_records import fake_records
from rich.console import Console

from bench import records, report
from bench.pages.terminal import MOST, WIDTH, terminal, terminal_of_all
from bench.registry import TABLES, page_of

WHICH = {"data": "invented", "scale": "cpu"}


def lines(view) -> list[str]:
    console = Console(width=WIDTH, file=io.StringIO(), force_terminal=True, color_system=None)
    console.print(view)
    return console.file.getvalue().splitlines()  # type: ignore[attr-defined]


def test_table5_is_one_table_of_eight_columns_that_fits():
    page = page_of("table5", fake_records(), **WHICH)
    told = lines(terminal(page, [("Report", "out/index.html")]))
    text = "\n".join(told)
    assert max(map(len, told)) <= WIDTH and len(page.brief.titles) == MOST
    assert sum(line.startswith(("MRF ", "VGGNet ")) for line in told) == 12, "unpruned and five ratios of two networks"
    assert "[" in next(line for line in told if line.startswith("MRF") and "60 %" in line), "no interval is markup"
    assert "speed-up" in text and "Report: out/index.html" in text
    assert text.count("of channels removed:") == 2 and "Data: " in text
    assert len(told) < 40


@pytest.mark.parametrize("name", TABLES)
def test_every_table_fits_without_records(name):
    told = lines(terminal(page_of(name, {}, data="synthetic", scale="cpu", seeds=1), [("Report", "x")]))
    assert max(map(len, told)) <= WIDTH and told[-1].strip() == "Report: x"


def test_all_tables_are_a_line_each():
    pages = [page_of(name, {}, data="synthetic", scale="cpu", seeds=1) for name in TABLES]
    told = lines(terminal_of_all(pages, []))
    assert max(map(len, told)) <= WIDTH
    assert [name for name in TABLES if any(line.split()[:1] == [name] for line in told)] == list(TABLES)


def test_a_run_writes_the_report_and_names_it(tmp_path, capsys):
    for record in fake_records().values():
        records.save(record, tmp_path / "records")
    page = page_of("table5", fake_records(), **WHICH)
    given = report.arguments(["--out", str(tmp_path), "--render-only"])
    report.write_report(tmp_path, [page], page)
    report.tell(given, [page], page)
    *told, last = capsys.readouterr().out.splitlines()
    summary = json.loads(last)
    assert max(map(len, told)) <= WIDTH + len(str(tmp_path))
    assert summary["complete"] and summary["cells"] == len(page.cells) == 34
    assert summary["report"] == str(tmp_path / "index.html") and (tmp_path / "index.html").is_file()
    assert (tmp_path / "tables/invented-cpu/table5.html").is_file()
    assert (tmp_path / "cells/table5/invented/cpu/mrf-slim-60-s0.html").is_file()
