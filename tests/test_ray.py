"""One local Ray of two CPUs: its tasks give what the local commands give, also when a worker is killed."""

import gc
import importlib
import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
from PIL import Image

from bench.make import jobs
from bench.make.scales import with_settings
from bench.make.stages import Stage
from bench.records import Cell
from compress.cluster import cluster
from fermodels.predict import shipped
from fermodels.predict.__main__ import main as predict

pytest.importorskip("ray", reason="needs Ray: pip install -e '.[ray]'")
pytestmark = [
    pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::ResourceWarning"),
    pytest.mark.timeout(600),  # on a busy machine Ray starts at the second or third try
]
ONNX = Path(shipped.__file__).parents[1] / "shipped/small/fp32.onnx"
SMALL = "synthetic:train=64,validation=16,test=24"


@pytest.fixture(scope="module", autouse=True)
def ray():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        with cluster(None, 2) as ray:
            yield ray
    gc.collect()  # here its processes' warnings are ignored


def killed_when(begun, name: str) -> int:
    """Kills a worker that runs the task `name` once `begun()`; gives its process. Between two tasks there is none."""
    while not begun():
        time.sleep(0.002)
    end = time.monotonic() + 60
    while time.monotonic() < end:
        for one in psutil.process_iter(["cmdline"]):
            with suppress(ProcessLookupError):  # it ended meanwhile
                if f"ray::{name}" in (one.info["cmdline"] or []):
                    os.kill(one.pid, signal.SIGKILL)
                    return one.pid
    raise TimeoutError(f"no worker runs {name}")


def outcomes(runs: Path) -> dict[str, dict]:
    return {path.parent.name: Stage(folder=path.parent, key="").outcome for path in runs.glob("*/outcome.json")}


def cells(scale: str) -> list[Cell]:
    made = [("mrf", "dense", 0.0), ("vggnet", "dense", 0.0), ("vggnet", "slim", 0.6)]
    common = {"table": "table5", "data": "synthetic", "scale": scale, "seed": 0}
    return [Cell(model=model, variant=variant, ratio=ratio, **common) for model, variant, ratio in made]


def test_a_lost_workers_step_goes_on_and_the_stages_are_those_of_one_process(tmp_path, monkeypatch, ray):
    scale = with_settings("quick", ["dense.epochs=6"])
    source = jobs.Source(data=SMALL, scale=scale, runs=tmp_path / "ray")
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)  # as many as a task has
    with ThreadPoolExecutor(1) as pool:
        lost = pool.submit(killed_when, lambda: list(tmp_path.glob("ray/*dense*/state.pt")), "_make_on_ray")
        jobs.train_on_ray(source, cells(scale), 1, None)
        assert lost.result() != os.getpid()
    alone = jobs.Source(data=SMALL, scale=scale, runs=tmp_path / "local")
    jobs.make_stages(alone, list(reversed(cells(scale))))
    found, expected = outcomes(tmp_path / "ray"), outcomes(tmp_path / "local")
    assert found.keys() == expected.keys() and len(found) == 4
    for name, outcome in found.items():
        assert outcome["predictions"] == expected[name]["predictions"], name
    assert not list(tmp_path.glob("ray/*/lock")) and not list(tmp_path.glob("ray/*/state.pt"))


def test_what_a_step_raises_is_raised_here(tmp_path):
    source = jobs.Source(data="synthetic:faces=3", scale="quick", runs=tmp_path)
    with pytest.raises(ValueError, match="faces"):
        jobs.train_on_ray(source, cells("quick"), 1, None)


def test_nothing_is_told_and_no_page_is_served(ray):
    usage = importlib.import_module("ray._common.usage.usage_lib")
    assert os.environ["RAY_USAGE_STATS_ENABLED"] == "0" and not usage.usage_stats_enabled()
    assert not ray._private.worker.get_dashboard_url()


TIMES = ("latency", "seconds", "images_per_s", "created")


def without_times(told):
    if isinstance(told, dict):
        return {name: without_times(value) for name, value in told.items() if name not in TIMES}
    return [without_times(one) for one in told] if isinstance(told, list) else told


