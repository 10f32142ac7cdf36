"""Names from outside neither command a terminal nor compute in a spreadsheet nor write HTML."""

import io

import pytest
from matplotlib.figure import Figure

from compress.escaping import csv_cell, in_html, in_markdown, in_plot, printed

NASTY = "\x1b[2J\x07a\x85\u202egnp.exe\u2028\ud800\x00b"


def test_terminals_see_no_control_character():
    assert printed(NASTY) == "\\x1b[2J\\x07a\\x85\\u202egnp.exe\\u2028\\ud800\\x00b"
    printed(NASTY).encode("utf-8")


@pytest.mark.parametrize("name", ["angry", "größe", "怒り", "غضب", "می‌خواهم", "😀", "a b-c_d.jpg"])
def test_names_in_any_script_stay_what_they_are(name: str):
    assert printed(name) == csv_cell(name) == in_plot(name) == in_html(name) == name


@pytest.mark.parametrize("cell", ["=1+1", "+cmd|' /C calc'!A0", "-a", "@sum(a1)", "\t=1", "\r=1"])
def test_spreadsheets_compute_no_name(cell: str):
    assert str(csv_cell(cell)).startswith("'")


@pytest.mark.parametrize("cell", [-1.5, 3, None, "-1.5", "+3e-4", "1", "", "a=b", "-inf"])
def test_numbers_and_plain_text_stay_in_csv(cell: object):
    assert csv_cell(cell) == cell


def test_markdown_carries_neither_html_nor_marks():
    assert in_markdown("<script>a|b</script>*_x_*[y](z)`") == (
        r"&lt;script&gt;a\|b&lt;/script&gt;\*\_x\_\*\[y\](z)" + r"\`"
    )
    assert "\n" not in in_markdown("a\nb")


def test_html_is_text():
    assert in_html("\"<b>&'\x01") == "&quot;&lt;b&gt;&amp;&#x27;\\x01"


def test_matplotlib_draws_every_class_name():
    figure = Figure()
    figure.text(0.5, 0.5, in_plot(r"$\frac$" + NASTY))
    drawn = io.BytesIO()
    figure.savefig(drawn, format="svg")
    assert b"</svg>" in drawn.getvalue()
