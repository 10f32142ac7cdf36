"""VGG-BN-16 from a list of 13 widths, and the plain VGGNet of the papers.

A slim network is this same code with other widths. Unusual: the number of pools is a setting, so that the last map is
7 x 7 at every scale (224 px with five pools, 112 with four, 56 with three); the pools that fall away are the last ones.
"""

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

VGG16 = (64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512)
"""Output channels of the 13 convolutions (Simonyan and Zisserman 2015, configuration D)."""
GROUPS = (2, 2, 3, 3, 3)
"""Convolutions between two pools."""
BN_CHOICES = ("all", "first", "none")


class Output(NamedTuple):
    """What every classifier returns."""

    logits: Float[Tensor, "heads b classes"]
    attention: Float[Tensor, "b 1 h w"] | None = None
    """The map that the mask loss trains (paper 1)."""
    regions: Float[Tensor, "k b classes"] | None = None
    """Logits of each region alone, in training only (paper 2)."""


def probabilities(output: Output) -> Float[Tensor, "b classes"]:
    """P = mean over the heads of softmax(logits), per image (paper 1, eq 13; one head: plain softmax)."""
    return output.logits.float().softmax(-1).mean(0)


def scaled(width: float, widths: tuple[int, ...] = VGG16) -> tuple[int, ...]:
    """`widths` times `width`, at least 8 channels each: 0.25 is the quarter-width network."""
    return tuple(max(8, round(c * width)) for c in widths)


class VGGTrunk(nn.Sequential):
    """The convolutions of VGG-16: (b, 3, s, s) -> (b, widths[-1], s / 2**pools, s / 2**pools).

    Children `blocks.<i>` hold `conv`, `bn` (where there is one), `relu` and, at the end of a group, `pool`.
    """

    def __init__(self, widths: tuple[int, ...], *, pools: int = 5, bn: str = "all") -> None:
        check_trunk(widths, pools, bn)
        super().__init__(OrderedDict(blocks=nn.Sequential(*_blocks(widths, pools, bn))))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]

    @property
    def widths(self) -> tuple[int, ...]:
        """Output channels of the 13 convolutions as they are now."""
        return tuple(module.out_channels for module in self.modules() if isinstance(module, nn.Conv2d))

    @property
    def out_channels(self) -> int:
        """Channels of the last map."""
        return self.widths[-1]


def check_trunk(widths: tuple[int, ...], pools: int, bn: str) -> None:
    """Raises ValueError with the mend when a trunk of these settings cannot be built."""
    if len(widths) != len(VGG16) or min(widths) < 1:
        raise ValueError(f"widths={widths}: a VGG-16 trunk takes {len(VGG16)} positive numbers, like {VGG16}")
    if not 0 <= pools <= len(GROUPS):
        raise ValueError(f"pools={pools}: allowed are 0 to {len(GROUPS)}; 3 for 56 px, 4 for 112, 5 for 224")
    if bn not in BN_CHOICES:
        raise ValueError(f'bn="{bn}": allowed are {", ".join(BN_CHOICES)}')


def _blocks(widths: tuple[int, ...], pools: int, bn: str) -> list[nn.Sequential]:
    blocks, in_channels = [], 3
    convs = iter(widths)
    for group, length in enumerate(GROUPS):
        for position in range(length):
            out_channels = next(convs)
            layers: OrderedDict[str, nn.Module] = OrderedDict()
            layers["conv"] = nn.Conv2d(in_channels, out_channels, 3, padding=1)
            if bn == "all" or (bn == "first" and position == 0):
                layers["bn"] = nn.BatchNorm2d(out_channels)
            layers["relu"] = nn.ReLU(inplace=True)
            if position == length - 1 and group < pools:
                layers["pool"] = nn.MaxPool2d(2)
            blocks.append(nn.Sequential(layers))
            in_channels = out_channels
    return blocks


@dataclass(frozen=True, kw_only=True)
class VGGNetConfig:
    """The plain network of Table 5: one trunk on the whole face, global average pooling, one linear classifier."""

    widths: dict[str, tuple[int, ...]] = field(default_factory=lambda: {"face": VGG16})
    classes: int = 7
    size: int = 224
    """Side of the face in pixels."""
    pools: int = 5
    bn: str = "all"
    """Batch norm after every convolution ("all"), the first of each group ("first"), or nowhere ("none")."""
    dropout: float = 0.0
    """Share of pooled features zeroed in training."""


class VGGNet(nn.Module):
    """VGG-16 trunk + classifier on the whole face: the baseline that both papers slim or beat."""

    inputs = ("face",)

    def __init__(self, config: VGGNetConfig) -> None:
        if set(config.widths) != {"face"}:
            raise ValueError(f'widths={config.widths}: a VGGNet takes {{"face": {len(VGG16)} numbers}}')
        super().__init__()
        self.config = config
        self.trunks = nn.ModuleDict({"face": VGGTrunk(config.widths["face"], pools=config.pools, bn=config.bn)})
        self.dropout = nn.Dropout(config.dropout)
        self.classifier = nn.Linear(config.widths["face"][-1], config.classes)

    def forward(self, face: Float[Tensor, "b 3 s s"]) -> Output:
        pooled = self.trunks["face"](face).mean((2, 3))
        return Output(self.classifier(self.dropout(pooled))[None])

    def example(self, batch: int = 1) -> tuple[Tensor, ...]:
        """Random inputs of the right shapes, one for each name in `inputs`."""
        return (torch.randn(batch, 3, self.config.size, self.config.size),)
