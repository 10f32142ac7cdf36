"""ResNet-18 and ResNet-50 from a list of widths, in torchvision's layout and with its key names.

A slim network is this same code with other widths. Unusual: the widths of all convolutions that a residual sum ties are
one number of the list, so no list describes a network whose sums do not fit; and the length of the list says which of
the two it is. `stem_halvings` keeps the last map 7 x 7 at every scale (224 px with two, 112 with one, 56 with none).
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from fermodels.nets.vgg import Output

RESNET18 = (64, *(64, 64), *(128, 128, 128), *(256, 256, 256), *(512, 512, 512))
"""Stem and first stage, then for each block its inner width, a new stage's residual width behind its first block's."""
RESNET50 = (
    *(64, 64, 64, 256, *(64, 64) * 2),
    *(128, 128, 512, *(128, 128) * 3),
    *(256, 256, 1024, *(256, 256) * 5),
    *(512, 512, 2048, *(512, 512) * 2),
)
"""The same; a block has two inner widths, and the first stage's residual width is its own (He et al. 2016)."""
STEM_HALVINGS = (0, 1, 2)


class Layout(NamedTuple):
    """What distinguishes one depth from another."""

    blocks: tuple[int, ...]
    """Blocks of each stage."""
    kernels: tuple[int, ...]
    """Kernel of each convolution of a block; the first 3 x 3 one has the stride."""


LAYOUTS = {
    len(RESNET18): Layout(blocks=(2, 2, 2, 2), kernels=(3, 3)),
    len(RESNET50): Layout(blocks=(3, 4, 6, 3), kernels=(1, 3, 1)),
}
"""Length of the width list -> layout."""


