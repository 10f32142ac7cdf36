"""The table of runtimes: every artefact run on the whole test split and timed, from a small job to the page."""

import csv
import io
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from tiny_job import job

from bench import records
from bench.make.scales import scale_for
from bench.make.stages import Stage
from bench.measure.accuracy import from_digits
from bench.pages.files import files as files_of
from bench.records import Cell, Record
from bench.tables.ratios.definitions import RATIO_TABLES
from bench.tables.speed import runtimes, runtimes_page
from bench.tables.speed.deployments import deployments_of

pytest.importorskip("onnx", reason="needs onnx: pip install -e '.[onnx]'")
BACKENDS = (("torch", "fp32"), ("onnxruntime", "fp32"), ("onnxruntime", "int8"), ("tensorrt", "fp16"))


def wanted() -> list[Cell]:
    made = runtimes.cells("tiny", "quick", 1, ["vggnet"])
    return [cell for cell in made if cell.ratio in (0.0, 0.6) and (cell.runtime, cell.precision) in BACKENDS]


@pytest.fixture(scope="module")
def measured(tmp_path_factory) -> dict[Cell, Record]:
    folder = tmp_path_factory.mktemp("runtimes")
    runtimes.measure(job(folder / "runs", "vggnet"), wanted(), folder / "records")
    return records.load_all(folder / "records", table="runtimes", data="tiny", scale="quick")


def of(found: dict[Cell, Record], runtime: str, precision: str, ratio: float = 0.6) -> Record:
    return next(
        one for cell, one in found.items() if (cell.runtime, cell.precision, cell.ratio) == (runtime, precision, ratio)
    )


def test_cells_are_every_network_that_ships_in_every_runtime_and_precision() -> None:
    made = runtimes.cells("synthetic", "cpu", 2, ["mrf", "vggnet"])
    compiled = [cell for cell in made if cell.runtime == "torch-compile"]
    others = [kind for kind in runtimes.BACKENDS if kind[0] != "torch-compile"]
    assert len(made) - len(compiled) == 2 * 2 * 6 * len(others) and len(made) == len({cell.path for cell in made})
    assert {cell.ratio for cell in compiled} == set(scale_for("cpu", "synthetic").measurement.compiled_ratios)
    second = runtimes.cells("synthetic", "cpu", 1, ["ocl-fgw-lgds"])
    assert {cell.ratio for cell in second} == {0.0, *RATIO_TABLES["ocl-slim"].ratios}, (
        "those of its own table of ratios"
    )
    assert {cell.variant for cell in made if cell.ratio == 0} == {"dense"}


def test_the_same_answers_through_another_runtime_and_paired_times(measured) -> None:
    eager, other = of(measured, "torch", "fp32"), of(measured, "onnxruntime", "fp32")
    assert other.result["agreement"] == 1 and eager.result["missing"] is None
    assert (
        other.result["accuracy"]["val_selected"]["predictions"]
        == eager.result["accuracy"]["val_selected"]["predictions"]
    )
    for batch in ("1", "32"):
        told = other.result["latency"][batch]
        assert told["n"] >= 3 and told["n"] % told["per_turn"] == 0
        assert set(told["ratios"]) == {"unpruned", "eager", "unpruned_eager"}
    assert set(of(measured, "torch", "fp32", 0.0).result["latency"]["1"]["ratios"]) == set(), "it is the reference"
    assert set(other.result["precision_by_layer"].values()) == {"fp32"}


def test_a_network_is_compared_with_itself_where_several_are_measured_together() -> None:
    made = runtimes.cells("tiny", "quick", 1, ["mrf", "vggnet"])
    other = next(cell for cell in made if (cell.model, cell.ratio, cell.runtime) == ("vggnet", 0.6, "openvino"))
    found = runtimes._references(other, dict.fromkeys(made))  # type: ignore[arg-type] - cells alone
    assert {cell.model for cell in found.values()} == {"vggnet"}
    assert (found["eager"].ratio, found["unpruned_eager"].ratio) == (0.6, 0.0)


def test_the_ratio_to_eager_is_that_of_the_turns_whatever_a_record_says(measured) -> None:
    wrong = {}
    for cell, record in measured.items():
        latency = {
            batch: told | {"ratios": told["ratios"] | {"eager": {"ratio": 9.0, "interval": [8.0, 10.0]}}}
            for batch, told in (record.result.get("latency") or {}).items()
        }
        wrong[cell] = replace(record, result=record.result | {"latency": latency})
    assert deployments_of(wrong.values()) == deployments_of(measured.values())


def test_what_cannot_be_measured_is_a_record_that_says_why(measured) -> None:
    int8, engine = of(measured, "onnxruntime", "int8"), of(measured, "tensorrt", "fp16")
    assert "at least 500" in int8.result["missing"] and int8.result["latency"] == {}
    assert engine.result["missing"] and "accuracy" not in engine.result


