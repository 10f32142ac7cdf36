"""Laws of slimming over networks that are not ours: what is cut is what was silenced, at any size, again and again."""

import copy
from functools import lru_cache

import foreign_zoo
import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from compress import Floor, Plan, apply, slim
from compress.cost import macs, params

FLOOR = Floor(channels=2, share=0.1)
ONE_SIZE = ("vgg16_bn", "two_inputs")
"""Flattened maps tie these to the size of their example."""
TRAINED = ("resnet18", "mobilenetv3_small_100", "ghostnet_100", "shufflenet_v2_x0_5", "sequential", "two_inputs")
WHOLE = {
    "regnetx_002": "grouped convolution",
    "shufflenet_v2_x0_5": "reshape",
    "densenet121": "concatenation",
    "seresnet18": "no batch norm stands right behind",
}
"""A reason that must be told."""


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@lru_cache(maxsize=1)
def case(name):
    """A lively network and its cut, made once for the laws of one network."""
    net = foreign_zoo.lively(foreign_zoo.build(name))
    return net, *slim(net, foreign_zoo.example(name), ratio=0.4, floor=FLOOR, absorb=False, criterion="random")


@torch.no_grad()
def answer(net, inputs):
    found = net(*inputs) if isinstance(inputs, tuple) else net(inputs)
    return found["logits"] if isinstance(found, dict) else found


@torch.no_grad()
def by_hand(net, small):
    """The silenced network, written without the code under test: of every batch norm that became narrower, the gammas
    and betas that are no more are 0. Random betas tell which those are."""
    silenced = copy.deepcopy(net)
    for name, norm in silenced.named_modules():
        if isinstance(norm, nn.modules.batchnorm._BatchNorm):
            stays = torch.isin(norm.bias, small.get_parameter(f"{name}.bias"))
            norm.weight[~stays] = 0
            norm.bias[~stays] = 0
    return silenced


def close(one, other):
    return torch.allclose(one, other, rtol=1e-3, atol=1e-4 * float(other.abs().max()))


@pytest.mark.parametrize("name", foreign_zoo.NAMES)
def test_silencing_and_cutting_agree_at_every_size(name):
    net, small, _ = case(name)
    silenced = by_hand(net, small)
    for scale in (1.0,) if name in ONE_SIZE else (1.0, 1.25):
        inputs = foreign_zoo.example(name, batch=2, scale=scale)
        expected = answer(silenced, inputs)
        assert expected.std() > 0 and close(answer(small, inputs), expected)


@pytest.mark.parametrize("name", foreign_zoo.NAMES)
def test_the_plan_counts_right_and_repeats_the_cut(name):
    net, small, plan = case(name)
    total = sum(plan.widths_before.values())
    assert total - sum(plan.widths_after.values()) == round(0.4 * total)
    assert (plan.params_before, plan.params_after) == (params(net), params(small))
    inputs = foreign_zoo.example(name)
    counter = FlopCounterMode(display=False)
    with counter:
        answer(small, inputs)
    assert 2 * plan.macs_after == 2 * macs(small, inputs) == counter.get_total_flops()
    again = apply(Plan.from_json(plan.to_json()), net, inputs)
    assert all(torch.equal(value, again.state_dict()[key]) for key, value in small.state_dict().items())


@pytest.mark.parametrize("name", foreign_zoo.NAMES)
def test_what_stays_whole_has_a_reason(name):
    net, _, plan = case(name)
    layers = {key for key, module in net.named_modules() if isinstance(module, (nn.Conv2d, nn.Conv1d, nn.Linear))}
    assert set(plan.whole) <= layers and not set(plan.whole) & set(plan.kept)
    assert WHOLE.get(name, "") in " ".join(plan.whole.values())


@pytest.mark.parametrize("name", foreign_zoo.NAMES)
def test_a_slim_network_is_slimmed_again(name):
    _, small, plan = case(name)
    smaller, second = slim(small, foreign_zoo.example(name), macs_share=0.9, floor=FLOOR)
    assert second.widths_before == plan.widths_after and second.macs_before == plan.macs_after
    assert 0.5 < second.achieved <= 0.9
    assert answer(smaller, foreign_zoo.example(name, batch=2)).shape[0] == 2


@pytest.mark.parametrize("name", TRAINED)
def test_trained_networks_are_cut_and_trained_on(name):
    net = foreign_zoo.trained(foreign_zoo.build(name), foreign_zoo.example(name, batch=4))
    batches = [(foreign_zoo.example(name, batch=3), torch.arange(3))]
    small, plan = slim(net, foreign_zoo.example(name), params_share=0.8, floor=FLOOR, calibrate=batches)
    assert plan.achieved <= 0.8 and params(small) == plan.params_after
    before = copy.deepcopy(small.state_dict())
    foreign_zoo.trained(small, foreign_zoo.example(name, batch=4), steps=1)
    weights = [(key, value) for key, value in small.named_parameters() if value.ndim > 1]
    assert all(not torch.equal(value, before[key]) for key, value in weights)  # a bias before a norm has no gradient
