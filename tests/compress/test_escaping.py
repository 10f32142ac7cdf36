"""Names from outside neither command a terminal nor compute in a spreadsheet."""

import pytest

from compress.escaping import csv_cell, printed

NASTY = "\x1b[2J\x07a\x85\u202egnp.exe\u2028\ud800\x00b"


def test_terminals_see_no_control_character():
    assert printed(NASTY) == "\\x1b[2J\\x07a\\x85\\u202egnp.exe\\u2028\\ud800\\x00b"
    printed(NASTY).encode("utf-8")


@pytest.mark.parametrize("name", ["angry", "größe", "怒り", "غضب", "می‌خواهم", "😀", "a b-c_d.jpg"])
def test_names_in_any_script_stay_what_they_are(name: str):
    assert printed(name) == csv_cell(name) == name


@pytest.mark.parametrize("cell", ["=1+1", "+cmd|' /C calc'!A0", "-a", "@sum(a1)", "\t=1", "\r=1"])
def test_spreadsheets_compute_no_name(cell: str):
    assert str(csv_cell(cell)).startswith("'")


@pytest.mark.parametrize("cell", [-1.5, 3, None, "-1.5", "+3e-4", "1", "", "a=b", "-inf"])
def test_numbers_and_plain_text_stay_in_csv(cell: object):
    assert csv_cell(cell) == cell
