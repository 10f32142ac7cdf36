"""Classes are named by folders of strangers: whatever stands there is shown as text by every rendering."""

import csv
import io
import xml.etree.ElementTree as ElementTree
from dataclasses import replace

import numpy as np
import pytest
from fake_networks import network_records
from fake_records import CLASSES, fake_records

from bench.measure.accuracy import score
from bench.pages.escaped import csv_of, latex_text, markdown_cell
from bench.pages.files import files as files_of
from bench.registry import page_of
from compress.files import plain

NAMES = ("<img src=x onerror=alert(1)>", "=1+1", "$\\frac$", "a\x07b", "{0}", "very (un)happy [95 %]", "@sum|b\nc")
"""Instead of `CLASSES`, one for each."""


def renamed(records):
    """The records with `NAMES` as their classes."""
    names = dict(zip(CLASSES, NAMES, strict=True))
    told = {}
    for cell, record in records.items():
        accuracy = {
            key: one and one | {"recall": {names[n]: r for n, r in one["recall"].items()}}
            for key, one in record.result["accuracy"].items()
        }
        data = record.result["data"] | {"classes": list(NAMES), "notes": list(NAMES)}
        told[cell] = replace(record, result=record.result | {"accuracy": accuracy, "data": data})
    return told


@pytest.mark.parametrize("table", ["table5", "table2", "table4"])
def test_names_of_classes_are_text_in_every_file(table):
    records = renamed(fake_records() if table == "table5" else network_records())
    files = files_of(page_of(table, records, data="invented", scale="cpu", seeds=1))
    for name, content in files.items():
        text = content.decode()
        assert not any(ord(letter) < 32 and letter != "\n" for letter in text), name
        if name.endswith((".md", ".html")):
            assert "<img src=x" not in text
        if name.endswith(".svg"):
            ElementTree.fromstring(text)
        if name.endswith(".csv"):
            assert not any(cell.startswith(("=", "@", "+")) for line in csv.reader(io.StringIO(text)) for cell in line)
    page = files[f"{table}.md"].decode()
    assert NAMES[2] in page and "&lt;img" in page
    titles = next(line for line in page.splitlines() if "very (un)happy" in line and line.startswith("|"))
    assert "a b" in titles and "{0}" in titles


def test_numbers_are_written_as_they_are_and_formulas_are_shown():
    assert csv_of([["a", -1.5, "-1.5", "=x", "", None]]) == "a,-1.5,'-1.5,'=x,,\n"
    assert markdown_cell("a|b <script> <0.001") == "a\\|b &lt;script> <0.001"
    assert latex_text("a\tb_c") == "a b\\_c"


@pytest.mark.parametrize("classes", [11, 36, 62])
def test_more_than_ten_classes_are_scored_and_stored(classes):
    truth = np.arange(classes)
    found = plain(score(truth[::-1].copy(), truth, [f"c{i}" for i in truth]))
    assert len(found["predictions"]) == classes and found["predictions"].isalnum()