def test_the_command_makes_the_records_that_it_makes_alone(tmp_path):
    asked = ["--table", "table1", "--models", "vggnet", "mrf", "--data", SMALL, "--scale", "quick"]
    own = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    found = {}
    for name, more in (("ray", ["--executor", "ray", "--jobs", "2"]), ("local", ["--executor", "local"])):
        folders = ["--out", str(tmp_path / name), "--runs", str(tmp_path / f"{name}-runs")]
        command = [sys.executable, "-m", "bench.report", *asked, *more, *folders]
        ended = subprocess.run(command, env=own, capture_output=True, text=True, timeout=500, check=False)
        assert '"table": "table1"' in ended.stdout.splitlines()[-1], ended.stderr
        records = sorted((tmp_path / name / "records").rglob("*.json"))
        found[name] = {path.name: without_times(json.loads(path.read_text())) for path in records}
    assert len(found["ray"]) == 2 and found["ray"] == found["local"]
    assert all(one["result"]["accuracy"]["val_selected"]["predictions"] for one in found["ray"].values())


@pytest.fixture(scope="module")
def pictures(tmp_path_factory) -> Path:
    """2,000 small pictures, one of which is none."""
    folder, random = tmp_path_factory.mktemp("pictures"), np.random.default_rng(0)
    for number in range(2000):
        pixels = random.integers(0, 256, (24, 24, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((64, 64)).save(folder / f"{number:04}.png", compress_level=0)
    (folder / "0700.png").write_bytes(b"no picture")
    return folder


@pytest.fixture(scope="module")
def local(pictures, tmp_path_factory) -> list[str]:
    out = tmp_path_factory.mktemp("local") / "rows.jsonl"
    assert predict([str(pictures), "--cropped", "--model", str(ONNX), "--out", str(out)]) == 0
    return out.read_text().splitlines()


def test_two_thousand_pictures_have_the_rows_of_the_local_command_when_a_worker_is_killed(pictures, local, tmp_path):
    out = tmp_path / "rows.jsonl"
    with ThreadPoolExecutor(1) as pool:
        lost = pool.submit(killed_when, lambda: out.exists() and out.stat().st_size > 2000, "_rows_of")
        asked = [str(pictures), "--cropped", "--model", str(ONNX), "--out", str(out), "--executor", "ray"]
        assert predict(asked) == 0
        assert lost.result() != os.getpid()
    assert len(local) == 2000 and "unreadable" in local[700]
    assert out.read_text().splitlines() == local


@pytest.mark.parametrize(("suffix", "more"), [("jsonl", ["--executor", "ray", "--any-order"]), ("csv", [])])
def test_a_second_call_makes_only_what_is_missing(pictures, local, tmp_path, capsys, suffix, more):
    whole, out = tmp_path / f"whole.{suffix}", tmp_path / f"rows.{suffix}"
    asked = [str(pictures), "--cropped", "--model", str(ONNX)]
    assert predict([*asked, "--out", str(whole)]) == 0
    lines = whole.read_text().splitlines(keepends=True)
    torn = "".join(lines[:1900])[:-20]  # the last row is torn, the one before is of a file that may have had more
    out.write_text(torn)
    capsys.readouterr()
    assert predict([*asked, "--out", str(out), *more]) == 0
    told = json.loads(capsys.readouterr().out)
    again = out.read_text().splitlines(keepends=True)
    assert sorted(again) == sorted(lines)
    assert again == lines or "--any-order" in more
    assert told["faces"] + told["unreadable"] == len(lines) - 1898


def test_a_file_of_other_columns_is_a_sentence(pictures, tmp_path, capsys):
    (tmp_path / "rows.csv").write_text("a,b\n1,2\n")
    given = [str(pictures), "--cropped", "--model", str(ONNX), "--out"]
    assert predict([*given, str(tmp_path / "rows.csv")]) == 2
    assert predict([*given, str(tmp_path / "rows.txt")]) == 2
    told = capsys.readouterr().err
    assert "other columns" in told and ".csv or .jsonl" in told
