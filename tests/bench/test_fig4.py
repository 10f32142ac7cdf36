"""Fig 4: where networks look behind covers, from a small job to the page."""

import base64
import csv
import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from tiny_job import job

from bench import records
from bench.make.networks import NETWORKS
from bench.make.pipeline import stage_behind
from bench.pages.files import files as files_of
from bench.records import Cell, Record
from bench.tables.covers import fig4, fig4_page
from bench.tables.covers.covered import covered_sets, levels

PLACE = {"data": "tiny", "scale": "quick"}


def wanted() -> list[Cell]:
    return [cell for cell in fig4.cells("tiny", "quick", 1) if cell.model == "mrf"]


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fig4")
    given = job(folder / "runs", "mrf")
    given = replace(given, data=replace(given.data, name=fig4.DRAWN))
    fig4.measure(given, wanted(), folder / "records")
    return given, records.load_all(folder / "records", table="fig4", **PLACE), folder / "records"


def test_networks_are_registered() -> None:
    assert set(fig4.MODELS) <= set(NETWORKS) and set(fig4_page.INKS) == set(fig4.MODELS)
    assert fig4.cells("tiny", "quick", 2) == fig4.cells("tiny", "quick", 1)
    assert {cell.model for cell in fig4.cells("tiny", "quick", 1)} == set(fig4.MODELS)


def test_shares_are_those_of_the_maps_and_groups_are_all_faces(measured) -> None:
    given, found, _ = measured
    (record,) = found.values()
    net = stage_behind(given, wanted()[0]).net().eval()
    bare = next(fig4._batches(given, net, given.data.test))[0]
    for family, level, made in covered_sets(given, ("noise",)):
        told = record.result["occluded"][family][level]
        assert set(told) == {"attention", "cam"} and record.result["covered"][family][level] == made.share
        covered = next(fig4._batches(given, net, made.split))[0]
        for name in told:
            on, lay = (share_by_hand(getattr(each, name).double().numpy(), made.masks) for each in (covered, bare))
            known, whole = np.isfinite(on) & np.isfinite(lay), told[name]["all"]
            assert whole["n"] == known.sum() == told[name]["right"]["n"] + told[name]["wrong"]["n"] > 20
            assert whole["on"]["percent"] == pytest.approx(100 * on[known].mean(), rel=1e-3)
            assert whole["before"]["percent"] == pytest.approx(100 * lay[known].mean(), rel=1e-3)
            assert whole["change"]["percent"] == pytest.approx(100 * (on - lay)[known].mean(), abs=0.02)


def share_by_hand(maps: np.ndarray, masks: np.ndarray) -> np.ndarray:
    whole = [each.sum() for each in maps]
    return np.array(
        [each[mask].sum() / mass if mass else np.nan for each, mask, mass in zip(maps, masks, whole, strict=True)]
    )


def test_a_second_call_measures_nothing(measured, monkeypatch) -> None:
    given, found, root = measured
    monkeypatch.setattr(fig4, "looked", lambda *_: pytest.fail("measured again"))
    fig4.measure(given, wanted(), root)
    assert records.load_all(root, table="fig4", **PLACE) == found


def test_the_page_says_what_the_record_says(measured) -> None:
    _, found, _ = measured
    files = files_of(fig4_page.page_of(found, **PLACE))
    ends = (".md", ".csv", ".tex", ".html", "-shares.svg", "-faces.svg")
    assert set(files) == {f"fig4{end}" for end in ends} and files_of(fig4_page.page_of(found, **PLACE)) == files
    text, table = files["fig4.md"].decode(), list(csv.DictReader(io.StringIO(files["fig4.csv"].decode())))
    (record,) = found.values()
    level = levels("patch")[-1]
    told = record.result["occluded"]["patch"][level]["attention"]["all"]
    (line,) = [
        one
        for one in table
        if (one["map"], one["family"], one["level"], one["answers"]) == ("attention", "patch", level, "all")
    ]
    assert float(line["on_percent"]) == told["on"]["percent"]
    for of, sign in (("on", ""), ("change", "+")):
        assert " [".join(f"{told[of][end]:{sign}.2f}" for end in ("percent", "lo")) in text
    assert "VGGNet" in text.split("## Not measured")[1] and "QUICK RUN" in text


def test_only_drawn_faces_are_kept(measured) -> None:
    given, found, _ = measured
    (record,) = found.values()
    strip = np.asarray(Image.open(io.BytesIO(base64.b64decode(record.result["examples"]["attention"]))))
    shown = [family for family, _ in fig4.SHOWN]
    assert strip.shape == (16 * fig4.EXAMPLES, 16 * len(shown), 3)
    net = stage_behind(given, wanted()[0]).net().eval()
    assert fig4._examples(replace(given, data=replace(given.data, name="fer2013")), net) == {}


def test_a_record_without_faces_has_a_page_without_them(measured) -> None:
    (cell, record), *_ = measured[1].items()
    bare: dict[Cell, Record] = {cell: replace(record, result=record.result | {"examples": {}})}
    files = files_of(fig4_page.page_of(bare, **PLACE))
    assert "fig4-faces.svg" not in files and b"are not reproduced" in files["fig4.md"]
    assert b"not measured yet" in files_of(fig4_page.page_of({}, **PLACE))["fig4.md"]
