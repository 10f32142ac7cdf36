"""Renderings are pure and say the truth about invented records: bytes repeat, gaps show, numbers can be recomputed.

REWRITE_GOLDENS=1 pytest tests/bench/test_render.py writes the goldens anew.
"""

import csv
import io
import os
import random
import re
import statistics
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from fake_records import fake_record, fake_records

from bench.pages.escaped import latex_text
from bench.pages.files import files as files_of
from bench.pages.latex import latex
from bench.pages.markdown import markdown
from bench.pages.page import Page
from bench.pages.sheet import Records, Sheet
from bench.records import Cell, Record
from bench.registry import page_of
from bench.tables.ratios.definitions import RATIO_TABLES
from bench.tables.ratios.readme import README_BEGIN, README_END, embed, readme_table
from bench.tables.ratios.sheet import sheet_of

GOLDEN = Path(__file__).parent.parent / "golden"
N = 200
MARK = "QUICK RUN - NOT A RESULT"
RECORDS = fake_records(n=N)


def filled(
    records: Records = RECORDS, *, data: str = "invented", scale: str = "cpu", seeds: int | None = None
) -> Sheet:
    return sheet_of(RATIO_TABLES["table5"], records, data=data, scale=scale, seeds=seeds)


def paged(records: Records = RECORDS, *, seeds: int | None = None) -> Page:
    return page_of("table5", records, data="invented", scale="cpu", seeds=seeds)


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    return files_of(paged())


@pytest.fixture(scope="module")
def unmeasured() -> dict[str, bytes]:
    return files_of(page_of("table5", {}, data="fer2013", scale="quick", seeds=1))


def of(model: str, variant: str, ratio: float = 0.0, seed: int = 0, records: dict[Cell, Record] = RECORDS) -> Record:
    wanted = (model, variant, ratio, seed)
    return next(
        one for one in records.values() if (one.cell.model, one.cell.variant, one.cell.ratio, one.cell.seed) == wanted
    )


def parsed(content: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content.decode())))


def line(content: bytes, model: str, variant: str, percent: int) -> dict[str, str]:
    return next(
        row
        for row in parsed(content)
        if (row["model"], row["variant"], round(100 * float(row["ratio"]))) == (model, variant, percent)
    )


def test_the_same_records_in_any_order_give_the_same_bytes(files: dict[str, bytes]) -> None:
    shuffled = list(RECORDS.values())
    random.Random(3).shuffle(shuffled)
    again = files_of(paged(shuffled))
    assert set(files) == {"table5.md", "table5.csv", "table5.tex", "table5.html", "table5-accuracy.svg"}
    assert again == files


def test_csv_has_one_row_per_cell_and_loses_no_digit(files: dict[str, bytes]) -> None:
    rows = parsed(files["table5.csv"])
    assert len(rows) == len(RECORDS) == 34
    assert {row["status"] for row in rows} == {"measured"}
    chosen = of("mrf", "slim", 0.6).result["accuracy"]["val_selected"]
    assert float(line(files["table5.csv"], "mrf", "slim", 60)["accuracy_percent"]) == 100 * chosen["overall"]


@pytest.mark.parametrize(("model", "variant", "ratio"), [("mrf", "slim", 0.6), ("vggnet", "random", 0.8)])
def test_differences_and_reductions_recomputed_from_raw_records(
    files: dict[str, bytes], model: str, variant: str, ratio: float
) -> None:
    """By counting characters and dividing, without the code under test."""
    record, dense = of(model, variant, ratio), of(model, "dense")
    truth = record.result["data"]["truth"]
    right = [
        sum(a == b for a, b in zip(one.result["accuracy"]["val_selected"]["predictions"], truth, strict=True))
        for one in (record, dense)
    ]
    row = line(files["table5.csv"], model, variant, round(100 * ratio))
    assert float(row["difference_points"]) == pytest.approx(100 * (right[0] - right[1]) / N)
    assert float(row["difference_lo"]) <= float(row["difference_points"]) <= float(row["difference_hi"])
    for name in ("params", "macs"):
        kept = record.result["cost"][name] / dense.result["cost"][name]
        assert float(row[f"{name}_removed_percent"]) == pytest.approx(100 * (1 - kept))
    pair = record.result["latency"]["32"]["ratios"]["unpruned"]
    assert float(row["speedup_b32"]) * pair["ratio"] == pytest.approx(1)
    assert float(row["speedup_b32_lo"]) < float(row["speedup_b32"]) < float(row["speedup_b32_hi"])


