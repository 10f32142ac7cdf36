"""Two processes train what one would: the same weights, one writer, other sentences when one of them dies."""

import os
import signal
import time
from itertools import chain

import pytest
import shared_training
import torch
from shared_training import TRAININGS, batches, normed, several, trained

from compress.training import processes

AS_ONE = ("plain", "averaged", "unlike", "shuffled", "sampled")
NAMES = (*AS_ONE, "normed", "synchronised", "noisy", "unreached", "uneven")


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """What two processes made of each training."""
    out = tmp_path_factory.mktemp("two")
    two = several(2, out, *NAMES)
    told = [process.communicate(timeout=200)[1] for process in two]
    assert [process.returncode for process in two] == [0, 0], told
    return {name: torch.load(out / f"{name}.pt", weights_only=True) for name in NAMES}


def assert_alike(weights, others):
    assert weights.keys() == others.keys()
    for name, value in weights.items():
        assert torch.allclose(value, others[name], rtol=1e-4, atol=1e-5), name


@pytest.mark.parametrize("name", AS_ONE)
def test_weights_losses_and_validation_after_three_epochs_are_those_of_one_process(found, name, tmp_path):
    (weights, history), (alone, alone_history) = found[name], TRAININGS[name](tmp_path)
    assert_alike(weights, alone)
    assert (history["processes"], alone_history["processes"]) == (2, 1)
    for entry, expected in zip(history["epochs"], alone_history["epochs"], strict=True):
        assert entry["validation"] == expected["validation"]
        assert entry["images"] == expected["images"]
        assert entry["losses"]["loss"] == pytest.approx(expected["losses"]["loss"], rel=1e-4)


def test_local_batch_norms_are_those_of_half_batches_whose_gradients_are_summed(found):
    """Weights agree with one process that accumulates half batches; the running statistics are of the first halves."""
    weights, _ = found["normed"]
    halves, _ = trained(normed(), batches(shared_training.BATCH // 2), accumulate=2)
    whole, _ = trained(normed(), batches())
    learnt = [name for name in weights if "running" not in name and "tracked" not in name]
    assert_alike({name: weights[name] for name in learnt}, {name: halves[name] for name in learnt})
    moved = max(float((weights[name] - whole[name]).abs().max()) for name in learnt)
    assert 1e-4 < moved < 0.2, "statistics of half a batch are not those of a whole one"
    assert not torch.allclose(weights["1.running_mean"], halves["1.running_mean"], rtol=1e-3)


def test_dropout_differs_between_processes_and_what_follows_does_not(found):
    drawn, after = found["noisy"][0].values()
    assert not torch.equal(*drawn) and torch.equal(*after)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("synchronised", "needs CUDA"),
        ("unreached", r"requires_grad_\(False\)"),
        ("uneven", r"processes have \[3, 2\] batches"),
    ],
)
def test_what_cannot_be_shared_is_a_sentence(found, name, sentence):
    with pytest.raises(ValueError, match=sentence):
        raise ValueError(found[name])


def test_an_unknown_kind_of_batch_norm_is_a_sentence():
    with pytest.raises(ValueError, match="local, synchronised"):
        trained(normed(), batches(), batch_norm="global")


@pytest.mark.parametrize("count", [1, 2, 3, 8])
@pytest.mark.parametrize("rows", [2, 5, 16, 17, 40])
def test_every_row_is_somebodys_and_nobody_has_a_single_one(monkeypatch, count, rows):
    monkeypatch.setattr(processes, "world", lambda: count)
    shares = []
    for number in range(count):
        monkeypatch.setattr(processes, "rank", lambda number=number: number)
        shares.append(list(range(rows))[processes.own_rows(rows)])
    assert list(chain(*shares)) == list(range(rows))
    assert (min(map(len, shares)) >= 2) == processes.enough(rows)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL on this system")
@pytest.mark.parametrize("victim", [0, 1])
def test_one_killed_ends_the_other_with_a_sentence_and_a_single_process_goes_on(victim, tmp_path):
    two = several(2, tmp_path, "long")
    while not (tmp_path / "state.pt").exists():
        assert all(process.poll() is None for process in two), "one ended before it had saved a state"
        time.sleep(0.01)
    os.kill(two[victim].pid, signal.SIGKILL)
    began = time.monotonic()
    told = two[1 - victim].communicate(timeout=100)[1]
    assert time.monotonic() - began < 30
    two[victim].communicate()
    assert two[1 - victim].returncode == 2
    assert told.count("\n") == 1 and "another one is gone" in told and "the same command goes on" in told
    assert not (tmp_path / "long.pt").exists()
    done = torch.load(tmp_path / "state.pt", weights_only=True)["next_epoch"]
    weights, history = TRAININGS["long"](tmp_path)
    assert 0 < done < len(history["epochs"]) == shared_training.LONG["epochs"]
    (tmp_path / "whole").mkdir()
    assert_alike(weights, TRAININGS["long"](tmp_path / "whole")[0])
