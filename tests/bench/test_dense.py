"""Records of whole networks: made once, shared by their tables, timed together, honest about masks and occlusion."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_job import job

from bench import records
from bench.measure import together
from bench.measure.accuracy import from_digits
from bench.measure.calibration import from_thousandths
from bench.registry import TABLES
from bench.tables.networks import dense
from fermodels.faces.covered_split import covered_split
from fermodels.faces.regions import MAIN_POINTS, MEAN_MAIN_POINTS
from fermodels.nets.vgg import probabilities

MODELS = ("local", "mrf", "mrf-no-bn")
FOLDER = {"table": dense.RECORDS, "data": "tiny", "scale": "quick"}


def tiny_cells():
    return dense.cells("tiny", "quick", 1, MODELS)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    root = tmp_path_factory.mktemp("dense")
    jobs = {cell: job(root / "runs", cell.model) for cell in tiny_cells()}
    for cell, own in jobs.items():
        dense.measure(own, [cell], root / "records")
    assert all(not one.result["latency"] for one in records.load_all(root / "records", **FOLDER).values())
    dense.time_together(jobs, root / "records")
    return root, jobs, records.load_all(root / "records", **FOLDER)


def with_landmarks(split, confidence):
    points = np.full((len(split), 68, 2), 0.5, np.float32)
    return replace(split, landmarks=points, confidence=np.broadcast_to(confidence, (len(split), 68)))


def test_a_record_holds_what_the_tables_tell(made):
    _, _, found = made
    assert [cell.model for cell in found] == sorted(MODELS)
    for record in found.values():
        result = record.result
        truth, predictions = (
            from_digits(text) for text in (result["data"]["truth"], result["accuracy"]["val_selected"]["predictions"])
        )
        assert result["accuracy"]["val_selected"]["overall"] == pytest.approx((truth == predictions).mean())
        for state in ("as_trained", "scaled"):
            confidence = from_thousandths(result["calibration"][state]["confidence"])
            assert len(confidence) == len(truth) and confidence.min() >= 1 / 7 - 0.001
        assert result["occluder"]["accuracy"]["n"] == len(truth)
        assert result["mask"] == {"confidence": 0.5, "passing": None}


def test_the_share_of_a_map_on_the_mask_is_counted(made):
    _, jobs, found = made
    (cell,) = [one for one in jobs if one.model == "mrf"]
    told, net = found[cell].result["attention"], dense.dense_stage(jobs[cell]).net().eval()
    (batch,) = jobs[cell].views("test").evaluation(100)
    with torch.no_grad():
        maps = net(*batch.views).attention
    side = batch.views[0].shape[-1]
    laid = torch.nn.functional.interpolate(maps, (side, side), mode="bilinear", align_corners=False)
    cells = torch.nn.functional.interpolate(batch.mask, (side, side)) > 0.5
    shares = (laid * cells).sum((1, 2, 3)) / laid.sum((1, 2, 3))
    assert told["all"] == pytest.approx(100 * float(shares.mean()), rel=1e-4)
    assert told["mask"] == pytest.approx(100 * float(cells.float().mean())) and 0 < told["mask"] < 100
    assert all(one.result["attention"] is None for cell, one in found.items() if "mrf" not in cell.model)


def test_mean_maps_are_those_of_right_and_of_wrong_answers(made):
    _, jobs, found = made
    (cell,) = [one for one in jobs if one.model == "mrf"]
    told, net = found[cell].result["attention_maps"], dense.dense_stage(jobs[cell]).net().eval()
    (batch,) = jobs[cell].views("test").evaluation(100)
    with torch.no_grad():
        output = net(*batch.views)
        fresh = jobs[cell].fresh().eval()(*batch.views).attention
    right = probabilities(output).argmax(1) == batch.labels
    groups = {"right": output.attention[right], "wrong": output.attention[~right], "before": fresh}
    for name, maps in groups.items():
        assert np.allclose(told[name], maps.mean((0, 1)).numpy(), atol=2e-4), name
    assert np.allclose(told["points"], (np.array(MEAN_MAIN_POINTS) * 18 - 1) / 16, atol=1e-3)  # cropped from 18 to 16
    assert all(one.result["attention_maps"] is None for cell, one in found.items() if "mrf" not in cell.model)


def test_all_networks_are_timed_in_one_measurement_against_mrf(made, tmp_path, monkeypatch):
    _, jobs, found = made
    for cell, record in found.items():
        told = record.result["latency"]["1"]
        assert list(told["ratios"]) == ([] if cell.model == "mrf" else ["mrf"])
        assert told["n"] == len(told["samples_ms"]) >= 3
    asked, timed = [], together.latency_of

    def noted(nets, *given, **named):
        asked.append((nets, given))
        return timed(nets, *given, **named)

    monkeypatch.setattr(together, "latency_of", noted)
    for record in found.values():
        records.save(replace(record, result=record.result | {"latency": {}}), tmp_path)
    dense.time_together(jobs, tmp_path)
    ((nets, given),) = asked
    assert set(nets) == {cell.id for cell in found} and given == (1, "mrf-dense-00-s0")


def test_networks_timed_without_mrf_are_timed_again_beside_it(made, tmp_path):
    _, jobs, found = made
    alone = {cell: one for cell, one in jobs.items() if cell.model != "mrf"}
    for record in found.values():
        records.save(replace(record, result=record.result | {"latency": {}}), tmp_path)
    dense.time_together(alone, tmp_path)
    local = next(cell for cell in found if cell.model == "local")
    assert records.load(tmp_path / local.path).result["latency"]["1"]["ratios"] == {}
    dense.time_together(jobs, tmp_path)
    assert list(records.load(tmp_path / local.path).result["latency"]["1"]["ratios"]) == ["mrf"]


def test_a_second_call_measures_nothing(made, monkeypatch):
    root, jobs, _ = made
    before = {path: path.read_bytes() for path in (root / "records").rglob("*.json")}
    monkeypatch.setattr(together, "latency_of", lambda *given, **named: pytest.fail("timed again"))
    for cell, own in jobs.items():
        dense.measure(own, [cell], root / "records")
    dense.time_together(jobs, root / "records")
    assert {path: path.read_bytes() for path in (root / "records").rglob("*.json")} == before != {}


def test_the_tables_ask_for_the_same_cells():
    ours = {name: TABLES[name].cells("synthetic", "cpu", 2) for name in ("table1", "table2", "table3", "table4")}
    assert set(ours["table2"]) == set(ours["table3"]) < set(ours["table4"])
    assert {cell.table for cells in ours.values() for cell in cells} == {dense.RECORDS}
    assert [cell.seed for cell in ours["table1"]] == [0] * 3 + [1] * 3


def test_the_occluded_score_is_of_the_centre_crop_behind_the_cover(made):
    _, jobs, found = made
    (cell,) = [one for one in jobs if one.model == "mrf"]
    own, told = jobs[cell], found[cell].result["occluder"]
    behind = covered_split(own.data.test, dense.OCCLUDER, size=16)
    assert behind.share == pytest.approx(told["share"], abs=1 / 16) and told["name"] == dense.OCCLUDER.name
    (batch,) = own.views_of(behind.split).evaluation(100)
    with torch.no_grad():
        answers = probabilities(dense.dense_stage(own).net().eval()(*batch.views)).argmax(1)
    assert from_digits(told["accuracy"]["predictions"]).tolist() == answers.tolist()


def test_landmarks_that_pass_are_counted_over_the_main_points(tmp_path):
    data = job(tmp_path).data
    sure = np.linspace(0, 1, 68, dtype=np.float32)
    estimated = replace(data, train=with_landmarks(data.train, sure))
    by_hand = {str(t): sum(sure[i] >= t for i in MAIN_POINTS) / 31 for t in (0.0, 0.25, 0.4, 0.5, 0.6, 0.75)}
    assert dense.passing(estimated) == pytest.approx(by_hand)
    wanted = dense.cells("tiny", "quick", 1, tuple(dense.THRESHOLDS))
    for nothing in (data, replace(data, train=with_landmarks(data.train, np.ones(68, np.float32)))):
        assert dense.passing(nothing) is None
        assert [cell.model for cell in dense.needed(nothing, wanted)] == ["mrf"]
