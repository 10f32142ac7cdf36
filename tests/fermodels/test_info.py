"""What `python -m fermodels.info` says of a checkpoint."""

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
