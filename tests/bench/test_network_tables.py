"""Tables 1 to 4 and Fig 6 from invented records: bytes repeat, gaps show, numbers follow from the predictions."""

import csv
import io
import json
import os
import re
from dataclasses import replace
from functools import cache
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from fake_networks import ESTIMATED, SYNTHETIC, network_records
from rich.console import Console

from bench.measure.accuracy import from_digits
from bench.measure.calibration import from_thousandths
from bench.measure.stats import mcnemar, paired_difference
from bench.pages.columns import FORMAT_OF
from bench.pages.files import files as files_of
from bench.pages.terminal import terminal
from bench.registry import PAGES, page_of
from bench.tables.networks import dense, fig6, published
from bench.tables.networks.page import ABOVE, MATRICES, MODELS, NETWORK_TABLES

RECORDS = network_records(passing=ESTIMATED)
NAMES = (*NETWORK_TABLES, fig6.TABLE)
SHARED = Path(os.environ.get("FER_DATA", Path(__file__).resolve().parents[2] / "../shared/data")).parent
PRINTED = SHARED / "papers/published.json"
WHICH = {"data": "invented", "scale": "cpu"}


@cache
def rendered(name: str) -> dict[str, bytes]:
    return files_of(page_of(name, RECORDS, **WHICH))


def parsed(files: dict[str, bytes], name: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(files[f"{name}.csv"].decode())))


def line(rows, model, seed="0"):
    return next(row for row in rows if (row["model"], row["seed"]) == (model, seed))


def right(model: str) -> np.ndarray:
    result = next(record for cell, record in RECORDS.items() if (cell.model, cell.seed) == (model, 0)).result
    return from_digits(result["accuracy"]["val_selected"]["predictions"]) == from_digits(result["data"]["truth"])


@pytest.mark.parametrize("name", NAMES)
def test_the_same_records_in_any_order_give_the_same_bytes(name):
    files = rendered(name)
    assert {f"{name}.{ending}" for ending in ("md", "csv", "tex", "html")} < set(files)
    assert any(file.endswith(".svg") for file in files)
    assert files_of(page_of(name, dict(reversed(RECORDS.items())), **WHICH)) == files


def test_mean_attention_maps_are_drawn_in_table_4_alone():
    plot = rendered("table4")["table4-attention.svg"].decode()
    assert plot.count("0.50") == plot.count("0.21") == sum("mrf" in model for model in MODELS)  # means of the fake maps
    assert "table1-attention.svg" not in rendered("table1")
    unmapped = {
        cell: replace(one, result={k: v for k, v in one.result.items() if k != "attention_maps"})
        for cell, one in RECORDS.items()
    }
    assert b"attention maps: not measured" in files_of(page_of("table4", unmapped, **WHICH))["table4-attention.svg"]


@pytest.mark.parametrize("name", NAMES)
def test_without_records_every_page_says_so(name):
    files = files_of(page_of(name, {}, data="invented", scale="quick", seeds=1))
    for ending in ("md", "html", "tex"):
        text = files[f"{name}.{ending}"].decode()
        assert "QUICK RUN - NOT A RESULT" in text
        assert "not measured" in text or "0 of 6 thresholds measured" in text
    assert {row["status"] for row in parsed(files, name)} <= {"not measured", "published"}


@pytest.mark.parametrize("name", NAMES)
def test_pages_are_whole_and_load_nothing(name):
    class Tags(HTMLParser):
        def __init__(self):
            super().__init__()
            self.tables, self.links, self.loaded = 0, [], []

        def handle_starttag(self, tag, attrs):
            self.tables += tag == "table"
            self.links += [value for key, value in attrs if key in ("src", "href") and not value.startswith("#")]
            self.loaded += [value for key, value in attrs if key == "src" or (tag, key) == ("link", "href")]

    tags = Tags()
    text = rendered(name)[f"{name}.html"].decode()
    tags.feed(text)
    assert tags.tables >= 1 and tags.loaded == ["data:,"], "an empty icon, so that no browser asks for one"
    assert not [link for link in tags.links if "//" in link], "what it leads to lies beside it"
    ids = re.findall(r'\bid="([^"]+)"', text)
    assert len(ids) == len(set(ids))


def test_every_column_speaks_of_known_values():
    panels = [panel for table in (*NETWORK_TABLES.values(), fig6.SHEET) for panel in table.panels]
    columns = [column for panel in panels for column in panel.columns]
    assert {key for column in columns for key in re.findall(r"\{(\w+)\}", column.text)} <= set(FORMAT_OF)


def test_differences_follow_from_the_predictions():
    rows = parsed(rendered("table4"), "table4")
    for model, above in ABOVE.items():
        expected = paired_difference(right(model), right(above))
        found = line(rows, model)
        assert float(found["above_points"]) == pytest.approx(expected.points)
        assert float(found["above_hi"]) == pytest.approx(expected.hi)
        assert float(found["above_p"]) == pytest.approx(mcnemar(right(model), right(above)).p)
    against = paired_difference(right("mrf-no-mask"), right("mrf"))
    assert float(line(rows, "mrf-no-mask")["difference_points"]) == pytest.approx(against.points)
    assert line(rows, "mrf")["difference_points"] == "" and line(rows, "local")["above_points"] == ""


