"""`python -m compress.slim` as typed: a checkpoint in, a smaller one with its plan out."""

import importlib
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import compress
import fermodels
from compress import Plan
from compress.commands import slim as command
from compress.commands.slim import main
from fermodels.training.views import ViewConfig


@pytest.fixture
def checkpoint(tmp_path):
    torch.manual_seed(0)
    net = fermodels.build("vggnet", widths={"face": fermodels.scaled(0.25)}, size=56, pools=3)
    about = {"classes": fermodels.EXPRESSIONS, "preprocessing": ViewConfig(size=56), "data": "synthetic"}
    fermodels.save(net, tmp_path / "net", about | {"split": "test", "n": 9, "accuracy": {"overall": 0.5}, "stored": 64})
    return tmp_path / "net"


def typed(*words):
    command = [sys.executable, "-m", "compress.slim", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)


def test_a_slim_checkpoint_is_an_ordinary_one_and_claims_no_accuracy(checkpoint, tmp_path):
    data = ("--data", "synthetic:train=64,validation=8,test=8", "--runs", tmp_path / "runs")
    done = typed(checkpoint, "--ratio", 0.5, "--out", tmp_path / "slim", *data)
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr
    said = json.loads(done.stdout.splitlines()[-1])
    small, about = fermodels.load(tmp_path / "slim")
    plan = Plan.load(tmp_path / "slim" / "plan.json")
    assert said["achieved"] == plan.achieved == pytest.approx(0.5, abs=0.01) and said["calibrated"]
    assert sum(small.trunks["face"].widths) == said["channels_after"]
    assert about["accuracy"] is None and about["data"] == "synthetic" and about["stored"] == 64


def test_a_share_of_the_macs_is_a_target_like_a_ratio_and_excludes_it(checkpoint, tmp_path):
    done = typed(checkpoint, "--macs-share", 0.5, "--out", tmp_path / "slim")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout.splitlines()[-1])
    assert said["target"] == "macs" and said["requested"] == 0.5
    assert said["achieved"] == said["macs_after"] / said["macs_before"] <= 0.5
    both = typed(checkpoint, "--macs-share", 0.5, "--ratio", 0.5, "--out", tmp_path / "x")
    assert both.returncode == 2 and "not allowed with argument" in both.stderr


def test_mistakes_are_sentences(tmp_path, checkpoint):
    gone = typed(tmp_path / "nowhere", "--out", tmp_path / "x")
    assert gone.returncode == 2 and "is no checkpoint" in gone.stderr and "Traceback" not in gone.stderr
    much = typed(checkpoint, "--ratio", 1.5, "--out", tmp_path / "x")
    assert much.returncode == 2 and "1.5" in much.stderr and not (tmp_path / "x").exists()


def test_a_checkpoint_that_is_silent_about_its_faces_is_a_sentence(checkpoint, tmp_path):
    net, about = fermodels.load(checkpoint)
    fermodels.save(net, tmp_path / "old", about | {"stored": None})
    data = ("--data", "synthetic:train=8,validation=8,test=8", "--runs", tmp_path / "runs")
    silent = typed(tmp_path / "old", "--out", tmp_path / "x", *data)
    assert silent.returncode == 2 and "--stored" in silent.stderr
    fermodels.save(net, tmp_path / "other", about | {"preprocessing": {"size": 56}})
    strange = typed(tmp_path / "other", "--out", tmp_path / "x", *data)
    assert strange.returncode == 2 and "does not fit this version (colour, " in strange.stderr


MADE = """
from torch import nn


def factory():
    return nn.Sequential(nn.Conv2d(3, 24, 3), nn.BatchNorm2d(24), nn.ReLU(), nn.Conv2d(24, 8, 3), nn.Flatten())
"""


