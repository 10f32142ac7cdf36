"""Laws of slimming over every registered network: what is cut is what was silenced, and the result is ordinary."""

import copy
import re
from itertools import pairwise

import pytest
import torch
from tiny_nets import small
from torch import nn

import fermodels
from compress import CRITERIA, Floor, Plan, apply, channel_groups, slim
from compress.cost import macs, params

FLOOR = Floor(channels=2, share=0.1)
VARIANTS = [
    *((name, {}) for name in sorted(fermodels.MODELS)),
    *((name, {"bn": "first"}) for name in ("mrf", "vggnet")),
    ("ocl", {"official": True}),
    ("global", {"attention_width": None}),
]
"""Every network, and those of its settings that change what is silenced or read."""


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def labelled(net):
    views = net.example(6)
    return [(views, torch.arange(6) % 7)]


@torch.no_grad()
def by_hand(net, plan):
    """The silenced network, written without the code under test: gamma = beta = 0 after the constants were dropped."""
    silenced = copy.deepcopy(net).eval()
    for name, kept in plan.kept.items():
        for norm in map(silenced.get_submodule, norms_of(net, name)):
            gone = sorted(set(range(norm.num_features)) - set(kept))
            norm.weight[gone] = 0
            norm.bias[gone] = 0
    return silenced


def norms_of(net, conv):
    """Batch norms of the channels that `conv` makes, by name: all sums of a stage of a ResNet are one."""
    if conv.endswith(".conv"):
        return {conv.removesuffix("conv") + "bn"}
    if conv.endswith("conv1") and "denselayer" in conv:
        return {conv.replace("conv1", "norm2")}
    bottleneck = type(net) is fermodels.MODELS["resnet50"][0]
    last = 3 if bottleneck else 2
    place = re.fullmatch(r"trunks\.face\.layer(\d)\.\d\.(conv\d|downsample\.0)", conv)
    if place and place[2] != f"conv{last}" and place[2] != "downsample.0":
        return {conv.replace("conv", "bn")}
    if bottleneck and not place:
        return {"trunks.face.bn1"}
    stage = place[1] if place else "1"
    tied = re.compile(rf"trunks\.face\.layer{stage}\.\d\.(bn{last}|downsample\.1)")
    stem = set() if bottleneck or stage != "1" else {"trunks.face.bn1"}
    return stem | {name for name, _ in net.named_modules() if tied.fullmatch(name)}


@pytest.mark.parametrize(("criterion", "ratio"), [("gamma", 0.3), ("gamma", 0.7), ("random", 0.5), ("group_norm", 0.5)])
@pytest.mark.parametrize(("name", "config"), VARIANTS)
def test_silencing_and_cutting_agree(name, config, criterion, ratio):
    net = small(name, **config)
    slim_net, plan = slim(net, net.example(), ratio=ratio, criterion=criterion, floor=FLOOR, absorb=False)
    views = net.example(3)
    with torch.no_grad():
        expected, got = by_hand(net, plan)(*views).logits, slim_net.eval()(*views).logits
    assert torch.allclose(got, expected, rtol=1e-4, atol=1e-5)
    assert expected.std() > 1e-3, "logits without spread would agree whatever was cut"


@pytest.mark.parametrize("name", sorted(fermodels.MODELS))
@pytest.mark.parametrize("criterion", sorted(CRITERIA))
def test_result_is_an_ordinary_network(name, criterion):
    net = small(name)
    slim_net, plan = slim(net, net.example(), ratio=0.4, criterion=criterion, floor=FLOOR, labelled=labelled(net))
    found = {key: trunk.widths for key, trunk in slim_net.trunks.items()}
    again = fermodels.build(name, **{**vars(net.config), "widths": found})
    again.load_state_dict(slim_net.state_dict(), strict=True)
    assert type(slim_net) is type(net) and slim_net.training is net.training
    widths = [width for trunk in found.values() for width in trunk]
    assert widths == list(plan.widths_after.values())
    total = sum(plan.widths_before.values())
    assert total - sum(widths) == round(0.4 * total)
    assert plan.achieved == pytest.approx(0.4, abs=0.5 / total)
    assert (plan.params_after, plan.macs_after) == (params(slim_net), macs(slim_net, slim_net.example()))
    assert plan.params_after < plan.params_before and plan.macs_after < plan.macs_before


@pytest.mark.parametrize("name", sorted(fermodels.MODELS))
def test_input_is_unchanged_and_plan_repeats_the_cut(name):
    net = small(name).eval()
    net.trunks.train()  # a mixed state must survive
    before = {key: value.clone() for key, value in net.state_dict().items()}
    flags = [module.training for module in net.modules()]
    batches, example = [net.example(4) for _ in range(2)], net.example()
    state = torch.get_rng_state()
    slim_net, plan = slim(net, example, ratio=0.5, floor=FLOOR, calibrate=iter(batches))
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())
    assert [module.training for module in net.modules()] == flags
    again = apply(Plan.from_json(plan.to_json()), net, example, calibrate=batches)
    assert all(torch.equal(value, again.state_dict()[key]) for key, value in slim_net.state_dict().items())


@pytest.mark.parametrize("name", sorted(fermodels.MODELS))
def test_nothing_asked_nothing_changed(name):
    net = small(name)
    same, plan = slim(net, net.example(), ratio=0)
    assert same is not net and plan.achieved == 0
    assert all(torch.equal(value, same.state_dict()[key]) for key, value in net.state_dict().items())
    shared = {value.data_ptr() for value in net.parameters()} & {value.data_ptr() for value in same.parameters()}
    assert not shared, "a later training of one must not move the other"


@pytest.mark.parametrize("name", sorted(fermodels.MODELS))
def test_population_is_the_trunks(name):
    net = small(name)
    groups = {group.name: group for group in channel_groups(net, net.example())}
    convs = [path for path, module in net.trunks.named_modules(prefix="trunks") if isinstance(module, nn.Conv2d)]
    if name == "densenet121":  # what its other convolutions make is read by every later layer
        convs = [path for path in convs if path.endswith("conv1")]
    assert sorted(conv for group in groups.values() for conv in group.convs) == sorted(convs)
    for path, group in groups.items():
        assert {net.get_submodule(conv).out_channels for conv in group.convs} == {group.size}
        assert set(group.norms) == norms_of(net, path)


@pytest.mark.parametrize("name", ["mrf", "vggnet"])
def test_without_batch_norm_there_is_nothing_to_slim(name):
    with pytest.raises(ValueError, match=r"nothing to slim.*no batch norm stands right behind"):
        net = small(name, bn="none")
        slim(net, net.example())


@pytest.mark.parametrize("criterion", sorted(CRITERIA))
def test_scores_are_finite_one_a_channel_and_widths_shrink_with_the_ratio(criterion):
    net = small("vggnet")
    options = {"criterion": criterion, "floor": FLOOR, "align": 2, "labelled": labelled(net)}
    widths = []
    for ratio in (0.2, 0.4, 0.6):
        _, plan = slim(net, net.example(), ratio=ratio, **options)
        widths.append(plan.widths_after)
    for wide, narrow in pairwise(widths):
        assert all(narrow[name] <= wide[name] for name in wide)
        assert sum(narrow.values()) < sum(wide.values())
