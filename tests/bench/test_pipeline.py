"""From a job to its records: whole, cached, resumable after kill -9, and honest about where each number came from."""

import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_job import cells, job

import fermodels
from bench import records
from bench.make import cuts, pipeline, recipes
from bench.make.scale import changed
from bench.make.stages import Recipe, Stage, stage_by_key, stage_of
from bench.measure.accuracy import from_digits
from bench.pages.files import files as files_of
from bench.registry import page_of
from compress.slimming.plan import Plan
from fermodels import checkpoint

SCRIPT = Path(__file__).parent / "tiny_job.py"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    root = tmp_path_factory.mktemp("made")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as in the killed runs: another number of threads sums in another order
    pipeline.measure(job(root / "runs"), cells(), root / "records")
    torch.set_num_threads(threads)
    return root


def results(root: Path) -> dict[str, dict]:
    found = records.load_all(root / "records", table="table5", data="tiny", scale="quick")
    return {cell.id: record.result for cell, record in found.items()}


def test_every_cell_has_a_record_whose_numbers_follow_from_its_predictions(made):
    found = results(made)
    assert set(found) == {cell.id for cell in cells()}
    for result in found.values():
        truth = from_digits(result["data"]["truth"])
        score = result["accuracy"]["val_selected"]
        right = from_digits(score["predictions"]) == truth
        assert score["overall"] == pytest.approx(right.mean())
        assert result["accuracy"]["leak_free"]["n"] == 37
        assert result["accuracy"]["leak_free"]["correct"] == right[3:].sum()


def test_slim_networks_are_really_smaller_and_say_what_was_cut(made):
    found = results(made)
    dense, forty, sixty = (found[f"mrf-{name}-s0"] for name in ("dense-00", "slim-40", "slim-60"))
    assert dense["plan"] is None and dense["after_cut"] is None
    assert dense["cost"]["params"] > forty["cost"]["params"] > sixty["cost"]["params"]
    for result in (forty, sixty):
        assert result["plan"]["params_after"] == result["cost"]["params"]
        assert result["plan"]["macs_after"] == result["cost"]["macs"]
        assert set(result["after_cut"]) == {"cut", "absorbed", "recalibrated"}
        assert result["plan"]["macs_before"] == dense["cost"]["macs"]
    assert found["mrf-random-40-s0"]["plan"]["criterion"] == "random"
    assert found["mrf-random-40-s0"]["plan"]["channels_after"] == forty["plan"]["channels_after"]


def test_latency_is_measured_for_the_dense_and_every_slim_network(made):
    for name, result in results(made).items():
        assert set(result["latency"]) == ({"1", "32"} if "dense" in name or "slim" in name else set())
        for latency in result["latency"].values():
            assert len(latency["samples_ms"]) == latency["n"] >= 3


def test_the_record_carries_configuration_environment_and_commit(made):
    for record in records.load_all(made / "records", table="table5", data="tiny", scale="quick").values():
        assert record.config["stage"]["train"]["epochs"] in (1, 2, 3)
        assert record.config["evaluation"]["crop"] == "single centre crop"
        assert torch.__version__ in str(record.environment)
        assert record.commit and isinstance(record.dirty, bool)
        assert str(Path.home()) not in records.dumps(record)


def test_the_checkpoint_of_a_slim_cell_is_an_ordinary_network(made):
    stage = cuts.slim_stage(job(made / "runs"), "slim", 0.6)
    net, config = checkpoint.load(stage.folder / "chosen")
    plan = Plan.load(stage.folder / "plan.json")
    widths = [width for trunk in net.trunks.values() for width in trunk.widths]
    assert sorted(widths) == sorted(plan.widths_after.values())
    assert config["n"] == 40 and config["accuracy"]["interval"][0] <= config["accuracy"]["overall"]
    assert fermodels.name_of(net) == "mrf"


def test_a_second_call_computes_nothing(made, monkeypatch):
    def forbidden(*args, **kwargs):
        raise AssertionError("something was computed again")

    monkeypatch.setattr("bench.make.stages.fit", forbidden)
    monkeypatch.setattr("bench.make.pipeline.latency_of", forbidden)
    before = results(made)
    pipeline.measure(job(made / "runs"), cells(), made / "records")
    assert results(made) == before


def test_another_configuration_is_another_stage(made):
    other = job(made / "runs")
    dense = replace(other.scale.schedules.dense, lr=0.01)
    slower = replace(other, scale=changed(other.scale, dense=dense))
    seeded = replace(other, seed=1)
    folders = {
        stage_of(each, Recipe(name="dense", train=each.scale.schedules.dense, settings={})).folder
        for each in (other, slower, seeded)
    }
    assert len(folders) == 3