def test_a_network_of_the_users_own_code_is_slimmed_saved_and_slimmed_again(tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text(MADE)
    monkeypatch.syspath_prepend(tmp_path)
    how = ["--net", "mine:factory", "--input", "3,8,8", "--ratio", "0.5"]
    assert main([*how, "--out", str(tmp_path / "small")]) == 0
    assert main([str(tmp_path / "small"), *how, "--out", str(tmp_path / "smaller")]) == 0
    widths = [compress.load(tmp_path / name, importlib.import_module("mine").factory)[0].out_channels for name in SIZES]
    assert widths == [16, 8]
    assert Plan.load(tmp_path / "smaller" / "plan.json").widths_before == {"0": 16}


SIZES = ("small", "smaller")
TWO_HEADS = """
from torch import nn


class TwoHeads(nn.Module):
    def __init__(self):
        super().__init__()
        self.side, self.main = self.head(), self.head()

    def head(self):
        return nn.Sequential(nn.Conv2d(3, 24, 3), nn.BatchNorm2d(24), nn.ReLU(), nn.Conv2d(24, 8, 3))

    def forward(self, face):
        return {"side": self.side(face), "main": self.main(face)}


def main(answer):
    return answer["main"]


def absent(answer):
    return answer["logits"]


def count(answer):
    return len(answer)
"""


def test_output_says_which_tensor_of_a_network_counts(tmp_path, monkeypatch, capsys):
    (tmp_path / "heads.py").write_text(TWO_HEADS)
    monkeypatch.syspath_prepend(tmp_path)
    how = ["--net", "heads:TwoHeads", "--input", "3,8,8", "--ratio", "0.5", "--out"]
    for name, words in (("first", []), ("named", ["--output", "heads:main"])):
        assert main([*how, str(tmp_path / name), *words]) == 0
    cut = {name: list(Plan.load(tmp_path / name / "plan.json").widths_before) for name in ("first", "named")}
    assert cut == {"first": ["side.0"], "named": ["main.0"]}
    capsys.readouterr()
    for spec, sentence in (
        ("heads:absent", "a dict (KeyError('logits'))"),
        ("heads:count", "gives int, not one tensor"),
    ):
        assert main([*how, str(tmp_path / "none"), "--output", spec]) == 2
        assert sentence in capsys.readouterr().err and not (tmp_path / "none").exists()


def test_output_is_for_networks_of_the_users_own(checkpoint, tmp_path, capsys):
    assert main([str(checkpoint), "--output", "heads:main", "--out", str(tmp_path / "x")]) == 2
    assert "--output is for --net" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "give the folder of a checkpoint, or --net"),
        (["--net", "torch.nn:ReLU"], "--net needs --input"),
        (["--net", "torch.nn:ReLU", "--input", "3,x"], "--input 3,x"),
        (["--net", "nowhere.at_all:f", "--input", "3,8,8"], "cannot be imported"),
        (["--net", "torch.nn", "--input", "3,8,8"], "names no function"),
        (["--net", "torch.nn:ReLU", "--input", "3,8,8"], "nothing|no convolution|batch norm"),
    ],
)
def test_networks_that_cannot_be_built_are_sentences(words, sentence, tmp_path, capsys):
    assert main([*words, "--out", str(tmp_path / "out")]) == 2
    assert re.search(sentence, capsys.readouterr().err) and not (tmp_path / "out").exists()


def test_nothing_is_overwritten_unasked_and_all_is_told_before_work(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(command, "_checkpoint", lambda given: pytest.fail("work has begun"))
    full, file, source = tmp_path / "full", tmp_path / "file", tmp_path / "source"
    for folder in (full, source):
        folder.mkdir()
        (folder / "kept").write_text("")
    file.write_text("")
    for out, sentence in (
        (full, "--overwrite"),
        (source, "to be slimmed"),
        (file, "is a file"),
        (file / "x", "is no folder that can be written to"),
        (Path("/proc/nowhere"), "is no folder that can be written to"),
    ):
        assert main([str(source), "--out", str(out), *(["--overwrite"] if out == source else [])]) == 2
        assert sentence in capsys.readouterr().err


def test_overwrite_replaces_a_checkpoint(checkpoint, tmp_path):
    words = [str(checkpoint), "--ratio", "0.2", "--out", str(tmp_path / "slim")]
    assert [main(words), main(words), main([*words, "--overwrite"])] == [0, 2, 0]