def test_calibration_occlusion_and_speed_follow_from_the_record():
    record = next(one for cell, one in RECORDS.items() if cell.model == "global")
    found = line(parsed(rendered("table4"), "table4"), "global")
    confidence = from_thousandths(record.result["calibration"]["as_trained"]["confidence"])
    tenths = np.minimum((10 * confidence).astype(int), 9)
    error = sum(abs(confidence[tenths == t].sum() - right("global")[tenths == t].sum()) for t in range(10)) / 200
    assert float(found["ece_percent"]) == pytest.approx(100 * error)
    occluded = 100 * record.result["occluder"]["accuracy"]["overall"]
    assert float(found["occluded_change_points"]) == pytest.approx(occluded - float(found["accuracy_percent"]))
    assert float(found["speedup_b1"]) == pytest.approx(2.0)
    own = line(parsed(rendered("table4"), "table4"), "mrf")
    assert (own["map_right_percent"], own["map_wrong_percent"]) == ("62.5", "55.25") and not found["map_all_percent"]


def test_a_network_at_chance_is_remarked_and_the_sentences_compare_neighbours():
    text = rendered("table4")["table4.md"].decode()
    assert "MRF without BN: not above the majority class" in text
    for model, above in ABOVE.items():
        assert f"- {MODELS[model]} minus {MODELS[above]}: " in text
    assert "- MRF, mask loss off minus MRF: " in text


def test_the_literature_stands_as_printed_and_has_no_seed():
    files = rendered("table1")
    rows = parsed(files, "table1")
    quoted = [row for row in rows if row["status"] == "published"]
    assert [row["model"] for row in quoted] == list(published.LITERATURE)
    assert "| gACNN | - | 85.07 | 58.78 |" in files["table1.md"].decode()
    assert line(rows, "vggnet")["published_affectnet_percent"] == "51.11"


def test_seeds_are_averaged_and_a_missing_one_is_named():
    records = network_records(tuple(MODELS), seeds=2)
    gone = next(cell for cell in records if cell.model == "local" and cell.seed == 1)
    rest = {cell: one for cell, one in records.items() if cell != gone}
    text = files_of(page_of("table4", rest, **WHICH))["table4.md"]
    assert "Local branch (1 of 2 seeds)" in text.decode() and " ± " in text.decode()


@pytest.mark.parametrize("name", MATRICES)
def test_confusion_counts_and_recall_are_those_of_the_record(name):
    result = next(record for cell, record in RECORDS.items() if cell.model == "mrf").result
    counts = np.asarray(result["accuracy"]["val_selected"]["confusion"])
    text = rendered(name)[f"{name}.md"].decode()
    (row,) = [one for one in text.splitlines() if one.startswith("| happiness") and "(" in one]
    assert [int(n) for n in re.findall(r"\((\d+)\)", row)] == counts[3].tolist()
    assert f"{100 * counts[3, 3] / counts[3].sum():.2f} [" in text
    assert f"{counts.trace()} of 200 right" in text
    assert f"{MATRICES[name][1][0][0]:.2f}" in text


@pytest.mark.parametrize(("passing", "trained"), [(None, 1), (SYNTHETIC, 2), (ESTIMATED, 6)])
def test_thresholds_with_the_same_masks_are_one_network(passing, trained):
    twins = dense.trained_as(passing)
    assert len(set(twins.values())) == trained and all(twins[twin] == twin for twin in twins.values())
    assert twins["mrf"] == "mrf"
    wanted = dense.cells("invented", "cpu", 2, tuple(dense.THRESHOLDS))
    chosen = dense.distinct(passing, wanted)
    assert len(chosen) == 2 * trained
    records = network_records(tuple({cell.model: None for cell in chosen}), seeds=2, passing=passing)
    assert fig6.lacking(records, wanted) == [] and fig6.lacking({}, wanted) == wanted


def test_fig6_says_which_thresholds_are_one_and_where_there_is_nothing_to_choose():
    binary = network_records(("mrf", "mrf-confidence-00"), passing=SYNTHETIC)
    text = files_of(page_of("fig6", binary, **WHICH))["fig6.md"].decode()
    assert "0.25 (same masks as 0.5)" in text and "not measured" not in text
    silent = files_of(page_of("fig6", network_records(("mrf",)), **WHICH))
    assert "gives its landmarks no confidence" in silent["fig6.md"].decode()
    assert b"no landmark confidence in this data set" in silent["fig6-accuracy.svg"]


def test_publishing_renders_every_table_of_the_records():
    pages = [page(RECORDS, **WHICH) for page in PAGES[dense.RECORDS]]
    assert [files_of(page) for page in pages] == [rendered(name) for name in NAMES]


@pytest.mark.parametrize("name", NAMES)
def test_the_terminal_shows_the_sentences(name):
    console = Console(width=400, record=True, file=io.StringIO())
    console.print(terminal(page_of(name, RECORDS, **WHICH), []))
    said = next(one[2:] for one in rendered(name)[f"{name}.md"].decode().splitlines() if one.startswith("- "))
    assert said in console.export_text()


@pytest.mark.skipif(not PRINTED.exists(), reason="the paper's numbers are not beside the repository")
def test_published_numbers_are_those_of_the_paper():
    printed = json.loads(PRINTED.read_text())["mrf"]
    names = {"ResNet-50": "resnet50", "VGG-16": "vggnet", "Proposed method": "mrf"}
    table1 = {names.get(name, name): tuple(row) for name, row in printed["table1_accuracy_percent"].items()}
    table1.pop("columns")
    assert table1 == published.TABLE1 | published.LITERATURE
    assert list(published.TABLE4.values()) == list(printed["table4_ablation_rafdb_percent"].values())
    for matrix, key in ((published.TABLE2, "table2_confusion_rafdb"), (published.TABLE3, "table3_confusion_affectnet")):
        assert [list(row) for row in matrix] == printed[key]
    assert published.FIG6_BEST == printed["fig6_best_threshold"] in dense.THRESHOLDS.values()
    assert set(printed["fig6_thresholds"]) <= set(dense.THRESHOLDS.values())
