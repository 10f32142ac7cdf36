"""Budgets of MACs and of parameters: laws over random scores, and networks counted after the cut."""

import copy
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_nets import small

import fermodels
from compress import Floor, Plan, apply, slim
from compress.cost import macs, params
from compress.slimming.cut import cut
from compress.slimming.groups import channel_groups
from compress.slimming.select import select_within
from compress.slimming.widths import counter

SETTINGS = settings(max_examples=25, deadline=None, derandomize=True)
FLOOR = Floor(channels=2, share=0.1)
WIDTHS = (10, 12, 9, 11, 10, 12, 14, 10, 9, 12, 11, 10, 13)
SHARES = (0.35, 1.0)
COUNTS = {"macs_share": lambda net: macs(net, net.example()), "params_share": params}


def scores_of(sizes, seed):
    ladder = torch.randperm(sum(sizes), generator=torch.Generator().manual_seed(seed)).float() + 1
    return {f"layer{i}": part for i, part in enumerate(ladder.split(list(sizes)))}


def chained(widths):
    """A made-up cost: each layer times the one before, as MACs are."""
    sizes = [3, *widths.values()]
    return sum(one * other for one, other in pairwise(sizes))


layers = st.lists(st.integers(8, 70), min_size=1, max_size=6)


@SETTINGS
@given(layers, st.integers(0, 10_000), st.sampled_from([1, 8]), st.floats(0.05, 1))
def test_cost_is_within_the_budget_and_one_step_less_would_not_be(sizes, seed, align, share):
    scores = scores_of(sizes, seed)
    budget = share * chained(dict(enumerate(sizes)))
    try:
        kept = select_within(scores, chained, budget, floor=FLOOR, align=align)
    except ValueError as error:
        least = {f"layer{i}": -(-max(2, -(-size // 10)) // align) * align for i, size in enumerate(sizes)}
        narrowest = {name: min(width, len(scores[name])) for name, width in least.items()}
        assert "out of reach" in str(error) and chained(narrowest) > budget
        return
    widths = {name: len(channels) for name, channels in kept.items()}
    assert chained(widths) <= budget
    assert all(
        width == size or (width % align == 0 and width >= max(2, size / 10))
        for width, size in zip(widths.values(), sizes, strict=True)
    )
    if widths == dict(zip(scores, sizes, strict=True)):
        return
    wider = [
        {**widths, name: min(len(scores[name]), (width // align + 1) * align)}
        for name, width in widths.items()
        if width < len(scores[name])
    ]
    assert any(chained(one) > budget for one in wider)


@SETTINGS
@given(layers, st.integers(0, 10_000), st.sampled_from([1, 8]))
def test_a_larger_budget_never_removes_more(sizes, seed, align):
    scores, whole = scores_of(sizes, seed), chained(dict(enumerate(sizes)))
    floor = Floor(channels=1, share=0.0)
    kept = [select_within(scores, chained, share * whole, floor=floor, align=align) for share in (0.9, 0.97, 1.0)]
    for fewer, more in pairwise(kept):
        assert all(set(fewer[name]) <= set(more[name]) for name in scores)
    assert kept[-1] == {name: tuple(range(len(values))) for name, values in scores.items()}


def test_tiny_budgets_equal_the_threshold_found_by_trying_all():
    scores = {"a": torch.tensor([5.0, 1.0, 3.0]), "b": torch.tensor([2.0, 6.0, 4.0])}
    floor = Floor(channels=1, share=0.0)
    for budget in (5, 8, 10, 14, 18):
        fitting = []
        for threshold in range(1, 7):
            kept = {n: tuple(i for i, v in enumerate(values) if v >= threshold) for n, values in scores.items()}
            if all(kept.values()) and 3 * len(kept["a"]) + len(kept["a"]) * len(kept["b"]) <= budget:
                fitting.append(kept)
        assert select_within(scores, chained, budget, floor=floor) == fitting[0]


@pytest.mark.parametrize("keyword", COUNTS)
@pytest.mark.parametrize("name", sorted(fermodels.MODELS))
def test_networks_are_within_their_share(name, keyword):
    net, count = small(name), COUNTS[keyword]
    kept = []
    for share in SHARES if name != "densenet121" else (0.8, 1.0):  # only part of it can be slimmed
        slim_net, plan = slim(net, net.example(), **{keyword: share}, floor=FLOOR, align=2)
        reached = count(slim_net) / count(net)
        assert reached <= share
        assert share == 1 or reached > share - 0.15, "one step of 2 of about 10 channels"
        assert plan.target == keyword.removesuffix("_share") and plan.requested == share
        assert plan.achieved == pytest.approx(reached)
        assert all(
            width == plan.widths_before[group] or (width % 2 == 0 and width >= 2)
            for group, width in plan.widths_after.items()
        )
        kept.append(plan.kept)
    for fewer, more in pairwise(kept):
        assert all(set(fewer[group]) <= set(more[group]) for group in fewer)
    assert all(len(channels) == plan.widths_before[group] for group, channels in kept[-1].items())


@pytest.mark.parametrize(
    ("name", "config"), [*((name, {}) for name in sorted(fermodels.MODELS)), ("mrf", {"bn": "first"})]
)
def test_counting_without_weights_is_counting(name, config):
    net = small(name, **config)
    groups = channel_groups(net, net.example())
    widths = {group.name: 2 + i % 5 for i, group in enumerate(groups)}
    smaller = copy.deepcopy(net)
    cut(smaller, groups, {group.name: torch.arange(widths[group.name], group.size) for group in groups})
    assert counter(net, net.example(), groups, "params")(widths) == params(smaller)
    assert counter(net, net.example(), groups, "macs")(widths) == macs(smaller, smaller.example())


def test_plan_on_disk_keeps_its_target(tmp_path):
    net = small("vggnet")
    slim_net, plan = slim(net, net.example(), macs_share=0.5, floor=FLOOR)
    plan.save(tmp_path / "plan.json")
    again = Plan.load(tmp_path / "plan.json")
    assert again == plan and again.summary()["target"] == "macs"
    assert params(apply(again, net, net.example())) == params(slim_net)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"ratio": 0.5, "macs_share": 0.4}, "ratio=0.5 and macs_share=0.4: a cut has one target"),
        ({"macs_share": 0.0}, "macs_share=0.0.*may stay"),
        ({"params_share": 1.2}, "params_share=1.2.*may stay"),
        ({"macs_share": 0.001}, "macs_share=0.001.*the narrowest network costs"),
        ({"macs_share": 0.5, "rule": "liu"}, "share of channels only"),
        ({"target_ms": 1.0, "runtime": "abacus"}, "allowed are torch"),
        ({"target_ms": 1.0, "batch": 0}, "batch=0"),
    ],
)
def test_mistakes_are_sentences(options, sentence):
    with pytest.raises(ValueError, match=sentence):
        net = small("vggnet")
        slim(net, net.example(), **options)
