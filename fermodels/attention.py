"""The landmark-guided attention map of paper 1: where on the 7 x 7 map the network should look.

Unusual: the map has one channel (the mask it is trained towards has one) and is broadcast over the features.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn


class AttentionGate(nn.Module):
    """M_H = sigmoid(w2 * tanh(w1 * F + b1) + b2), two 3 x 3 convolutions (eq 3); F_M = M_H (.) F (eq 7)."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, hidden, 3, padding=1)
        self.conv2 = nn.Conv2d(hidden, 1, 3, padding=1)

    def forward(self, features: Float[Tensor, "b c h w"]) -> tuple[Float[Tensor, "b c h w"], Float[Tensor, "b 1 h w"]]:
        """(F_M, M_H): the weighted features and the map in (0, 1), in the frame of `features`."""
        attention = torch.sigmoid(self.conv2(torch.tanh(self.conv1(features))))
        return features * attention, attention