def test_gain_over_the_control_is_that_of_two_networks_fine_tuned_alike(files: dict[str, bytes]) -> None:
    slim = line(files["table5.csv"], "vggnet", "slim", 70)
    control = line(files["table5.csv"], "vggnet", "random", 70)
    short = line(files["table5.csv"], "vggnet", "short", 70)
    gap = float(short["accuracy_percent"]) - float(control["accuracy_percent"])
    assert float(slim["control_gap_points"]) == pytest.approx(gap)
    assert slim["short_percent"] == short["accuracy_percent"] != slim["accuracy_percent"]
    assert slim["control_percent"] == control["accuracy_percent"]
    assert control["control_percent"] == ""


def test_headline_says_what_the_records_say(files: dict[str, bytes]) -> None:
    page = files["table5.md"].decode()
    accuracies = [one.result["accuracy"]["val_selected"] for one in (of("mrf", "dense"), of("mrf", "slim", 0.6))]
    before, after = (f"{100 * one['correct'] / one['n']:.2f}" for one in accuracies)
    assert f"MRF, 60 % of channels removed: accuracy {before} -> {after} %" in page
    assert "as fast at batch 1" in page


def test_a_smaller_network_that_is_slower_is_flagged_and_only_that(files: dict[str, bytes]) -> None:
    """The invented 70 % network is 1.4 times slower at batch 1 than the rule of the others."""
    said = [text for text in files["table5.md"].decode().splitlines() if "slower than" in text]
    assert said == [
        "- MRF, 70 %: slower than 60 % at batch 1",
        "- VGGNet, 70 %: slower than 60 % at batch 1",
    ]
    assert "| MRF | 70 %*! |" in files["table5.md"].decode()
    noisy = "batch 1, a speed-up is uncertain by 8.0 %; batch 32, a speed-up is uncertain by 8.0 %"
    assert [line for line in files["table5.md"].decode().splitlines() if "noisy timing:" in line] == [
        f"- {name}, 80 %: noisy timing: {noisy}" for name in ("MRF", "VGGNet")
    ]


def test_missing_cells_are_rows_that_say_so() -> None:
    some = {cell: record for cell, record in RECORDS.items() if cell.model == "mrf" and cell.ratio != 0.5}
    made = paged(some, seeds=1)
    assert set(made.missing) == {cell.id for cell in RECORDS} - {cell.id for cell in some} and not made.complete
    page = markdown(made)
    assert page.count("| VGGNet | 40 % | not measured |") == len(RATIO_TABLES["table5"].panels)
    assert "| MRF | 50 % | not measured |" in page
    assert "14 of 34 measured" in page
    assert "VGGNet, 60 % of channels removed: not measured yet (unpruned and 60 %)." in page


def test_without_the_unpruned_network_nothing_is_compared_with_it() -> None:
    alone = {cell: record for cell, record in RECORDS.items() if cell.variant == "slim"}
    table = filled(alone)
    row = table.row("mrf", "slim", 0.6)
    assert row.numbers("accuracy_percent")
    assert not row.numbers("difference_points")
    assert not row.numbers("macs_removed_percent")


def test_zero_records_render_everywhere_with_gaps_and_the_watermark(unmeasured: dict[str, bytes]) -> None:
    assert [row["status"] for row in parsed(unmeasured["table5.csv"])] == ["not measured"] * 34
    assert all(row["watermark"] == MARK for row in parsed(unmeasured["table5.csv"]))
    for name, content in unmeasured.items():
        assert MARK in content.decode(), name
        assert "not measured" in content.decode(), name
    assert readme_table(page_of("table5", {}, data="fer2013", scale="quick")).startswith(f"**{MARK}**")


def test_real_scales_carry_no_watermark(files: dict[str, bytes]) -> None:
    assert not [name for name, content in files.items() if b"QUICK" in content]
    assert "watermark" not in parsed(files["table5.csv"])[0]


def test_several_seeds_show_mean_and_spread_and_keep_their_rows() -> None:
    records = fake_records(seeds=3, n=100)
    del records[of("mrf", "slim", 0.8, 2, records).cell]
    page = markdown(paged(records))
    single = [
        100 * of("mrf", "dense", seed=seed, records=records).result["accuracy"]["val_selected"]["overall"]
        for seed in range(3)
    ]
    assert f"{statistics.mean(single):.2f} ± {statistics.stdev(single):.2f} [" in page
    assert "| MRF | 80 %*! (2 of 3 seeds) |" in page
    assert "over 3 seeds" in page


def test_the_footer_says_on_what_the_networks_were_trained(files: dict[str, bytes]) -> None:
    said = next(text for text in files["table5.md"].decode().splitlines() if "dense 20 epochs" in text)
    assert said.endswith("; trained on cpu, threads 1, torch 2.13.0+cpu")


