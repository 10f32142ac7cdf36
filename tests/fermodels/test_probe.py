"""What an encoder knows: both readers against what can be worked out by hand."""

import math

import pytest
import torch
from tiny_nets import small
from tiny_sets import noise

from fermodels.data.base import Split
from fermodels.training.probe import encoded, linear, nearest
from fermodels.training.views import ViewConfig, Views


def clusters(count: int = 60, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Three classes along three axes, scattered a little."""
    random = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % 3
    return 4 * torch.eye(5)[labels] + 0.3 * torch.randn(count, 5, generator=random), labels


@pytest.mark.parametrize("read", [nearest, linear])
def test_classes_that_lie_apart_are_told_apart(read):
    known, labels = clusters()
    asked, truth = clusters(30, seed=1)
    assert (read(known, labels, asked) == truth).all()


@pytest.mark.parametrize("read", [nearest, linear])
def test_features_without_a_hint_give_chance(read):
    random = torch.Generator().manual_seed(0)
    known, asked = torch.randn(400, 6, generator=random), torch.randn(400, 6, generator=random)
    labels, truth = (torch.randint(0, 4, (400,), generator=random) for _ in range(2))
    share = (read(known, labels, asked) == truth).float().mean().item()
    assert abs(share - 0.25) < 4 * math.sqrt(0.25 * 0.75 / 400)


def test_neighbours_vote_by_similarity():
    """Against a double loop over queries and neighbours."""
    random = torch.Generator().manual_seed(3)
    known, asked = torch.randn(20, 4, generator=random), torch.randn(7, 4, generator=random)
    labels = torch.randint(0, 3, (20,), generator=random)
    for query, answer in zip(asked.tolist(), nearest(known, labels, asked, neighbours=5).tolist(), strict=True):
        norm = math.hypot(*query)
        likeness = []
        for feature, label in zip(known.tolist(), labels.tolist(), strict=True):
            product = sum(a * b for a, b in zip(query, feature, strict=True))
            likeness.append((product / norm / math.hypot(*feature), label))
        votes = [0.0, 0.0, 0.0]
        for similarity, label in sorted(likeness)[-5:]:
            votes[label] += math.exp(similarity / 0.1)
        assert answer == votes.index(max(votes))


def test_the_linear_reader_does_not_mind_scale_and_shift():
    known, labels = clusters()
    asked, _ = clusters(30, seed=1)
    moved = torch.tensor([1e-3, 1.0, 1e3, 5.0, 1.0]), torch.tensor([0.0, 7.0, -5.0, 0.0, 2.0])
    told = linear(known, labels, asked)
    assert torch.equal(linear(known * moved[0] + moved[1], labels, asked * moved[0] + moved[1]), told)


def test_features_are_those_of_the_centre_crop_in_order():
    images = torch.stack([torch.from_numpy(noise(seed, 36, 3)) for seed in range(6)]).numpy()
    split = Split(images=images, labels=torch.arange(6).numpy(), names=[str(i) for i in range(6)])
    net, views = small("contrastive"), Views(split, ViewConfig(size=32, local_size=16), ("face",))
    features, labels = encoded(net, views, 6)
    assert labels.tolist() == list(range(6))
    pixels = torch.from_numpy(images[:, 2:34, 2:34]).permute(0, 3, 1, 2)
    with torch.no_grad():
        expected = net.encode((pixels / 255 - 0.5) / 0.25)
    assert torch.nn.functional.cosine_similarity(features, expected).min() > 0.99, "bf16 against float32"
