"""What channels are worth: against Torch-Pruning's own scores, and against chance on a network trained here."""

import pytest
import torch
import torch_pruning as tp
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from compress import CRITERIA, Context, channel_groups, slim

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
    with pytest.raises(ValueError, match="not finite"):
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
