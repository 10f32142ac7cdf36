"""What `python -m fermodels.info` says of a checkpoint."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tiny_nets import ABOUT, tiny_checkpoint, tiny_net

import fermodels
from fermodels.info import main

CLASSES = fermodels.EXPRESSIONS
ACCURACY = {
    "overall": 0.625,
    "interval": [0.51, 0.734],
    "class_mean": 0.6,
    "recall": dict.fromkeys(CLASSES, 0.5) | {"fear": None, "anger": 0.25},
    "confusion": [[row + column for column in range(7)] for row in range(7)],
}


def said(folder: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    assert main([str(folder)]) == 0
    lines = capsys.readouterr().out.splitlines()
    return {line[: line.find("  ", 2)].strip(): line[line.find("  ", 2) :].strip() for line in lines if "  " in line}


def test_all_claims_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    about = ABOUT | {"data": "fer2013", "n": 3589, "accuracy": ACCURACY, "regions": "fixed"}
    fermodels.save(tiny_net("mrf"), tmp_path, about)
    told = said(tmp_path, capsys)
    assert told["classes"] == ", ".join(CLASSES) and told["architecture"] == "mrf"
    assert (told["data set"], told["split"], told["n"]) == ("fer2013", "test", "3,589")
    assert told["accuracy"] == "62.50% (95 % interval 51.00% to 73.40%)" and told["class mean"] == "60.00%"
    assert told["preprocessing"].startswith("aligned face of 64 px, centre crop of 56 px (eyes and mouth 28 px), RGB")
    assert told["anger"] == "25.00% of 21"  # 0 + 1 + ... + 6
    assert told["neutral"] == "50.00% of 63" and told["fear"] == "not said"


def test_what_is_unknown_is_said_to_be(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    fermodels.save(tiny_net("mrf"), tmp_path, dict.fromkeys(fermodels.checkpoint.CLAIMS))
    told = said(tmp_path, capsys)
    assert told["accuracy"] == "not measured"
    assert {told[name] for name in ("classes", "preprocessing", "data set", "split", "n")} == {"not said"}


def test_what_is_no_checkpoint_is_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    for path in (tmp_path, tmp_path / "nowhere", tiny_checkpoint("mrf", tmp_path / "net") / "config.json"):
        assert main([str(path)]) == 2
        assert "is no checkpoint: it has no config.json" in capsys.readouterr().err


@pytest.mark.parametrize(
    "edit",
    [
        {"classes": 7},
        {"classes": [1, 2]},
        {"accuracy": "high"},
        {"accuracy": {"overall": 0.5}},
        {"accuracy": {"overall": "x", "interval": [0, 1]}},
        {"accuracy": {"overall": 0.5, "interval": 3}},
        {"n": "many"},
        {"preprocessing": [1]},
        {"preprocessing": {"size": 3}},
        {"architecture": None},
        {"config": []},
    ],
)
def test_an_edited_config_is_a_sentence(edit: dict, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    tiny_checkpoint("mrf", tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | edit))
    assert main([str(tmp_path)]) == 2
    assert "was edited or damaged: its digest is another" in capsys.readouterr().err
    config.pop("digest")  # as earlier versions have written it
    (tmp_path / "config.json").write_text(json.dumps(config | {"format": 1} | edit))
    assert main([str(tmp_path)]) == 2
    assert "damaged (" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["", "[", "[]", "{}", "[" * 100_000, "null", '{"format": 1}', "\0", "\udcff"])
def test_what_is_no_config_is_a_sentence(text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "config.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    assert main([str(tmp_path)]) == main(["a" * 300]) == main([str(tmp_path / "config.json")]) == 2
    assert "damaged" in capsys.readouterr().err


def test_names_of_classes_cannot_steer_a_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    fermodels.save(tiny_net("mrf"), tmp_path, ABOUT | {"data": "\x1b[31mred"})
    assert "\\x1b[31mred" in said(tmp_path, capsys)["data set"]


def test_a_network_that_ships_is_told_by_its_name_without_pytorch_and_through_head():
    code = "import sys; from fermodels.info import main; assert main(['demo']) == 0; assert 'torch' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "trained on drawn faces only" in done.stdout
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-m", "fermodels.info", "demo"], stdout=write, stderr=subprocess.PIPE, check=False
    )
    os.close(write)
    assert (done.returncode, done.stderr) == (0, b"")
