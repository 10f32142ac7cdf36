"""What an encoder knows before it is fine-tuned: expressions read off its features by neighbours and by one layer.

Both readers are fitted on training features and asked about validation features; the encoder itself learns nothing from
the labels. A number here means little beside 1 / classes, and much beside that of the same encoder untrained.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from compress.training.loop import autocast
from fermodels.data.base import Dataset
from fermodels.training.views import ViewConfig, Views

TRAIN_FACES, VALIDATION_FACES = 4000, 2000
"""At most so many of each split, evenly spaced: a probe then takes seconds."""
NEIGHBOURS, SHARPNESS = 20, 0.1
"""Voting neighbours, and the temperature of their votes (Wu et al. 2018)."""
PENALTY = 1e-3
"""Weight of the squared weights of the linear layer: features of one face can be as many as faces."""
STEPS = 100
"""Of L-BFGS, which is at its end well before."""


def nearest(
    known: Float[Tensor, "n c"], labels: Int[Tensor, " n"], asked: Float[Tensor, "m c"], neighbours: int = NEIGHBOURS
) -> Int[Tensor, " m"]:
    """The class that the `neighbours` most similar features (cosine s) vote for, each with weight exp(s / 0.1)."""
    similarity = functional.normalize(asked, dim=1) @ functional.normalize(known, dim=1).T
    near, which = similarity.topk(min(neighbours, len(known)), dim=1)
    votes = torch.zeros(len(asked), int(labels.max()) + 1, device=asked.device)
    return votes.scatter_add_(1, labels[which], (near / SHARPNESS).exp()).argmax(1)


def linear(known: Float[Tensor, "n c"], labels: Int[Tensor, " n"], asked: Float[Tensor, "m c"]) -> Int[Tensor, " m"]:
    """The answer of one linear layer on standardised features: regularised logistic regression, by L-BFGS from 0."""
    mean, spread = known.mean(0), known.std(0).clamp(min=1e-6)
    known, asked = (known - mean) / spread, (asked - mean) / spread
    layer = nn.Linear(known.shape[1], int(labels.max()) + 1, device=known.device)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    optimizer = torch.optim.LBFGS(layer.parameters(), max_iter=STEPS, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        value = functional.cross_entropy(layer(known), labels) + PENALTY * layer.weight.square().sum()
        value.backward()
        return value

    optimizer.step(loss)  # type: ignore[arg-type]
    with torch.no_grad():
        return layer(asked).argmax(1)


@dataclass(frozen=True, eq=False)
class Probe:
    """The faces of one labelled data set that an encoder is asked about."""

    train: Views
    validation: Views

    @classmethod
    def of(cls, data: Dataset, views: ViewConfig, device: str = "cpu") -> "Probe":
        """Of the train and the validation split; the test split has no part in it."""
        return cls(*(Views(split, views, ("face",), device) for split in (data.train, data.validation)))

    def __call__(self, net: nn.Module) -> dict[str, float]:
        """Accuracy, 0 to 1, on the validation split of both readers: "knn" and "linear"."""
        known, labels = encoded(net, self.train, TRAIN_FACES)
        asked, truth = encoded(net, self.validation, VALIDATION_FACES)
        readers = {"knn": nearest, "linear": linear}
        return {name: (read(known, labels, asked) == truth).float().mean().item() for name, read in readers.items()}


def encoded(net: nn.Module, views: Views, most: int) -> tuple[Float[Tensor, "n c"], Int[Tensor, " n"]]:
    """Features of at most `most` faces at the centre crop, in evaluation mode under bf16, and their labels."""
    batches = views.spread(most)
    net.eval()
    with torch.no_grad(), autocast(views.images.device.type, True):
        features = [net.encode(*batch.views).float() for batch in batches]  # type: ignore[operator]
    return torch.cat(features), torch.cat([batch.labels for batch in batches])