def test_killed_at_any_moment_the_next_call_ends_with_the_same_numbers(made, tmp_path):
    command = [sys.executable, str(SCRIPT), str(tmp_path / "runs"), str(tmp_path / "records")]
    kills = 0
    for _ in range(2):
        seen = set(_states(tmp_path))
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL, env=os.environ | {"OMP_NUM_THREADS": "1"})
        while process.poll() is None and not set(_states(tmp_path)) - seen:
            time.sleep(0.01)
        if process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)
            kills += 1
        process.wait()
    assert kills >= 1
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL, env=os.environ | {"OMP_NUM_THREADS": "1"})
    again = results(tmp_path)
    for name, result in results(made).items():
        assert again[name]["accuracy"] == result["accuracy"], name
        assert again[name]["cost"] == result["cost"] and again[name]["plan"] == result["plan"]


DENSE = """
import sys
from pathlib import Path
from tiny_job import job
from bench.make.recipes import dense_stage
dense_stage(job(Path(sys.argv[1])))
"""


def test_two_runs_in_one_cache_train_no_epoch_twice_and_one_goes_on_when_the_other_is_killed(made, tmp_path):
    def started() -> subprocess.Popen:
        own = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
        return subprocess.Popen(
            [sys.executable, "-c", DENSE, str(tmp_path)], stderr=subprocess.PIPE, text=True, env=own
        )

    first = started()
    while not list(tmp_path.glob("*/state.pt")):
        assert first.poll() is None, "it ended without a state"
        time.sleep(0.001)
    first.send_signal(signal.SIGSTOP)
    second = started()
    waits = second.stderr.readline()
    assert f"process {first.pid} on " in waits and "waiting" in waits
    first.kill()
    told, then = first.communicate()[1], second.communicate()[1]
    assert second.returncode == 0, then
    assert not set(_epochs(told)) & set(_epochs(then)), "an epoch was trained twice"
    assert "mrf dense: epoch 1/3" not in _epochs(then) and "mrf dense: epoch 3/3" in _epochs(then)
    (stage,), expected = tmp_path.iterdir(), stage_by_key(made / "runs", "mrf", "dense", results_key(made))
    assert Stage(folder=stage, key="").outcome["predictions"] == expected.outcome["predictions"]
    assert {path.name for path in stage.iterdir()} == {"chosen", "outcome.json"}


def results_key(root: Path) -> str:
    return records.load(root / "records" / cells()[0].path).config["key"]


def _epochs(told: str) -> list[str]:
    """ "mrf dense: epoch 1/3" and the like, of what a run says on standard error."""
    return re.findall(r"^(.*: epoch \d+/\d+) \d+ s", told, re.MULTILINE)


def _states(root: Path) -> list[tuple[str, int]]:
    """Every state file and every version of it: one more each time an epoch ends."""
    return [(str(path), path.stat().st_mtime_ns) for path in root.glob("runs/*/state.pt")]


def test_records_render(made):
    found = records.load_all(made / "records", table="table5", data="tiny", scale="quick")
    files = files_of(page_of("table5", found, data="tiny", scale="quick"))
    assert {"table5.md", "table5.csv", "table5.tex", "table5.html"} <= set(files)
    assert b"QUICK RUN" in files["table5.md"]
    assert files == files_of(page_of("table5", dict(reversed(found.items())), data="tiny", scale="quick"))


def test_calibration_takes_training_faces_only(made):
    batches = cuts.calibration(job(made / "runs"))
    train = job(made / "runs").data.train.images[:, 1:17, 1:17, 0] / 255
    faces = np.concatenate([views[0][:, 0].numpy() * 0.25 + 0.5 for views in batches])
    assert len(faces) == 64 and np.allclose(faces, train, atol=1e-6)


def test_five_crops_average_centre_and_corners(made):
    from bench.make import stages
    from bench.measure import accuracy

    one = job(made / "runs")
    net, views = recipes.dense_stage(one).net(), one.views("test")
    single = [
        accuracy.predict(net, (batch.views for batch in views.evaluation(64, crop=crop)))
        for crop in ((0.5, 0.5), (0, 0), (1, 0), (0, 1), (1, 1))
    ]
    assert np.array_equal(stages.predicted(net, views, "five"), (sum(single) / 5).argmax(1))
    assert np.array_equal(stages.predicted(net, views), single[0].argmax(1))
    assert stage_of(replace(one, crops="five"), _dense(one)).folder != stage_of(one, _dense(one)).folder


def _dense(one) -> Recipe:
    return Recipe(name="dense", train=one.scale.schedules.dense, settings={})
