"""What channels are worth: against Torch-Pruning's own scores, and against chance on a network trained here."""

import warnings

import pytest
import torch
import torch_pruning as tp
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from compress import CRITERIA, Context, Floor, channel_groups, fit, slim

CLASSES, SIDE = 6, 8


def plain(seed=0):
    """Three convolutions in a row, with gammas of both signs."""
    torch.manual_seed(seed)
    layers = []
    for wide, narrow in ((3, 16), (16, 24), (24, 24)):
        layers += [nn.Conv2d(wide, narrow, 3, padding=1, bias=False), nn.BatchNorm2d(narrow), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(96, CLASSES))


def norms(net):
    return [module for module in net.modules() if isinstance(module, nn.BatchNorm2d)]


def lively(net):
    for norm in norms(net):
        nn.init.normal_(norm.weight)
    return net


EXAMPLE = torch.randn(1, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))


def test_group_norm_is_torch_prunings():
    net = lively(plain()).eval()
    ours = CRITERIA["group_norm"](net, channel_groups(net, EXAMPLE), Context())
    graph = tp.DependencyGraph().build_dependency(net, EXAMPLE)
    importance = tp.importance.GroupMagnitudeImportance(p=2, normalizer="mean")
    for name, scores in ours.items():
        conv = net.get_submodule(name)
        group = graph.get_pruning_group(conv, tp.prune_conv_out_channels, list(range(conv.out_channels)))
        assert torch.allclose(scores, importance(group), rtol=1e-4), name


def test_gamma_mean_puts_layers_on_one_scale():
    net = lively(plain())
    with torch.no_grad():
        norms(net)[0].weight.mul_(100)
        norms(net)[2].weight.zero_()
    scores = list(CRITERIA["gamma_mean"](net, channel_groups(net, EXAMPLE), Context()).values())
    assert [float(one.mean()) for one in scores] == pytest.approx([1, 1, 0])
    assert torch.allclose(scores[0] * norms(net)[0].weight.abs().mean(), norms(net)[0].weight.abs())


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@pytest.mark.parametrize("criterion", ["gamma", "gamma_mean", "group_norm", "uniform"])
def test_gammas_that_are_not_finite_are_a_sentence(bad, criterion):
    net = lively(plain())
    with torch.no_grad():
        norms(net)[1].weight[3] = bad
    with pytest.raises(ValueError, match=r"NaN|finite"):
        slim(net, EXAMPLE, ratio=0.5, criterion=criterion)


@pytest.mark.parametrize("criterion", ["gamma", "gamma_mean", "group_norm", "uniform"])
def test_the_sign_of_a_gamma_does_not_matter(criterion):
    net, other = lively(plain()), lively(plain())
    with torch.no_grad():
        for norm, twin in zip(norms(net), norms(other), strict=True):
            twin.weight.copy_(norm.weight.abs())
    groups = channel_groups(net, EXAMPLE)
    ours, theirs = (CRITERIA[criterion](one, groups, Context()) for one in (net, other))
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


@pytest.mark.parametrize("gammas", [torch.ones(24), torch.rand(24) + 0.5])
def test_a_network_without_a_penalty_is_told_so_before_gammas_choose(gammas):
    net = plain()
    with torch.no_grad():
        for norm in norms(net):
            norm.weight.copy_(gammas[: len(norm.weight)])
    with pytest.warns(UserWarning, match="0% of the gammas are near zero.*gamma_mean"):
        slim(net, EXAMPLE, ratio=0.5)


def test_after_a_penalty_and_with_other_criteria_nothing_is_said():
    net = lively(plain())
    with torch.no_grad():
        for norm in norms(net):
            norm.weight[::2] = 0
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        slim(net, EXAMPLE, ratio=0.5)
        slim(plain(), EXAMPLE, ratio=0.5, criterion="gamma_mean")
    assert not [one for one in said if "gammas are near zero" in str(one.message)]


def scores_of(net, **context):
    groups = channel_groups(net, EXAMPLE)
    return CRITERIA["taylor"](net, groups, Context(**context))


def test_taylor_takes_any_loader_and_any_loss():
    net = lively(plain())
    x, y = torch.randn(12, 3, SIDE, SIDE), torch.arange(12) % CLASSES
    usual = scores_of(net, labelled=DataLoader(TensorDataset(x, y), batch_size=4))
    named = scores_of(
        net,
        labelled=list(zip(x.split(4), y.split(4), strict=True)),
        loss=nn.functional.cross_entropy,
    )
    assert all(torch.allclose(usual[name], named[name]) for name in usual)
    other = scores_of(net, labelled=[(x, x)], loss=lambda answer, targets: answer.square().mean())
    assert all(bool(one.isfinite().all()) and float(one.max()) > 0 for one in other.values())


def test_taylor_leaves_frozen_gammas_frozen():
    net = lively(plain()).requires_grad_(False)
    found = scores_of(net, labelled=[(torch.randn(4, 3, SIDE, SIDE), torch.arange(4))])
    assert all(float(one.max()) > 0 for one in found.values())
    assert not any(one.requires_grad or one.grad is not None for one in net.parameters())


@pytest.mark.parametrize(
    ("labelled", "sentence"),
    [
        (None, "give labelled="),
        ([], "labelled is empty"),
        ([(torch.zeros(2, 3, SIDE, SIDE), torch.zeros(2, 5, 5))], "loss=lambda"),
        ([(torch.zeros(2, 3, SIDE, SIDE), torch.tensor([0, 99]))], "loss=lambda"),
        ([(torch.full((2, 3, SIDE, SIDE), torch.nan), torch.tensor([0, 1]))], "the loss of a batch is nan"),
    ],
)
def test_mistakes_of_taylor_are_sentences(labelled, sentence):
    with pytest.raises(ValueError, match=sentence):
        scores_of(plain(), labelled=labelled)


@pytest.fixture(scope="module")
def trained():
    """A network that learned to tell noisy patterns apart, without any penalty; and a test of it."""
    random = torch.Generator().manual_seed(1)
    patterns = torch.randn(CLASSES, 3, SIDE, SIDE, generator=random)
    y = torch.randint(0, CLASSES, (1408,), generator=random)
    x = patterns[y] + 3 * torch.randn(len(y), 3, SIDE, SIDE, generator=random)
    net = plain()
    batches = list(zip(x[:1024].split(64), y[:1024].split(64), strict=True))
    fit(net, batches, epochs=5, lr=0.05, weight_decay=5e-3, progress=False)
    return net, x, y


def test_group_norm_is_clearly_better_than_chance(trained):
    net, x, y = trained

    def accuracy(criterion, seed=0):
        how = {"ratio": 0.6, "floor": Floor(channels=2), "calibrate": [(x[:512],)], "seed": seed}
        small, _ = slim(net, EXAMPLE, criterion=criterion, labelled=[(x[:512], y[:512])], **how)
        return float((small(x[1024:]).argmax(1) == y[1024:]).double().mean())

    chance = sum(accuracy("random", seed) for seed in range(4)) / 4
    assert accuracy("group_norm") > chance + 0.1
