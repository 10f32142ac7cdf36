"""Two counters, torch's own and a closed form: all must say the same."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

import fermodels
from compress.cost import macs, macs_by_fvcore, params
from fermodels.nets.vgg import VGG16


def trunk_macs(widths, side, pools):
    """3 x 3 convolutions at same size: 9 * in * out * side^2, halved by each pool in use."""
    total, before, conv = 0, 3, 0
    for group, length in enumerate((2, 2, 3, 3, 3)):
        for width in widths[conv : conv + length]:
            total += 9 * before * width * side**2
            before = width
        conv += length
        side = side // 2 if group < pools else side
    return total


@pytest.mark.parametrize(
    ("name", "config"),
    [
        ("vggnet", {"widths": {"face": (8,) * 13}, "size": 32, "pools": 3}),
        ("mrf", {"widths": {"face": (8,) * 13, "local": (9,) * 13}, "size": 32, "local_size": 24, "pools": 2}),
    ],
)
def test_counters_agree(name, config):
    net = fermodels.build(name, **config).train()
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        net.eval()(*net.example())
    net.train()
    example = net.example()
    assert 2 * macs_by_fvcore(net, example).total == 2 * macs(net, example) == counter.get_total_flops()
    assert net.training


def test_full_vggnet_is_the_closed_form():
    """VGG-16's convolutions at 224 px cost 15,346,630,656 MACs; the classifier adds 512 * 7."""
    assert trunk_macs(VGG16, 224, 5) == 15_346_630_656
    net = fermodels.build("vggnet")
    assert macs(net, net.example()) == 15_346_630_656 + 512 * 7


def test_full_mrf_is_the_closed_form():
    """Three passes at 224 px, the attention map at 7 x 7, two heads."""
    net = fermodels.build("mrf")
    gate = 49 * 9 * (512 * 128 + 128 * 1)
    heads = 2 * (1024 * 512 + 512 * 7)
    assert macs(net, net.example()) == 3 * 15_346_630_656 + gate + heads
    assert params(net) == 31_094_159


def test_what_is_not_counted_is_said():
    net = fermodels.build("mrf", widths={"face": (8,) * 13, "local": (8,) * 13}, size=16, local_size=16, pools=2)
    uncounted = macs_by_fvcore(net, net.example()).uncounted
    assert uncounted["max_pool2d"] == 4 and uncounted["sigmoid"] == 1 and uncounted["mul"] == 1
    assert not {"conv", "linear", "batch_norm"} & set(uncounted)


def test_frozen_weights_are_parameters_too():
    net = fermodels.build("vggnet", widths={"face": (8,) * 13}, size=16, pools=2)
    whole = params(net)
    net.classifier.weight.requires_grad_(False)
    assert params(net) == whole
