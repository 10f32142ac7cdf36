"""Laws of slimming over every registered network: what is cut is what was silenced, and the result is ordinary."""

import copy
from itertools import pairwise

import pytest
import torch
from torch import nn

import fermodels
from compress import CRITERIA, Floor, Plan, apply, channel_groups, slim
from fermodels.cost import macs_by_positions, params

FLOOR = Floor(channels=2, share=0.1)
SMALL = (10, 12, 9, 11, 10, 12, 14, 10, 9, 12, 11, 10, 13)
"""Odd and unequal widths, so that a channel put into the wrong place shows."""


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def small(name, **config):
    """A narrow network of `name` with random batch norms, in which every channel matters differently."""
    torch.manual_seed(0)
    trunks = fermodels.build(name).config.widths if name not in WIDTHS else WIDTHS[name]
    sizes = {"size": 32, "pools": 3} | ({"local_size": 24} if name == "mrf" else {})
    net = fermodels.build(name, widths=trunks, **(sizes | config))
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.2, 2.0)
            nn.init.normal_(module.bias, std=0.5)
            module.running_mean.normal_(std=0.2)
            module.running_var.uniform_(0.5, 2.0)
    return net


WIDTHS = {"mrf": {"face": SMALL, "local": SMALL[::-1]}, "vggnet": {"face": SMALL}}


def labelled(net):
    views = net.example(6)
    return [(views, torch.arange(6) % 7)]


@torch.no_grad()
def by_hand(net, plan):
    """The silenced network, written without the code under test: gamma = beta = 0 after the constants were dropped."""
    silenced = copy.deepcopy(net).eval()
    for name, kept in plan.kept.items():
        norm = silenced.get_submodule(name.removesuffix("conv") + "bn")
        gone = sorted(set(range(norm.num_features)) - set(kept))
        norm.weight[gone] = 0
        norm.bias[gone] = 0
    return silenced


@pytest.mark.parametrize("bn", ["all", "first"])
@pytest.mark.parametrize(("criterion", "ratio"), [("gamma", 0.3), ("gamma", 0.7), ("random", 0.5), ("group_norm", 0.5)])
@pytest.mark.parametrize("name", sorted(fermodels.MODELS))
def test_silencing_and_cutting_agree(name, criterion, ratio, bn):
    net = small(name, bn=bn)
    slim_net, plan = slim(net, ratio=ratio, criterion=criterion, floor=FLOOR, absorb=False)
    views = net.example(3)
    with torch.no_grad():
        expected, got = by_hand(net, plan)(*views).logits, slim_net.eval()(*views).logits
    assert torch.allclose(got, expected, rtol=1e-4, atol=1e-5)
    assert expected.std() > 1e-3, "logits without spread would agree whatever was cut"


@pytest.mark.parametrize("name", sorted(fermodels.MODELS))
@pytest.mark.parametrize("criterion", sorted(CRITERIA))
def test_result_is_an_ordinary_network(name, criterion):
    net = small(name)
    slim_net, plan = slim(net, ratio=0.4, criterion=criterion, floor=FLOOR, labelled=labelled(net))
    again = fermodels.build(name, **{**vars(net.config), "widths": slim_net.config.widths})
    again.load_state_dict(slim_net.state_dict(), strict=True)
    assert type(slim_net) is type(net) and slim_net.training is net.training
    widths = [width for trunk in slim_net.config.widths.values() for width in trunk]
    assert widths == list(plan.widths_after.values())
    total = sum(plan.widths_before.values())
    assert total - sum(widths) == round(0.4 * total)
    assert plan.achieved == pytest.approx(0.4, abs=0.5 / total)
    assert (plan.params_after, plan.macs_after) == (params(slim_net), macs_by_positions(slim_net))
    assert plan.params_after < plan.params_before and plan.macs_after < plan.macs_before


@pytest.mark.parametrize("name", sorted(fermodels.MODELS))
def test_input_is_unchanged_and_plan_repeats_the_cut(name):
    net = small(name).eval()
    net.trunks.train()  # a mixed state must survive
    before = {key: value.clone() for key, value in net.state_dict().items()}
    flags = [module.training for module in net.modules()]
    state = torch.get_rng_state()
    batches = [net.example(4) for _ in range(2)]
    torch.set_rng_state(state)
    slim_net, plan = slim(net, ratio=0.5, floor=FLOOR, calibrate=iter(batches))
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())
    assert [module.training for module in net.modules()] == flags
    again = apply(Plan.from_json(plan.to_json()), net, calibrate=batches)
    assert all(torch.equal(value, again.state_dict()[key]) for key, value in slim_net.state_dict().items())


@pytest.mark.parametrize("name", sorted(fermodels.MODELS))
def test_nothing_asked_nothing_changed(name):
    net = small(name)
    same, plan = slim(net, ratio=0)
    assert same is not net and plan.achieved == 0
    assert all(torch.equal(value, same.state_dict()[key]) for key, value in net.state_dict().items())
    shared = {value.data_ptr() for value in net.parameters()} & {value.data_ptr() for value in same.parameters()}
    assert not shared, "a later training of one must not move the other"


@pytest.mark.parametrize("name", sorted(fermodels.MODELS))
def test_population_is_the_trunks(name):
    net = small(name)
    groups = {group.name: group for group in channel_groups(net)}
    convs = {path for path, module in net.trunks.named_modules(prefix="trunks") if isinstance(module, nn.Conv2d)}
    assert set(groups) == convs
    assert all(group.size == net.get_submodule(path).out_channels for path, group in groups.items())


@pytest.mark.parametrize("name", sorted(fermodels.MODELS))
def test_without_batch_norm_there_is_nothing_to_slim(name):
    with pytest.raises(ValueError, match='bn="all"'):
        slim(small(name, bn="none"))


@pytest.mark.parametrize("criterion", sorted(CRITERIA))
def test_scores_are_finite_one_a_channel_and_widths_shrink_with_the_ratio(criterion):
    net = small("vggnet")
    widths = []
    for ratio in (0.2, 0.4, 0.6):
        _, plan = slim(net, ratio=ratio, criterion=criterion, floor=FLOOR, align=2, labelled=labelled(net))
        widths.append(plan.widths_after)
    for wide, narrow in pairwise(widths):
        assert all(narrow[name] <= wide[name] for name in wide)
        assert sum(narrow.values()) < sum(wide.values())
