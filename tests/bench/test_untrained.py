"""Timing without training: every cell a record, no accuracy claimed, and a page that says what the records say."""

import json
from pathlib import Path

import pytest

from bench import records
from bench.make.scales import QUICK
from bench.pages.files import files as files_of
from bench.tables.speed import untrained
from compress.cost import params

pytest.importorskip("onnx", reason="needs onnx: pip install -e '.[onnx]'")
FULL = next(Path(__file__).parents[2].glob("reports/records/table5/fer2013/strong+*width=1.0"))


def test_every_cell_is_exported_timed_and_told(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(untrained, "MODELS", ("vggnet",))
    place = {"table": untrained.PAPERS, "data": untrained.DATA}
    networks = untrained.of_papers(QUICK)
    made = untrained.measure(networks, tmp_path, QUICK, **place)
    found = records.load_all(tmp_path, scale=QUICK.name, **place)
    assert set(found) == set(untrained.cells(networks, scale=QUICK.name, **place))
    assert len(made) == 2 * len(untrained.BACKENDS)
    for record in found.values():
        assert "accuracy" not in record.result and record.result["cost"]["export_s"] > 0
        if not record.result["missing"]:
            assert record.result["latency"]["1"]["n"] >= QUICK.measurement.latency_runs
    page = files_of(untrained.page_of(found, data=untrained.DATA, scale=QUICK.name))["fullwidth.md"].decode()
    assert "Accuracy, %" not in page and page.count("| VGGNet |") == sum(
        not r.result["missing"] for r in found.values()
    )


def test_the_widths_of_records_are_built_again() -> None:
    networks = untrained.of_records(FULL)
    assert {("mrf", "dense", 0.0), ("mrf", "slim", 0.6), ("vggnet", "slim", 0.8)} < networks.keys()
    assert not [place for place in networks if place[1] not in ("dense", "slim")]
    told = json.loads((FULL / "vggnet-slim-80-s0.json").read_text())["result"]
    net = networks["vggnet", "slim", 0.8]()
    assert params(net) == told["cost"]["params"] == told["plan"]["params_after"]
    name = "trunks.face.blocks.12.conv"
    assert len(net.state_dict()[f"{name}.weight"]) == told["plan"]["widths_after"][name]


def test_a_record_that_tells_another_cost_is_refused(tmp_path) -> None:
    told = json.loads((FULL / "vggnet-slim-80-s0.json").read_text())
    told["result"]["cost"]["params"] += 1
    (tmp_path / "vggnet-slim-80-s0.json").write_text(json.dumps(told))
    with pytest.raises(ValueError, match="the record says"):
        untrained.of_records(tmp_path)["vggnet", "slim", 0.8]()


def test_a_folder_without_records_is_a_sentence(tmp_path) -> None:
    with pytest.raises(ValueError, match="holds no record of an unpruned or slim network"):
        untrained.of_records(tmp_path)
