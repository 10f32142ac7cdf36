"""A slim network on disk: whole, checked, finite, never a pickle."""

import json
import subprocess
import sys

import foreign_zoo
import numpy as np
import pytest
import torch
from torch import nn

from compress import Floor, load, save, slim
from compress.about import CONFIG, about_of
from compress.checkpoint import WEIGHTS


@pytest.mark.parametrize("name", ["sequential", "two_inputs", "one_dimension", "mobilenetv3_small_100"])
def test_a_slim_network_comes_back_and_is_slimmed_again(name, tmp_path):
    net, example = foreign_zoo.lively(foreign_zoo.build(name)), foreign_zoo.example(name)
    small, plan = slim(net, example, ratio=0.4, floor=Floor(channels=2, share=0.1))
    save(small, tmp_path / "small", about={"n": np.int64(3)})
    again = load(tmp_path / "small", lambda: foreign_zoo.build(name))
    assert all(torch.equal(value, again.state_dict()[key]) for key, value in small.state_dict().items())
    assert str(again) == str(small) and about_of(tmp_path / "small")["n"] == 3
    assert slim(again, example, ratio=0.1, floor=Floor(channels=2))[1].widths_before == plan.widths_after


@pytest.fixture
def saved(tmp_path):
    torch.manual_seed(0)
    save(nn.Conv2d(3, 5, 3), tmp_path / "net")
    return tmp_path / "net"


def test_nothing_is_overwritten_unasked(saved):
    before = (saved / WEIGHTS).read_bytes()
    with pytest.raises(ValueError, match="overwrite=True"):
        save(nn.Conv2d(3, 5, 3), saved)
    assert (saved / WEIGHTS).read_bytes() == before
    (saved / "plan.json").write_text("{}")
    save(nn.Conv2d(3, 6, 3), saved, overwrite=True)
    assert load(saved, lambda: nn.Conv2d(3, 5, 3)).out_channels == 6
    assert sorted(path.name for path in saved.iterdir()) == [CONFIG, WEIGHTS, "plan.json"]
    assert [path.name for path in saved.parent.iterdir()] == ["net"], "nothing is left beside it"


def test_through_a_link_the_checkpoint_that_it_leads_to_is_replaced(saved, tmp_path):
    (saved / "notes.txt").write_text("mine")
    (tmp_path / "link").symlink_to("net")
    save(nn.Conv2d(3, 6, 3), tmp_path / "link", overwrite=True)
    assert load(saved, lambda: nn.Conv2d(3, 5, 3)).out_channels == 6 and (saved / "notes.txt").read_text() == "mine"
    assert (tmp_path / "link").is_symlink() and sorted(path.name for path in tmp_path.iterdir()) == ["link", "net"]


KILLED = """
import os, sys
from torch import nn
from compress import save
replace, left = os.replace, int(sys.argv[2])
def killing(one, other):
    global left
    left -= 1
    if left < 0:
        os.kill(os.getpid(), 9)
    replace(one, other)
os.replace = killing
save(nn.Conv2d(3, 6, 3), sys.argv[1], overwrite=True, beside={"plan.json": "new"})
"""


@pytest.mark.parametrize("renames", range(6))
def test_a_kill_while_saving_loses_no_file_and_leaves_none(renames, saved):
    """Three files are named, then the old folder goes, the new one comes, and what else lay there comes back."""
    (saved / "mine.txt").write_text("the user's")
    (saved / "plan.json").write_text("old")
    assert subprocess.run([sys.executable, "-c", KILLED, str(saved), str(renames)], check=False).returncode == -9
    assert saved.exists() == (renames != 4) and len(list(saved.parent.iterdir())) == saved.exists() + 1
    save(nn.Conv2d(3, 7, 3), saved, overwrite=True)
    assert [path.name for path in saved.parent.iterdir()] == ["net"]
    assert (saved / "mine.txt").read_text() == "the user's"
    assert (saved / "plan.json").read_text() == ("old" if renames < 5 else "new")
    assert load(saved, lambda: nn.Conv2d(3, 5, 3)).out_channels == 7


@pytest.mark.parametrize(
    "about",
    [{"made_by": object()}, {"accuracy": float("nan")}, {"classes": {1: "a", "1": "b"}}, {"digest": "mine"}, ["sad"]],
)
def test_what_cannot_be_told_leaves_the_old_checkpoint(saved, about):
    before = (saved / WEIGHTS).read_bytes()
    with pytest.raises(ValueError, match="about"):
        save(nn.Conv2d(3, 7, 3), saved, about, overwrite=True)
    assert (saved / WEIGHTS).read_bytes() == before


def test_damage_is_refused(saved, tmp_path):
    weights = saved / WEIGHTS
    whole = weights.read_bytes()
    for position in range(8, len(whole), 37):
        changed = bytearray(whole)
        changed[position] ^= 16
        weights.write_bytes(bytes(changed))
        with pytest.raises(ValueError, match=WEIGHTS):
            load(saved, lambda: nn.Conv2d(3, 5, 3))
    save(nn.Conv2d(3, 5, 3), tmp_path / "other")
    weights.write_bytes((tmp_path / "other" / WEIGHTS).read_bytes())
    with pytest.raises(ValueError, match="its digest is another"):
        load(saved, lambda: nn.Conv2d(3, 5, 3))


def test_weights_that_are_not_finite_are_neither_saved_nor_loaded(saved, tmp_path):
    net = nn.Conv2d(3, 5, 3)
    with torch.no_grad():
        net.weight[0] = torch.nan
    with pytest.raises(ValueError, match="weight holds NaN"):
        save(net, tmp_path / "nan")
    assert not (tmp_path / "nan").exists()


def test_another_network_is_refused(saved):
    with pytest.raises(ValueError, match="does not fit the architecture"):
        load(saved, lambda: nn.Sequential(nn.Conv2d(3, 5, 3)))
    config = json.loads((saved / CONFIG).read_text())
    (saved / CONFIG).write_text(json.dumps(config | {"format": 9}))
    with pytest.raises(ValueError, match="format 9"):
        load(saved, lambda: nn.Conv2d(3, 5, 3))