def test_a_runtime_that_changes_answers_is_refused(tmp_path, monkeypatch) -> None:
    cells = [cell for cell in wanted() if cell.ratio == 0 and cell.runtime in ("torch", "onnxruntime")][:2]
    through = runtimes.FaceArtefacts.through

    def wrong(self, session, faces=()):
        found = through(self, session, faces)
        return found if session.runtime == "torch" else np.roll(found, 1, axis=1)

    monkeypatch.setattr(runtimes.FaceArtefacts, "through", wrong)
    runtimes.measure(job(tmp_path / "runs", "vggnet"), cells, tmp_path / "records")
    found = records.load_all(tmp_path / "records", table="runtimes", data="tiny", scale="quick")
    said = of(found, "onnxruntime", "fp32", 0.0).result
    assert said["missing"].startswith("changes 100.0% of the answers") and said["latency"] == {}


def test_a_second_call_measures_nothing(tmp_path, measured, monkeypatch) -> None:
    root = tmp_path / "records"
    for record in measured.values():
        records.save(record, root)
    keys = {(record.cell.variant, record.cell.ratio): record.key for record in measured.values()}
    monkeypatch.setattr(
        runtimes, "stage_behind", lambda job, cell: Stage(folder=root, key=keys[cell.variant, cell.ratio])
    )
    monkeypatch.setattr(runtimes, "artefacts_of", lambda *given, **named: pytest.fail("measured again"))
    before = {path: path.read_bytes() for path in root.rglob("*.json")}
    runtimes.measure(job(tmp_path / "runs", "vggnet"), wanted(), root)
    assert {path: path.read_bytes() for path in root.rglob("*.json")} == before != {}


def test_the_page_says_what_the_records_say(measured) -> None:
    files = files_of(runtimes_page.page_of(measured, data="tiny", scale="quick"))
    page, table = files["runtimes.md"].decode(), list(csv.DictReader(io.StringIO(files["runtimes.csv"].decode())))
    assert len(table) == len(measured) and sum(bool(row["missing"]) for row in table) == 4
    eager, other = of(measured, "torch", "fp32", 0.0), of(measured, "onnxruntime", "fp32")
    (row,) = [
        one for one in table if (one["runtime"], one["precision"], one["ratio"]) == ("onnxruntime", "fp32", "0.6")
    ]
    answers, truth = other.result["accuracy"]["val_selected"]["predictions"], other.result["data"]["truth"]
    right = from_digits(answers) == from_digits(truth)
    assert float(row["accuracy"]) == pytest.approx(right.mean())
    pair = other.result["latency"]["1"]["ratios"]["unpruned_eager"]
    assert float(row["speedup_to_unpruned_eager_b1"]) == pytest.approx(1 / pair["ratio"])
    assert f"accuracy {100 * eager.result['accuracy']['val_selected']['overall']:.2f} -> " in page
    assert page.count("at least 500") == 1, "one line for all networks with the same reason"
    assert files_of(runtimes_page.page_of(dict(reversed(measured.items())), data="tiny", scale="quick")) == files


def told(record: Record, change: Callable[[dict], dict]) -> Record:
    """`record` with every latency entry changed."""
    latency = {batch: change(one) for batch, one in record.result["latency"].items()}
    return replace(record, result=record.result | {"latency": latency})


def test_energy_is_a_column_where_some_record_has_it_and_nowhere_else(measured) -> None:
    assert all("energy" in one for record in measured.values() for one in record.result["latency"].values())
    energy = {"joules_per_image": 0.0625, "counter": "rapl", "runs": 9, "seconds": 1.0}
    silent = {cell: told(record, lambda one: one | {"energy": None}) for cell, record in measured.items()}
    old = {
        cell: told(record, lambda one: {name: value for name, value in one.items() if name != "energy"})
        for cell, record in measured.items()
    }
    powered = {
        cell: told(record, lambda one: one | {"energy": energy}) if cell.runtime == "torch" else record
        for cell, record in silent.items()
    }
    files, bare = (files_of(runtimes_page.page_of(found, data="tiny", scale="quick")) for found in (powered, silent))
    assert files_of(runtimes_page.page_of(old, data="tiny", scale="quick")) == bare, "records of before look the same"
    page = files["runtimes.md"].decode()
    assert "Energy per image, batch 32, mJ" in page and "| 62.50 |" in page and "**Energy**: counter rapl" in page
    assert b"nergy" not in bare["runtimes.md"]
    lines, before = (list(csv.DictReader(io.StringIO(one["runtimes.csv"].decode()))) for one in (files, bare))
    assert [*lines[0]][-3:] == ["energy_mj_b1", "energy_mj_b32", "watermark"], "its columns come last"
    assert [{key: row[key] for key in before[0]} for row in lines] == before
    rows = [row for row in lines if not row["missing"]]
    assert {(row["runtime"], row["energy_mj_b1"], row["energy_mj_b32"]) for row in rows} == {
        ("torch", "62.5", "62.5"),
        ("onnxruntime", "", ""),
    }


def test_a_smaller_network_that_is_slower_is_flagged_with_an_advice(measured) -> None:
    slim = of(measured, "onnxruntime", "fp32")
    slow = {batch: told | {"p50_ms": 1e6} for batch, told in slim.result["latency"].items()}
    changed = measured | {slim.cell: replace(slim, result=slim.result | {"latency": slow})}
    (row,) = [row for row in deployments_of(changed.values()) if row.cell == slim.cell]
    assert any(said.startswith("slower than 0 % at batch 1") and "align=16" in said for said in row.remarks)