def test_latex_escapes_and_keeps_its_columns() -> None:
    assert latex_text("a_b & 50 % #1 {x} \\ ~ ^ $") == (
        r"a\_b \& 50 \% \#1 \{x\} \textbackslash{} \textasciitilde{} \textasciicircum{} \$"
    )
    assert latex_text("-0.50 [-1.30, +0.28] 1.90x BN-16") == r"$-$0.50 [$-$1.30, $+$0.28] 1.90$\times$ BN-16"
    text = latex(paged())
    for body in re.findall(r"\\begin\{tabular\}\{(l+r+)\}(.*?)\\end\{tabular\}", text, flags=re.DOTALL):
        spec, lines = body[0], [one for one in body[1].splitlines() if one.endswith(r"\\")]
        assert len(lines) == 1 + 14
        assert {len(re.findall(r"(?<!\\)&", one)) for one in lines} == {len(spec) - 1}
    # outside comment lines no percent sign may start a comment
    assert not [one for one in text.splitlines() if not one.startswith("%") and re.search(r"(?<!\\)%", one)]


class Ids(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.references: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            text = value or ""
            if name == "id":
                self.ids.append(text)
            if name in ("src", "href", "xlink:href"):
                self.references.append(text)
            self.references += re.findall(r"url\(([^)]*)\)", text)


def test_page_is_self_contained_and_its_plots_do_not_share_ids(files: dict[str, bytes]) -> None:
    page = files["table5.html"].decode()
    found = Ids()
    found.feed(page)
    assert len(found.ids) == len(set(found.ids)) > 100
    own = [reference[1:] for reference in found.references if reference.startswith("#")]
    others = {reference for reference in found.references if not reference.startswith("#")}
    assert own and set(own) <= set(found.ids)
    assert all(reference == "data:," or reference.startswith("../../") for reference in others), "pages of this report"
    assert page.count("<svg") == 1 + 1 + 3 * 2
    assert "prefers-color-scheme: dark" in page
    # a theme can only reach plots whose colours are variables
    assert not re.findall(r"(?:fill|stroke): ?#[0-9a-f]{6}", page)


def test_plot_for_the_readme_is_bare_svg_without_a_date(files: dict[str, bytes]) -> None:
    text = files["table5-accuracy.svg"].decode()
    assert text.startswith("<?xml")
    assert not re.search(r"<dc:date>|Matplotlib v", text)
    assert "var(--" not in text
    assert not [one for one in text.splitlines() if one != one.rstrip()]


def test_embedding_is_idempotent_and_touches_nothing_else() -> None:
    readme = f"# A\n\nabove\n{README_BEGIN}\nold | table\n{README_END}\nbelow\n"
    once = embed(readme, readme_table(paged()))
    assert embed(once, readme_table(paged())) == once
    assert once.startswith(f"# A\n\nabove\n{README_BEGIN}\n")
    assert once.endswith(f"\n{README_END}\nbelow\n")
    assert "old | table" not in once
    for broken in ("no markers", f"{README_END}\n{README_BEGIN}", readme + readme):
        with pytest.raises(ValueError, match="table5:begin"):
            embed(broken, "x")


def test_readme_table_has_twelve_rows_of_eight_columns() -> None:
    lines = [one for one in readme_table(paged()).splitlines() if one.startswith("|")]
    assert len(lines) == 2 + 12
    assert {one.count("|") for one in lines} == {9}


def test_records_that_do_not_belong_together_are_refused() -> None:
    dense = of("mrf", "dense")
    other = fake_record(of("mrf", "slim", 0.4).cell, n=N)
    other.result["data"] = other.result["data"] | {"truth": other.result["data"]["truth"][::-1]}
    with pytest.raises(ValueError, match="different test splits"):
        filled([dense, other])
    elsewhere = replace(dense, cell=replace(dense.cell, data="other"))
    assert filled([dense, elsewhere], data="other").records == (elsewhere,)


def test_a_machine_or_commit_that_changed_between_cells_is_said() -> None:
    dense = of("mrf", "dense")
    moved = replace(of("mrf", "sparse"), environment={**dense.environment, "threads": 8}, commit="f" * 40, dirty=True)
    page = markdown(paged([dense, moved]))
    assert "2 | 8 threads" in page
    assert f"commit 0123456789ab, {'f' * 12}; 1 records from a working tree that differed" in page


@pytest.mark.parametrize("name", ["table5_readme.md", "table5_panel_a.tex"])
def test_goldens(name: str) -> None:
    made = {
        "table5_readme.md": readme_table(paged()) + "\n",
        "table5_panel_a.tex": latex(paged()).split("\n\n")[1] + "\n",
    }[name]
    if os.environ.get("REWRITE_GOLDENS"):
        (GOLDEN / name).write_text(made)
    assert made == (GOLDEN / name).read_text()
