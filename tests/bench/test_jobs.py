"""Training side by side: the same stages as one after the other, errors as they are, no orphans."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from bench.make import jobs, pipeline, scales, stages
from bench.make.scale import changed
from bench.records import Cell
from bench.registry import TABLES

SMALL = "synthetic:train=64,validation=16,test=24"


def cells() -> list[Cell]:
    made = [("mrf", "dense", 0.0), ("vggnet", "dense", 0.0), ("vggnet", "sparse", 0.0), ("vggnet", "slim", 0.6)]
    common = {"table": "table5", "data": "synthetic", "scale": "quick", "seed": 0}
    return [Cell(model=model, variant=variant, ratio=ratio, **common) for model, variant, ratio in made]


def test_two_processes_make_the_stages_that_one_would_look_for(tmp_path, monkeypatch):
    source = jobs.Source(data=SMALL, scale="quick", runs=tmp_path)
    jobs.train_side_by_side(source, cells(), workers=2)
    monkeypatch.setattr(stages, "fit", lambda *a, **k: pytest.fail("it trained again"))
    for cell in cells():
        stage = pipeline.stage_behind(source.job(cell.model, cell.seed), cell)
        assert stage.outcome["history"]["trained_on"]["threads"] >= 1
        assert len(stage.outcome["predictions"]["val_selected"]) == 24
    assert not list(tmp_path.glob("*/state.pt"))


def test_tables_of_many_networks_train_by_the_ablation_schedule_where_the_scale_has_one(tmp_path):
    scale = changed(scales.CPU, name="quick", limit=8, ablation=replace(scales.CPU.schedules.dense, epochs=2))
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(scales.SCALES, "quick", scale)
        source = jobs.Source(data=SMALL, scale="quick", runs=tmp_path)
        assert source.job("mrf", 0).scale.schedules.dense == scales.CPU.schedules.dense
        short = replace(source, ablation=True)
        assert short.job("mrf", 0).scale.schedules.dense.epochs == 2
        # paper 2's networks have their own
        assert short.job("resnet18", 0).scale.schedules.dense == scales.CPU.schedules.start
        patch.setitem(scales.SCALES, "quick", changed(scale, ablation=None))
        assert short.job("mrf", 0).scale.schedules.dense == scales.CPU.schedules.dense
    assert [name for name, kind in TABLES.items() if kind.ablation] == ["table1", "table2", "table3", "table4", "fig6"]


def test_what_a_process_raises_is_raised_here(tmp_path):
    source = jobs.Source(data="synthetic:faces=3", scale="quick", runs=tmp_path)
    with pytest.raises(ValueError, match="faces"):
        jobs.train_side_by_side(source, cells(), workers=2)


def test_cuts_wait_for_their_own_network_only():
    groups = jobs._by_network(cells())
    assert [[cell.variant for cell in group] for group in groups] == [["dense"], ["dense", "sparse", "slim"]]


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL on this system")
@pytest.mark.parametrize("table", TABLES)
def test_the_cells_of_every_table_can_be_made_side_by_side(table: str):
    wanted = TABLES[table].cells("synthetic", "cpu", 2)
    first = jobs.steps(wanted)
    assert sorted(each for step in first for each in made_by(step)) == sorted(wanted)


def made_by(step: jobs.Step) -> list[Cell]:
    return [*step.cells, *(cell for then in step.then for cell in made_by(then))]


def test_a_killed_parent_leaves_no_process_behind(tmp_path):
    words = ["--scale", "quick", "--jobs", "2", "--data", SMALL, "--out", tmp_path / "out", "--runs", tmp_path / "runs"]
    command = [sys.executable, "-m", "bench.report", *map(str, words)]
    parent = subprocess.Popen(command, cwd=Path(jobs.__file__).parents[2], stderr=subprocess.DEVNULL)
    watched = psutil.Process(parent.pid)
    while len(trainers := [p for p in watched.children(recursive=True) if "spawn_main" in " ".join(p.cmdline())]) < 2:
        assert parent.poll() is None, "it ended before it had started its processes"
        time.sleep(0.1)
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    assert psutil.wait_procs(trainers, timeout=120)[1] == []
