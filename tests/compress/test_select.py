"""Laws of the selection, over random scores."""

import pytest
import torch
import torch_pruning as tp
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from compress.slimming.select import Floor, select

SETTINGS = settings(max_examples=25, deadline=None, derandomize=True)


def scores_of(sizes, seed):
    """Distinct scores: a shuffled ladder, so that no tie hides a mistake."""
    total = sum(sizes)
    ladder = torch.randperm(total, generator=torch.Generator().manual_seed(seed)).float() + 1
    return {f"layer{i}": part for i, part in enumerate(ladder.split(list(sizes)))}


layers = st.lists(st.integers(8, 70), min_size=1, max_size=6)
seeds = st.integers(0, 10_000)


def most(sizes, floor, align):
    """Removable channels by hand: down to the smallest multiple of align at or above the floor."""
    least = [min(size, max(floor.channels, -(-int(1000 * floor.share) * size // 1000))) for size in sizes]
    return sum(size - min(size, -(-low // align) * align) for size, low in zip(sizes, least, strict=True))


@SETTINGS
@given(layers, seeds, st.floats(0, 0.99))
def test_exact_removes_exactly_the_budget_and_keeps_floors(sizes, seed, ratio):
    floor = Floor(channels=8, share=0.1)
    total, wanted = sum(sizes), round(ratio * sum(sizes))
    if wanted > most(sizes, floor, 1):
        with pytest.raises(ValueError, match="is the most"):
            select(scores_of(sizes, seed), ratio, floor=floor)
        return
    kept = select(scores_of(sizes, seed), ratio, floor=floor)
    assert total - sum(len(channels) for channels in kept.values()) == wanted
    assert all(len(kept[f"layer{i}"]) >= min(size, 8) for i, size in enumerate(sizes))


@SETTINGS
@given(layers, seeds, st.sampled_from([2, 4, 8, 16]), st.floats(0, 0.99))
def test_alignment_rounds_widths_and_keeps_the_budget(sizes, seed, align, ratio):
    floor = Floor(channels=1, share=0.0)
    wanted = round(ratio * sum(sizes))
    if wanted > most(sizes, floor, align):
        return
    kept = select(scores_of(sizes, seed), ratio, floor=floor, align=align)
    widths = [len(kept[f"layer{i}"]) for i in range(len(sizes))]
    assert all(width in (size,) or width % align == 0 for width, size in zip(widths, sizes, strict=True))
    assert abs(sum(sizes) - sum(widths) - wanted) <= align / 2


@SETTINGS
@given(layers, seeds, st.sampled_from([1, 8]), st.tuples(st.floats(0, 0.9), st.floats(0, 0.9)))
def test_a_larger_ratio_keeps_a_subset(sizes, seed, align, ratios):
    floor = Floor(channels=1, share=0.0)
    low, high = sorted(ratios)
    if round(high * sum(sizes)) > most(sizes, floor, align):
        return
    more, fewer = (select(scores_of(sizes, seed), ratio, floor=floor, align=align) for ratio in (low, high))
    assert all(set(fewer[name]) <= set(more[name]) for name in more)


@SETTINGS
@given(layers, seeds, st.sampled_from(["exact", "liu"]))
def test_permuting_channels_permutes_the_choice(sizes, seed, rule):
    scores = scores_of(sizes, seed)
    generator = torch.Generator().manual_seed(seed + 1)
    orders = {name: torch.randperm(len(values), generator=generator) for name, values in scores.items()}
    shuffled = {name: values[orders[name]] for name, values in scores.items()}
    try:
        kept = select(scores, 0.3, rule=rule, floor=Floor(channels=1))
    except ValueError as error:
        with pytest.raises(ValueError, match=str(error)[:20]):
            select(shuffled, 0.3, rule=rule, floor=Floor(channels=1))
        return
    again = select(shuffled, 0.3, rule=rule, floor=Floor(channels=1))
    for name, channels in again.items():
        assert tuple(sorted(orders[name][list(channels)].tolist())) == kept[name]


def test_without_alignment_the_cheapest_channels_go():
    """With no floor in reach, the removed set is the k smallest scores over all layers."""
    scores = scores_of([40, 30, 50], 3)
    kept = select(scores, 0.25, floor=Floor(channels=1, share=0.0))
    removed = sorted(
        float(values[i]) for name, values in scores.items() for i in range(len(values)) if i not in kept[name]
    )
    assert removed == [float(i + 1) for i in range(30)]


def test_equal_scores_still_step_down_in_order():
    """Rounding of a block's mean must not let a layer's second step overtake its first."""
    kept = select({"a": torch.full((27,), 0.1), "b": torch.full((13,), 0.1)}, 0.5, floor=Floor(channels=1), align=8)
    assert {name: len(channels) % 8 == 0 or len(channels) in (27, 13) for name, channels in kept.items()} == {
        "a": True,
        "b": True,
    }


def reference(gammas, percent):
    """The paper in lines: the threshold is the percentile of all |gamma|; channels above it stay."""
    flat = sorted(value for layer in gammas for value in layer)
    threshold = flat[int(len(flat) * percent)]
    return [[i for i, value in enumerate(layer) if value > threshold] for layer in gammas]


@SETTINGS
@given(layers, seeds, st.floats(0.01, 0.95))
def test_liu_is_the_reference(sizes, seed, ratio):
    scores = scores_of(sizes, seed)
    expected = reference([values.tolist() for values in scores.values()], ratio)
    if all(expected):
        assert [list(channels) for channels in select(scores, ratio, rule="liu").values()] == expected
    else:
        with pytest.raises(ValueError, match='rule="exact"'):
            select(scores, ratio, rule="liu")


def test_liu_is_torch_pruning_without_normalizer():
    """On a plain chain, at a share that is no whole number of channels, where both round up."""
    torch.manual_seed(0)
    norms = [nn.BatchNorm2d(width) for width in (21, 30, 40)]
    for norm in norms:
        nn.init.uniform_(norm.weight)
    chain = nn.Sequential()
    for i, (norm, width) in enumerate(zip(norms, (3, 21, 30), strict=True)):
        chain.extend([nn.Conv2d(width, norm.num_features, 3, padding=1), norm])
        assert i < 3
    chain.extend([nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(40, 7)])
    gammas = {str(i): norm.weight.detach().abs().clone() for i, norm in enumerate(norms)}
    pruner = tp.pruner.BasePruner(
        chain,
        torch.randn(1, 3, 8, 8),
        importance=tp.importance.BNScaleImportance(normalizer=None),
        global_pruning=True,
        pruning_ratio=0.5001,
        ignored_layers=[chain[-1]],
    )
    pruner.step()
    kept = select(gammas, 0.5001, rule="liu")
    for name, norm in zip(gammas, norms, strict=True):
        assert torch.equal(norm.weight.detach(), gammas[name][list(kept[name])])


def test_nothing_is_removed_at_zero():
    scores = scores_of([10, 20], 0)
    for rule in ("exact", "liu"):
        assert select(scores, 0, rule=rule) == {"layer0": tuple(range(10)), "layer1": tuple(range(20))}


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"ratio": 1.0}, "ratio=1.0"),
        ({"ratio": -0.1}, "ratio=-0.1"),
        ({"ratio": 0.5, "rule": "magic"}, "exact, liu"),
        ({"ratio": 0.5, "align": 0}, "align=0"),
        ({"ratio": 0.5, "align": 8, "rule": "liu"}, "use align=1"),
    ],
)
def test_mistakes_are_sentences(options, sentence):
    with pytest.raises(ValueError, match=sentence):
        select(scores_of([20, 20], 0), **options)


def test_scores_that_are_not_finite_are_refused():
    with pytest.raises(ValueError, match="diverged"):
        select({"a": torch.tensor([1.0, float("nan")])}, 0.5)


def test_the_largest_feasible_ratio_is_feasible():
    """The sentence names a ratio; asking for it works."""
    scores = scores_of([20, 33], 1)
    with pytest.raises(ValueError, match="is the most") as caught:
        select(scores, 0.9)
    ratio = float(str(caught.value).split("ratio=")[-1].split(" ")[0])
    assert sum(len(channels) for channels in select(scores, ratio).values()) == 53 - round(ratio * 53)


def test_a_floor_below_one_channel_is_refused():
    with pytest.raises(ValueError, match="empty layer"):
        Floor(channels=0)
