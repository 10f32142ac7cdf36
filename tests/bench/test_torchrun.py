"""`torchrun -m bench.report`: two processes make a stage, one writes; one killed ends both, the next goes on."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
import tiny_job
from shared_training import several

from bench import records, report
from bench.make.stages import Stage, predicted
from bench.measure.accuracy import from_digits

DATA = "synthetic:train=64,validation=16,test=24"
CUTS = """
import sys
from pathlib import Path
from tiny_job import job
from bench.make.cuts import slim_stage
from compress.training import processes
processes.join()
slim_stage(job(Path(sys.argv[1])), "slim", 0.6)
"""
TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "bench.report")


def words(root: Path) -> list[str]:
    asked = {"--table": "table1", "--models": "vggnet", "--data": DATA, "--scale": "quick", "--set": "dense.epochs=6"}
    asked |= {"--out": root / "out", "--runs": root / "runs"}
    return [str(word) for pair in asked.items() for word in pair]


def started(root: Path) -> subprocess.Popen:
    own = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, *TORCHRUN, *words(root)]
    return subprocess.Popen(command, env=own, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """What two processes made, after one of them was killed in a first call."""
    root = tmp_path_factory.mktemp("two")
    first = started(root)
    while not list(root.glob("runs/*/state.pt")):
        assert first.poll() is None, first.communicate()[1]
        time.sleep(0.002)
    workers = [child for child in psutil.Process(first.pid).children() if "bench.report" in child.cmdline()]
    assert len(workers) == 2
    os.kill(workers[-1].pid, signal.SIGKILL)
    began = time.monotonic()
    told = first.communicate(timeout=120)[1]
    assert first.returncode != 0 and time.monotonic() - began < 60
    assert not psutil.wait_procs(workers, timeout=10)[1]
    assert "bench.report: " in told and "goes on from them" in told
    again = started(root)
    out, told = again.communicate(timeout=280)
    assert '"table": "table1"' in out.splitlines()[-1] and out.count('"table": "table1"') == 1, told
    return root, told


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    root = tmp_path_factory.mktemp("one")
    report.main(words(root))
    return root


def test_two_processes_make_the_records_and_stages_of_one(two, one):
    (root, told), names = two, "records/**/*.json"
    files = [{path.relative_to(place / "out"): path for path in (place / "out").glob(names)} for place in (root, one)]
    assert files[0].keys() == files[1].keys() and len(files[0]) == 1
    for name, path in files[0].items():
        found, alone = records.load(path), records.load(files[1][name])
        assert found.config == alone.config, "the number of processes names no stage"
        assert len(found.result["accuracy"]["val_selected"]["predictions"]) == 24
    assert {path.name for path in root.glob("runs/*-*")} == {path.name for path in one.glob("runs/*-*")}
    assert not list(root.glob("runs/*/lock")) and not list(root.glob("runs/*/state.pt"))
    assert told.count("epoch 6/6") == 1 and "epoch 1/6" not in told, "one process speaks, and the second call goes on"


def test_a_stage_says_how_many_processes_trained_it_and_on_which_statistics(two):
    (outcome,) = two[0].glob("runs/vggnet-*/outcome.json")
    on = Stage(folder=outcome.parent, key="").outcome["history"]["trained_on"]
    assert (on["processes"], on["batch_norm"]) == (2, "local")


def test_a_cut_is_one_and_the_same_network_in_both_processes_and_its_predictions_are_gathered(tmp_path):
    ran = [process.communicate(timeout=250)[1] for process in several(2, tmp_path, script=CUTS)]
    job, kinds = tiny_job.job(tmp_path), set()
    for outcome in tmp_path.glob("*/outcome.json"):
        stage = Stage(folder=outcome.parent, key="")
        said = from_digits(stage.outcome["predictions"]["val_selected"])
        assert np.mean(said == predicted(stage.net(), job.views("test"))) > 0.95, stage.folder.name
        kinds.add(stage.outcome["described"]["stage"])
    assert kinds == {"dense", "sparse", "slim60"}, ran
    assert len(list(tmp_path.glob("*/plan.json"))) == 1
