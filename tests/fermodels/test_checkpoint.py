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
