"""The model card says what the record holds, and the committed cards are what the committed records give."""

import json
from pathlib import Path

import numpy as np
import pytest

import fermodels
from bench import shipped
from fermodels.data.base import Dataset, Split

ROOT = Path(__file__).parents[2]


class Always:
    """A model that always says the same."""

    classes, side, crop, about = fermodels.EXPRESSIONS, 32, 1.0, {}

    def __call__(self, faces):
        from fermodels.predict.classifier import Answers

        answers = np.full((len(faces), 7), 0.05, np.float32)
        answers[:, 3] = 0.7
        return Answers(answers, None)


def a_set(name: str, classes: tuple[str, ...], channels: int) -> Dataset:
    def split() -> Split:
        images = np.full((4, 32, 32, channels), 90, np.uint8)
        return Split(images=images, labels=np.arange(4) % len(classes), names=list("abcd"))

    splits = {name: split() for name in ("train", "validation", "test")}
    return Dataset(spec=name, name=name, classes=classes, notes=(), licence="", **splits)


@pytest.fixture
def record(monkeypatch, tmp_path):
    folder = tmp_path / "small"
    folder.mkdir()
    claims = {
        "architecture": "vggnet",
        "classes": fermodels.EXPRESSIONS,
        "trained_on": {"faces": 5},
        "commit": "c" * 40,
    }
    costs = {"params_before": 9_000, "params_after": 1_234, "macs_before": 9_000_000, "macs_after": 1_000_000}
    (folder / "config.json").write_text(json.dumps(claims))
    (folder / "plan.json").write_text(json.dumps(costs))
    (folder / "fp32.onnx").write_bytes(b"x" * 10)
    monkeypatch.setitem(shipped.SHIPPED, "small", folder)
    monkeypatch.setattr(shipped, "open_model", lambda name: Always())
    monkeypatch.setattr(shipped, "RUNS", 3)
    monkeypatch.setattr(shipped, "SECONDS", 0.0)
    return shipped.measured(
        "small", a_set("fer2013", fermodels.EXPRESSIONS, 1), a_set("lfw", ("happiness", "neutral"), 3)
    )


def test_a_record_scores_both_sets_in_the_models_order(record):
    assert record["accuracy"]["overall"] == 0.25 and record["photographs"]["as they are"]["overall"] == 0.5
    assert set(record["photographs"]) == set(shipped.WORSE) and record["latency"]["runs"] >= 3


def test_the_card_tells_the_record(record):
    text = shipped.card(json.loads(json.dumps(record)))
    assert "1,234 parameters" in text and "**25.0%**" in text and "class mean **50.0%**" in text
    assert "| happiness | 100.0% | 100.0% |" in text and "| fear | 0.0% | - |" in text and "- faces: 5" in text


@pytest.mark.parametrize("path", sorted((ROOT / shipped.RECORDS).glob("*.json")), ids=lambda path: path.stem)
def test_committed_cards_are_what_their_records_give(path):
    assert (ROOT / shipped.CARDS / f"{path.stem}.md").read_text() == shipped.card(
        json.loads(path.read_text()), shipped.records_in(ROOT / shipped.RIVALS)
    )
