"""Two counters, torch's own and a closed form: all must say the same."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

import fermodels
from compress.cost import macs, macs_by_fvcore, macs_outside, params
from compress.slimming.surgery import slim
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


class Tokens(torch.nn.Module):
    """A convolution of 16 channels with batch norm, whose positions are the steps of `over`."""

    def __init__(self, over):
        super().__init__()
        self.stem = torch.nn.Sequential(torch.nn.Conv2d(3, 16, 3), torch.nn.BatchNorm2d(16), torch.nn.ReLU())
        self.again = torch.nn.Sequential(torch.nn.Conv2d(16, 16, 1), torch.nn.BatchNorm2d(16))
        self.over = over
        self.head = torch.nn.Linear(16, 7)

    def forward(self, image):
        steps = self.again(self.stem(image)).flatten(2).transpose(1, 2)
        attends = isinstance(self.over, torch.nn.MultiheadAttention)
        return self.head((self.over(steps, steps, steps) if attends else self.over(steps))[0][:, -1])


STEPS = 10 * 10
OVER = [
    (torch.nn.GRU(16, 16, batch_first=True), STEPS * 3 * 16 * (16 + 16)),
    (torch.nn.LSTM(16, 8, proj_size=0, batch_first=True, bidirectional=True), 2 * STEPS * 4 * 8 * (16 + 8)),
    (torch.nn.MultiheadAttention(16, 2, batch_first=True), 4 * STEPS * 16 * 16 + 2 * STEPS**2 * 16),
]


@pytest.mark.parametrize(("over", "products"), OVER, ids=lambda value: type(value).__name__)
def test_matrix_products_outside_of_layers_are_counted_apart(over, products):
    net, image = Tokens(over), torch.zeros(2, 3, 12, 12)
    assert macs_outside(net, image) == products
    assert macs(net, image) == STEPS * 16 * (3 * 9 + 16) + 16 * 7


@pytest.mark.parametrize("name", ["vggnet", "mrf"])
def test_our_networks_have_all_their_macs_in_layers(name):
    net = fermodels.build(name)
    assert macs_outside(net, net.example()) == 0


def test_slimming_tells_what_its_macs_leave_out():
    """422,400 of 491,312."""
    with pytest.warns(UserWarning, match="86% of this network's multiply-accumulates are outside of its conv"):
        slim(Tokens(OVER[2][0]), torch.zeros(2, 3, 12, 12), ratio=0.5, criterion="group_norm")
