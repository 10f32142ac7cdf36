"""Where a network looks: paper 1's landmark-guided map, and paper 2's channel-then-spatial attention (CBAM).

Unusual: a map has one channel (the mask that paper 1's is trained towards has one) and is broadcast over the features.
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


class CBAM(nn.Module):
    """Channel attention, then spatial attention (paper 2, eq 4-6; Woo et al. 2018). Input maps are not negative.

    Args:
        channels: of the features.
        hidden: width of the channel attention's perceptron; channels / 16 in the publications. A slim network keeps it.
        kernel: side of the spatial attention's convolution, odd.
        official: as in its authors' code: the maximum before the mean, and a batch norm in place of the bias.

    Raises:
        ValueError: an even kernel, which would shift the map.
    """

    def __init__(self, channels: int, hidden: int, *, kernel: int = 7, official: bool = False) -> None:
        if kernel % 2 == 0:
            raise ValueError(f"kernel={kernel}: an odd number such as 7, or 3 on a 4 x 4 map")
        super().__init__()
        self.channel = ChannelGate(channels, hidden)
        self.spatial = SpatialGate(kernel, official=official)

    def forward(self, features: Float[Tensor, "b c h w"]) -> tuple[Float[Tensor, "b c h w"], Float[Tensor, "b 1 h w"]]:
        """(weighted features, spatial map in (0, 1)), in the frame of `features` (eq 4)."""
        features = features * self.channel(features)
        attention = self.spatial(features)
        return features * attention, attention

    @property
    def channels(self) -> int:
        """Channels of the features, as the modules are now."""
        return self.channel.squeeze.in_features

    def narrow(self, share: float) -> None:
        """Tells the spatial attention that only `share` of the channels are left (see `compress.slimming.cut`)."""
        self.spatial.narrow(share)


class ChannelGate(nn.Module):
    """M_C = sigmoid(MLP(AvgPool(F)) + MLP(MaxPool(F))), one perceptron for both (eq 5)."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.squeeze = nn.Linear(channels, hidden)
        self.excite = nn.Linear(hidden, channels)

    def forward(self, features: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c 1 1"]:
        pooled = (features.mean((2, 3)), features.amax((2, 3)))
        votes = [self.excite(torch.relu(self.squeeze(each))) for each in pooled]
        return torch.sigmoid(votes[0] + votes[1])[..., None, None]


class SpatialGate(nn.Module):
    """M_S = sigmoid(f([AvgPool(F); MaxPool(F)])), pooled over the channels, f one convolution (eq 6)."""

    def __init__(self, kernel: int, *, official: bool) -> None:
        super().__init__()
        self.official = official
        self.conv = nn.Conv2d(2, 1, kernel, padding=kernel // 2, bias=not official)
        self.bn = nn.BatchNorm2d(1, momentum=0.01) if official else nn.Identity()

    def forward(self, features: Float[Tensor, "b c h w"]) -> Float[Tensor, "b 1 h w"]:
        mean, most = features.mean(1, keepdim=True), features.amax(1, keepdim=True)
        return torch.sigmoid(self.bn(self.conv(torch.cat((most, mean) if self.official else (mean, most), 1))))

    @torch.no_grad()
    def narrow(self, share: float) -> None:
        """Keeps the map when only `share` of the channels stay and all others were 0, which makes the mean larger.

        The maximum is the same, because features are not negative. The kernel is a new one: copies may share the old.
        """
        weight = self.conv.weight.detach().clone()
        weight[:, 1 if self.official else 0] *= share
        self.conv.weight = nn.Parameter(weight)
