"""Table 4's networks: each branch is MRF without the other one, by its size and by its answers."""

from itertools import pairwise

import pytest
import torch

import fermodels
from compress.cost import params

WIDTHS = tuple(range(8, 21))
LAST = WIDTHS[-1]
TRUNK = sum(9 * a * b + b + 2 * b for a, b in pairwise((3, *WIDTHS)))
"""Convolutions 3 x 3 with bias, and two numbers a normed channel."""
HEAD = LAST * 16 + 16 + 16 * 7 + 7
GATE = 9 * LAST * 8 + 8 + 9 * 8 + 1


def branch(name, trunk, **config):
    torch.manual_seed(0)
    return fermodels.build(name, widths={trunk: WIDTHS}, pools=3, head_width=16, **config).eval()


def test_sizes_by_closed_form():
    assert params(branch("local", "local")) == TRUNK + 2 * HEAD
    assert params(branch("global", "face")) == TRUNK + HEAD
    assert params(branch("global", "face", attention_width=8)) == TRUNK + HEAD + GATE


def test_each_head_of_the_local_branch_sees_its_own_region_only():
    net = branch("local", "local", local_size=28)
    eyes, mouth = net.example(2)
    with torch.no_grad():
        both, other_mouth = net(eyes, mouth).logits, net(eyes, mouth.flip(0)).logits
        by_hand = net.heads["mouth"](net.trunks["local"](mouth).mean((2, 3)))
    assert torch.allclose(both[0], other_mouth[0], atol=1e-6) and not torch.allclose(both[1], other_mouth[1])
    assert torch.allclose(both[1], by_hand, atol=1e-5)
    assert net(eyes, mouth).attention is None


def test_the_global_branch_pools_what_its_map_has_weighted():
    net = branch("global", "face", size=56, attention_width=8)
    (face,) = net.example(2)
    with torch.no_grad():
        output, features = net(face), net.trunks["face"](face)
        by_hand = net.head((features * output.attention).mean((2, 3)))
    assert output.attention.shape == (2, 1, 7, 7)
    assert torch.allclose(output.logits[0], by_hand, atol=1e-5)


def test_without_a_map_it_is_the_same_network_with_nothing_weighted():
    mapped, plain = (branch("global", "face", size=56, attention_width=width) for width in (8, None))
    plain.load_state_dict({name: one for name, one in mapped.state_dict().items() if not name.startswith("gate.")})
    (face,) = plain.example(2)
    with torch.no_grad():
        by_hand = plain.head(mapped.trunks["face"](face).mean((2, 3)))
        assert torch.allclose(plain(face).logits[0], by_hand, atol=1e-5)
        assert plain(face).attention is None and not hasattr(plain, "gate")


@pytest.mark.parametrize("width", [None, 8])
def test_mrf_is_the_two_branches_fused(width):
    """The trunks of the branches fit MRF's, weight by weight."""
    mrf = fermodels.build("mrf", widths={"face": WIDTHS, "local": WIDTHS}, pools=3, attention_width=8, head_width=16)
    trunks = {"local": branch("local", "local"), "face": branch("global", "face", attention_width=width)}
    for name, net in trunks.items():
        mrf.trunks[name].load_state_dict(net.trunks[name].state_dict(), strict=True)
    assert {view for net in trunks.values() for view in net.inputs} == set(mrf.inputs)
