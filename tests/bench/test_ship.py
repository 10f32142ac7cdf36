"""The network that ships: its targets, its training faces, and that it sees colour as grey."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from tiny_job import job
from tiny_nets import ABOUT, small

import fermodels
from bench import ship
from bench.make import shipping
from compress import slim
from compress.slimming.plan import Plan
from fermodels.data.base import Dataset, Split


def a_split(images: np.ndarray, labels: list[int], **more) -> Split:
    return Split(images=images, labels=np.array(labels), names=[f"row {i}" for i in range(len(labels))], **more)


def a_set(name: str, classes: tuple[str, ...], seed: int, channels: int, **train) -> Dataset:
    random = np.random.default_rng(seed)
    splits = {
        split: a_split(random.integers(0, 256, (4, 32, 32, channels), dtype=np.uint8), [0, 1, 1, 0], **more)
        for split, more in (("train", train), ("validation", {}), ("test", {}))
    }
    return Dataset(spec=name, name=name, classes=classes, notes=(), licence="", **splits)


def test_targets_are_half_label_half_votes_in_the_order_of_the_classes():
    votes = np.zeros((3, 10), int)
    votes[0, [0, 1]] = 2, 6  # neutral, happiness
    votes[1, 7] = 10  # contempt alone: no vote for any of the seven
    votes[2, 4] = 10  # anger
    happiness, anger, neutral = (fermodels.EXPRESSIONS.index(n) for n in ("happiness", "anger", "neutral"))
    targets = ship.soft_targets(np.array([happiness, anger, anger]), votes, fermodels.EXPRESSIONS)
    assert targets[0, happiness] == pytest.approx(0.5 + 0.5 * 0.75) and targets[0, neutral] == pytest.approx(0.125)
    assert targets[1, anger] == targets[2, anger] == 1
    assert targets.sum(1) == pytest.approx(1)


def test_copies_of_held_out_faces_and_what_is_no_face_are_left_out_and_counted():
    data = a_set("fer2013", fermodels.EXPRESSIONS, 0, 1, not_face=np.array([False, True, False, False]))
    photographs = a_set("prepared", ("happiness", "neutral"), 1, 3)
    data.train.images[2] = np.rint(photographs.test.images[3] @ np.array((0.299, 0.587, 0.114)))[..., None]
    faces = ship.training_faces(data, None, photographs)
    assert faces.told["fer2013: copies of held-out faces left out"] == 1
    assert faces.told["fer2013: no face by its voters, left out"] == 1
    assert faces.told["fer2013: training faces"] == 2 and faces.told["prepared: training faces"] == 4
    assert faces.split.images.shape == (6, 32, 32, 1) and faces.targets.shape == (6, 7)
    assert {fermodels.EXPRESSIONS[i] for i in faces.split.labels[2:]} == {"happiness", "neutral"}


def test_a_network_locked_to_grey_sees_colour_as_luminance_and_grey_as_before():
    torch.manual_seed(0)
    net = fermodels.build("vggnet", size=28, pools=2, widths={"face": fermodels.scaled(0.125)}).eval()
    colour = torch.rand(2, 3, 28, 28)
    weights = torch.tensor((0.299, 0.587, 0.114)).view(1, 3, 1, 1)
    luminance = (colour * weights).sum(1, keepdim=True).expand(-1, 3, -1, -1)
    before = net(luminance).logits
    shipping.locked_to_grey(net)
    assert torch.allclose(net(luminance).logits, before, atol=1e-5)
    assert torch.allclose(net(colour).logits, before, atol=1e-5)


def test_a_quarter_of_the_faces_is_seen_badly_and_the_others_as_they_are():
    faces = torch.rand(32, 1, 28, 28, generator=torch.Generator().manual_seed(0)).expand(-1, 3, -1, -1)
    before = faces.clone()
    seen = shipping.seen_badly(faces, torch.Generator().manual_seed(1))
    assert torch.equal(seen[8:], before[8:]) and torch.equal(faces, before)
    assert (seen[:8].std((1, 2, 3)) < 0.6 * before[:8].std((1, 2, 3))).all()
    assert torch.allclose(seen.mean((1, 2, 3)), before.mean((1, 2, 3)), atol=0.02)
    assert torch.equal(seen, shipping.seen_badly(faces, torch.Generator().manual_seed(1)))
    few = shipping.seen_badly(faces[:7], torch.Generator().manual_seed(1))
    assert torch.equal(few, before[:7])


def test_a_kill_once_the_weights_are_there_leaves_no_network_without_its_plan(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def killed(*words: object, **more: object) -> None:
        save(*words, **more)
        raise KeyboardInterrupt

    save, own, net = fermodels.save, job(tmp_path / "runs", "vggnet"), small("vggnet")
    made = slim(net, net.example(), ratio=0.1, calibrate=None)
    faces = shipping.Faces(split=own.data.train, targets=np.zeros((64, 7), np.float32), told={"faces": 64})
    for name, value in {"open_dataset": own.data, "training_faces": faces, "recovered": made, "claims": ABOUT}.items():
        monkeypatch.setattr(ship, name, lambda *_, value=value, **__: value)
    monkeypatch.setattr(ship, "Source", lambda **_: SimpleNamespace(job=lambda *_: own))
    monkeypatch.setattr(fermodels, "save", killed, raising=False)
    words = ["--data", "fer2013:a.csv", "--photographs", "prepared:b", "--out", str(tmp_path / "out")]
    assert ship.main([*words, "--runs", str(tmp_path / "runs")]) == 130
    again, about = fermodels.load(tmp_path / "out")
    assert about["commit"] and Plan.load(tmp_path / "out/plan.json").widths_after == made[1].widths_after
    assert again.config.widths["face"] == tuple(made[1].widths_after.values())


def test_a_network_that_is_there_settles_and_keeps_its_plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    own, net = job(tmp_path / "runs", "vggnet"), small("vggnet")
    made, plan = slim(net, net.example(), ratio=0.1, calibrate=None)
    fermodels.save(made, tmp_path / "start", ABOUT | {"commit": "a" * 40}, beside={"plan.json": plan.to_json()})
    faces = shipping.Faces(split=own.data.train, targets=np.zeros((64, 7), np.float32), told={"faces": 64})
    about: dict[str, Any] = ABOUT | {"accuracy": {"overall": 0.5}, "photographs": {"class_mean": 0.5}}
    for name, value in {"open_dataset": own.data, "training_faces": faces, "claims": about}.items():
        monkeypatch.setattr(ship, name, lambda *_, value=value, **__: value)
    monkeypatch.setattr(ship, "Source", lambda **_: SimpleNamespace(job=lambda *_: own))
    monkeypatch.setattr(ship, "recovered", lambda *_: pytest.fail("it was cut again"))
    monkeypatch.setitem(ship.SHIPPED, "small", tmp_path / "start")
    monkeypatch.setattr(shipping, "SETTLE", replace(shipping.SETTLE, epochs=1, batch=16))
    words = ["--data", "fer2013:a.csv", "--photographs", "prepared:b", "--out", str(tmp_path / "out")]
    assert ship.main([*words, "--runs", str(tmp_path / "runs"), "--from", "small"]) == 0
    again, about = fermodels.load(tmp_path / "out")
    assert about["started_from"] == "a" * 40 and Plan.load(tmp_path / "out/plan.json") == plan
    before, after = made.state_dict(), again.state_dict()
    assert before.keys() == after.keys()
    assert not torch.equal(before["classifier.weight"], after["classifier.weight"])
