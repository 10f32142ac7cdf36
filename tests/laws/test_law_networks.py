"""Laws of every registered network: batch invariance, strict reload, one count of its cost, one shape of its answer."""

import pytest
import torch
from tiny_nets import SETTINGS, small
from torch.utils.flop_counter import FlopCounterMode

import fermodels
from compress import Floor, slim
from compress.cost import macs, macs_by_fvcore

ABOUT = {
    "classes": fermodels.EXPRESSIONS,
    "preprocessing": {},
    "data": "none",
    "split": "test",
    "n": 0,
    "accuracy": None,
}
NAMES = sorted(fermodels.MODELS)


def test_every_network_is_under_the_laws():
    assert sorted(SETTINGS) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_the_answer_has_its_shape_and_does_not_depend_on_the_batch(name):
    net = small(name).eval()
    views = net.example(4)
    assert len(views) == len(net.inputs)
    with torch.no_grad():
        together = net(*views)
        alone = torch.cat([net(*(view[i : i + 1] for view in views)).logits for i in range(4)], 1)
    classes = 7  # and as many components of a projection
    assert together.logits.shape[1:] == (4, classes) and together.regions is None
    assert torch.allclose(together.logits, alone, rtol=1e-4, atol=1e-5)
    assert together.logits.std() > 1e-3


@pytest.mark.parametrize("name", NAMES)
def test_a_slim_network_comes_back_from_its_file(name, tmp_path):
    whole = small(name).eval()
    net, _ = slim(whole, whole.example(), ratio=0.4, floor=Floor(channels=2, share=0.1))
    fermodels.save(net, tmp_path / "net", ABOUT)
    again, config = fermodels.load(tmp_path / "net")
    widths = {key: trunk.widths for key, trunk in net.trunks.items()}
    assert config["architecture"] == name and again.config.widths == widths != whole.config.widths
    views = net.example(2)
    assert torch.equal(net(*views).logits, again(*views).logits)


@pytest.mark.parametrize("name", NAMES)
def test_all_counters_agree(name):
    net = small(name).eval()
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        net(*net.example())
    example = net.example()
    assert 2 * macs_by_fvcore(net, example).total == 2 * macs(net, example) == counter.get_total_flops()
