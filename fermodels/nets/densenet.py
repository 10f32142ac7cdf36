"""DenseNet-121 (Huang et al. 2017) in torchvision's layout and with its key names: a baseline of paper 2's Fig 3.

Every layer adds a few channels (the growth) to all that came before it. What can be slimmed is each layer's own inner
width, so the list of widths has one number a layer. Unusual: the second convolution of a layer has a bias, zero at
first, which torchvision's has not: slimming puts into it what removed channels leave behind.
"""

from collections import OrderedDict
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from fermodels.nets.resnet import STEM_HALVINGS
from fermodels.nets.vgg import Output

BLOCKS = (6, 12, 24, 16)
"""Layers of each dense block of DenseNet-121."""
GROWTH, STEM, INNER = 32, 64, 128
"""Channels that a layer adds, channels of the stem, inner width of a layer (four times the growth)."""


class DenseLayer(nn.Module):
    """1 x 1 convolution to the inner width, 3 x 3 convolution to the growth; batch norm and ReLU before each."""

    def __init__(self, channels: int, inner: int, growth: int) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(channels)
        self.conv1 = nn.Conv2d(channels, inner, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(inner)
        self.conv2 = nn.Conv2d(inner, growth, 3, padding=1)

    def forward(self, features: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d h w"]:
        inner = self.conv1(functional.relu(self.norm1(features)))
        return torch.cat([features, self.conv2(functional.relu(self.norm2(inner)))], 1)


class DenseNetTrunk(nn.Module):
    """All but the classifier: (b, 3, s, s) -> (b, c, s / 2**k, s / 2**k), k = 3 + stem_halvings, rounded down."""

    def __init__(
        self, widths: tuple[int, ...], *, blocks: tuple[int, ...], growth: int, stem: int, stem_halvings: int = 2
    ) -> None:
        if len(widths) != sum(blocks) or min(widths, default=0) < 1:
            raise ValueError(f"widths={widths}: blocks={blocks} have {sum(blocks)} layers, each a positive inner width")
        if stem_halvings not in STEM_HALVINGS:
            raise ValueError(f"stem_halvings={stem_halvings}: allowed are 2 (for 224 px), 1 (112 px) and 0 (56 px)")
        super().__init__()
        inner, channels = iter(widths), stem
        self.conv0 = nn.Conv2d(3, stem, 7, stride=2 if stem_halvings else 1, padding=3, bias=False)
        self.norm0 = nn.BatchNorm2d(stem)
        self.pool0 = nn.MaxPool2d(3, stride=2, padding=1) if stem_halvings == 2 else nn.Identity()
        for number, layers in enumerate(blocks, 1):
            block = nn.Sequential()
            for layer in range(1, layers + 1):
                block.add_module(f"denselayer{layer}", DenseLayer(channels, next(inner), growth))
                channels += growth
            self.add_module(f"denseblock{number}", block)
            if number < len(blocks):
                self.add_module(f"transition{number}", _transition(channels))
                channels //= 2
        self.norm5 = nn.BatchNorm2d(channels)
        self.blocks, self.out_channels = blocks, channels
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, face: Float[Tensor, "b 3 s s"]) -> Float[Tensor, "b c h w"]:
        features = self.pool0(functional.relu(self.norm0(self.conv0(face))))
        for number in range(1, len(self.blocks) + 1):
            features = self.get_submodule(f"denseblock{number}")(features)
            if number < len(self.blocks):
                features = self.get_submodule(f"transition{number}")(features)
        return functional.relu(self.norm5(features))

    @property
    def widths(self) -> tuple[int, ...]:
        """Inner width of each layer, as the modules are now."""
        return tuple(module.conv1.out_channels for module in self.modules() if isinstance(module, DenseLayer))


def _transition(channels: int) -> nn.Sequential:
    """Half the channels, half the side."""
    layers: list[tuple[str, nn.Module]] = [("norm", nn.BatchNorm2d(channels)), ("relu", nn.ReLU())]
    layers += [("conv", nn.Conv2d(channels, channels // 2, 1, bias=False)), ("pool", nn.AvgPool2d(2))]
    return nn.Sequential(OrderedDict(layers))


@dataclass(frozen=True, kw_only=True)
class DenseNetConfig:
    """DenseNet on the whole face: global average pooling, one linear classifier."""

    widths: dict[str, tuple[int, ...]] = field(default_factory=lambda: {"face": (INNER,) * sum(BLOCKS)})
    """Inner width of every layer."""
    blocks: tuple[int, ...] = BLOCKS
    growth: int = GROWTH
    stem: int = STEM
    classes: int = 7
    size: int = 224
    """Side of the face in pixels."""
    stem_halvings: int = 2
    """How often the stem halves the map, as in `fermodels.nets.resnet.ResNet18Config`."""
    dropout: float = 0.0
    """Share of pooled features zeroed in training."""


class DenseNet(nn.Module):
    """DenseNet trunk + classifier on the whole face."""

    inputs = ("face",)

    def __init__(self, config: DenseNetConfig) -> None:
        if set(config.widths) != {"face"}:
            raise ValueError(f'widths={config.widths}: a DenseNet takes {{"face": one inner width a layer}}')
        super().__init__()
        self.config = config
        place = {"growth": config.growth, "stem": config.stem, "stem_halvings": config.stem_halvings}
        trunk = DenseNetTrunk(config.widths["face"], blocks=config.blocks, **place)
        self.trunks = nn.ModuleDict({"face": trunk})
        self.dropout = nn.Dropout(config.dropout)
        self.classifier = nn.Linear(trunk.out_channels, config.classes)

    def forward(self, face: Float[Tensor, "b 3 s s"]) -> Output:
        pooled = self.trunks["face"](face).mean((2, 3))
        return Output(self.classifier(self.dropout(pooled))[None])

    def example(self, batch: int = 1) -> tuple[Tensor, ...]:
        """Random inputs of the right shapes, one for each name in `inputs`."""
        return (torch.randn(batch, 3, self.config.size, self.config.size),)