class Block(nn.Module):
    """Two or three convolutions beside a shortcut, which is a 1 x 1 convolution (`downsample`) where shapes change."""

    def __init__(self, widths: tuple[int, ...], kernels: tuple[int, ...], stride: int, *, project: bool) -> None:
        super().__init__()
        self.depth = len(kernels)
        for number, (inputs, outputs, kernel) in enumerate(zip(widths, widths[1:], kernels, strict=False), 1):
            step = stride if number == kernels.index(3) + 1 else 1
            conv = nn.Conv2d(inputs, outputs, kernel, stride=step, padding=kernel // 2, bias=False)
            self.add_module(f"conv{number}", conv)
            self.add_module(f"bn{number}", nn.BatchNorm2d(outputs))
        self.relu = nn.ReLU(inplace=True)
        self.downsample = None
        if project:
            shortcut = nn.Conv2d(widths[0], widths[-1], 1, stride=stride, bias=False)
            self.downsample = nn.Sequential(shortcut, nn.BatchNorm2d(widths[-1]))

    def forward(self, features: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d i j"]:
        shortcut = features if self.downsample is None else self.downsample(features)
        for number in range(1, self.depth):
            features = self.relu(self._normed(number, features))
        return self.relu(self._normed(self.depth, features) + shortcut)

    def _normed(self, number: int, features: Tensor) -> Tensor:
        return self.get_submodule(f"bn{number}")(self.get_submodule(f"conv{number}")(features))

    @property
    def widths(self) -> tuple[int, ...]:
        """Output channels of each convolution; the last is the residual width."""
        return tuple(self.get_submodule(f"conv{number}").out_channels for number in range(1, self.depth + 1))  # type: ignore[misc]


class ResNetTrunk(nn.Module):
    """All but the classifier: (b, 3, s, s) -> (b, widths of the last stage, s / 2**k, s / 2**k), k = 3 + stem_halvings.

    Sides that do not divide are rounded up: 112 px with two halvings in the stem end in a 4 x 4 map.
    """

    def __init__(self, widths: tuple[int, ...], *, stem_halvings: int = 2) -> None:
        check_trunk(widths, stem_halvings)
        super().__init__()
        layout, numbers = LAYOUTS[len(widths)], iter(widths)
        stem = next(numbers)
        self.conv1 = nn.Conv2d(3, stem, 7, stride=2 if stem_halvings else 1, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(stem)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1) if stem_halvings == 2 else nn.Identity()
        for stage, blocks in enumerate(_stages(layout, stem, numbers), 1):
            self.add_module(f"layer{stage}", nn.Sequential(*blocks))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, face: Float[Tensor, "b 3 s s"]) -> Float[Tensor, "b c h w"]:
        features = self.maxpool(self.relu(self.bn1(self.conv1(face))))
        for stage in self._stages:
            features = stage(features)
        return features

    @property
    def _stages(self) -> list[nn.Module]:
        return [self.get_submodule(f"layer{stage}") for stage in range(1, 5)]

    @property
    def widths(self) -> tuple[int, ...]:
        """The list of widths as the modules are now."""
        found = [self.conv1.out_channels]
        for module in self.modules():
            if isinstance(module, Block):
                found += module.widths if module.downsample is not None else module.widths[:-1]
        return tuple(found)

    @property
    def out_channels(self) -> int:
        """Channels of the last map."""
        return self.get_submodule("layer4.0").widths[-1]  # type: ignore[index]


def stem_halvings_for(size: int) -> int:
    """The setting with which faces of `size` px end in a 4 x 4 map, as paper 2's of 112 px do; at most 2."""
    return 2 if size >= 112 else 1 if size >= 56 else 0


def check_trunk(widths: tuple[int, ...], stem_halvings: int) -> None:
    """Raises ValueError with the mend when a trunk of these settings cannot be built."""
    if len(widths) not in LAYOUTS or min(widths) < 1:
        raise ValueError(
            f"widths={widths}: a ResNet takes {len(RESNET18)} (ResNet-18) or {len(RESNET50)} (ResNet-50) positive "
            f"numbers, like {RESNET18}"
        )
    if stem_halvings not in STEM_HALVINGS:
        raise ValueError(f"stem_halvings={stem_halvings}: allowed are 2 (for 224 px), 1 (112 px) and 0 (56 px)")


def _stages(layout: Layout, residual: int, numbers: Iterator[int]) -> Iterator[list[Block]]:
    """The blocks of each stage; `residual` is the width of the stem, `numbers` are the widths behind it."""
    for stage, count in enumerate(layout.blocks):
        blocks = []
        for position in range(count):
            inner = [next(numbers) for _ in layout.kernels[1:]]
            project = position == 0 and (stage > 0 or len(layout.kernels) == 3)
            outputs = next(numbers) if project else residual
            stride = 2 if position == 0 and stage > 0 else 1
            blocks.append(Block((residual, *inner, outputs), layout.kernels, stride, project=project))
            residual = outputs
        yield blocks


@dataclass(frozen=True, kw_only=True)
class ResNet18Config:
    """ResNet-18 on the whole face: global average pooling, one linear classifier (paper 2's "Res18")."""

    widths: dict[str, tuple[int, ...]] = field(default_factory=lambda: {"face": RESNET18})
    classes: int = 7
    size: int = 224
    """Side of the face in pixels."""
    stem_halvings: int = 2
    """How often the stem halves the map: 2 as published, 1 without the max pool, 0 without the stride as well."""
    dropout: float = 0.0
    """Share of pooled features zeroed in training."""


@dataclass(frozen=True, kw_only=True)
class ResNet50Config(ResNet18Config):
    """ResNet-50 on the whole face."""

    widths: dict[str, tuple[int, ...]] = field(default_factory=lambda: {"face": RESNET50})


class ResNet18(nn.Module):
    """ResNet trunk + classifier on the whole face: the baseline of paper 2."""

    inputs = ("face",)
    depth = 18

    def __init__(self, config: ResNet18Config) -> None:
        wanted = {18: RESNET18, 50: RESNET50}[self.depth]
        if set(config.widths) != {"face"} or len(config.widths["face"]) != len(wanted):
            raise ValueError(f'widths={config.widths}: a ResNet-{self.depth} takes {{"face": {len(wanted)} numbers}}')
        super().__init__()
        self.config = config
        trunk = ResNetTrunk(config.widths["face"], stem_halvings=config.stem_halvings)
        self.trunks = nn.ModuleDict({"face": trunk})
        self.dropout = nn.Dropout(config.dropout)
        self.classifier = nn.Linear(trunk.out_channels, config.classes)

    def forward(self, face: Float[Tensor, "b 3 s s"]) -> Output:
        pooled = self.trunks["face"](face).mean((2, 3))
        return Output(self.classifier(self.dropout(pooled))[None])

    def example(self, batch: int = 1) -> tuple[Tensor, ...]:
        """Random inputs of the right shapes, one for each name in `inputs`."""
        return (torch.randn(batch, 3, self.config.size, self.config.size),)


class ResNet50(ResNet18):
    """The same from ResNet-50's widths."""

    depth = 50
