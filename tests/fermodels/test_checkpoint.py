"""Checkpoints: strict, whole, never a pickle; every refusal is a sentence that names the file."""

import json
import pickle

import pytest
import torch

import fermodels
from fermodels import checkpoint

WIDTHS = (8,) * 13
ABOUT = {"classes": fermodels.EXPRESSIONS, "preprocessing": {"size": 32}, "data": "none", "split": "test", "n": 0}
ABOUT |= {"accuracy": None}


@pytest.fixture
def saved(tmp_path):
    torch.manual_seed(0)
    net = fermodels.build("vggnet", widths={"face": WIDTHS}, size=32).eval()
    checkpoint.save(net, tmp_path / "net", ABOUT)
    return net, tmp_path / "net"


def test_a_network_comes_back_as_it_was(saved):
    net, folder = saved
    again, config = checkpoint.load(folder)
    views = net.example(2)
    assert torch.equal(net(*views).logits, again(*views).logits)
    assert again.config == net.config and config["classes"] == list(fermodels.EXPRESSIONS)
    assert not again.training


def test_about_must_be_complete(saved, tmp_path):
    with pytest.raises(ValueError, match="missing here: accuracy"):
        checkpoint.save(saved[0], tmp_path / "other", {k: v for k, v in ABOUT.items() if k != "accuracy"})


def test_a_truncated_file_is_refused(saved):
    weights = saved[1] / checkpoint.WEIGHTS
    whole = weights.read_bytes()
    for length in (0, 5, len(whole) // 2, len(whole) - 1):
        weights.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"model.safetensors is truncated or damaged"):
            checkpoint.load(saved[1])


def test_a_pickle_is_refused(saved):
    weights = saved[1] / checkpoint.WEIGHTS
    for write in (lambda: torch.save(saved[0].state_dict(), weights), lambda: weights.write_bytes(pickle.dumps({}))):
        write()
        with pytest.raises(ValueError, match="is a pickle"):
            checkpoint.load(saved[1])


def test_weights_of_another_network_are_refused(saved, tmp_path):
    checkpoint.save(fermodels.build("vggnet", widths={"face": (9,) * 13}, size=32), tmp_path / "wide", ABOUT)
    (saved[1] / checkpoint.WEIGHTS).write_bytes((tmp_path / "wide" / checkpoint.WEIGHTS).read_bytes())
    with pytest.raises(ValueError, match=r"does not fit the architecture|its digest is another"):
        checkpoint.load(saved[1])


def test_a_missing_or_damaged_config_is_refused(saved, tmp_path):
    with pytest.raises(ValueError, match="is no checkpoint"):
        checkpoint.load(tmp_path)
    config = saved[1] / checkpoint.CONFIG
    config.write_text(config.read_text()[:40])
    with pytest.raises(ValueError, match="is damaged"):
        checkpoint.load(saved[1])
    config.write_text(json.dumps({"format": 99, "architecture": "mrf", "config": {}}))
    with pytest.raises(ValueError, match="format 99"):
        checkpoint.load(saved[1])
    (saved[1] / checkpoint.WEIGHTS).unlink()


def test_missing_weights_are_named(saved):
    (saved[1] / checkpoint.WEIGHTS).unlink()
    with pytest.raises(ValueError, match=r"model.safetensors is missing"):
        checkpoint.load(saved[1])


def old(folder, **edits):
    """config.json as earlier versions have written it, without its digest, in which something is another."""
    path = folder / checkpoint.CONFIG
    config = json.loads(path.read_text())
    config.pop("digest")
    path.write_text(json.dumps(config | {"format": 1} | edits))


def test_a_config_of_before_there_were_digests_is_read(saved):
    old(saved[1])
    assert checkpoint.load(saved[1])[1]["classes"] == list(fermodels.EXPRESSIONS)


def test_an_edited_config_is_refused_whatever_was_edited(saved):
    path = saved[1] / checkpoint.CONFIG
    config = json.loads(path.read_text())
    for edit in ({"n": 1}, {"config": config["config"] | {"pools": 4}}, {"digest": None}, {"format": 1}):
        path.write_text(json.dumps(config | edit))
        with pytest.raises(ValueError, match=r"config.json was edited or damaged: its digest is another"):
            checkpoint.load(saved[1])


@pytest.mark.parametrize(
    "setting",
    [
        {"pools": []},
        {"pools": True},
        {"widths": 3},
        {"widths": {}},
        {"widths": {"face": "abc"}},
        {"widths": {"face": [8] * 12 + [10**9]}},
        {"widths": {"face": [8] * 12 + [-1]}},
        {"classes": 1.5},
        {"classes": 10**30},
        {"dropout": "x"},
        {"strange": 1},
    ],
)
def test_settings_that_no_network_has_are_a_sentence(saved, setting):
    old(saved[1], config=json.loads((saved[1] / checkpoint.CONFIG).read_text())["config"] | setting)
    with pytest.raises(ValueError, match=r"config.json describes no network \(.*\); save the checkpoint again"):
        checkpoint.load(saved[1])
