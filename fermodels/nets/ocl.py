"""Paper 2 (Xi 2022): the network that is pretrained on unlabelled faces, and the classifier that is made from it.

Unusual here: the five regions of a face run through the shared trunk and the shared CBAM as one batch (so the batch
norms see one distribution), and one linear layer is both the classifier and the five region classifiers: its columns
are five blocks, one a region (W = [W_1 .. W_5]; docs/papers.md, 2.3).
"""

from dataclasses import dataclass, field
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from fermodels.nets.attention import CBAM
from fermodels.nets.resnet import LAYOUTS, RESNET18, ResNetTrunk
from fermodels.nets.vgg import VGG16, Output, VGGTrunk

REGIONS = (
    (0.0, 0.0, 0.75, 0.75),
    (0.25, 0.0, 1.0, 0.75),
    (0.0, 0.25, 0.75, 1.0),
    (0.25, 0.25, 1.0, 1.0),
    (0.075, 0.075, 0.925, 0.925),
)
"""Four corners of 75 % and the centre of 85 % by side (x0, y0, x1, y1), shares of the face's side (section 3.2)."""


def trunk_of(widths: tuple[int, ...], stem_halvings: int) -> ResNetTrunk | VGGTrunk:
    """The backbone that so many widths describe. VGG-16 has 3 + `stem_halvings` pools: as many halvings as a ResNet.

    Raises:
        ValueError: a number of widths that is no backbone's.
    """
    if len(widths) == len(VGG16):
        return VGGTrunk(widths, pools=3 + stem_halvings)
    if len(widths) not in LAYOUTS:
        raise ValueError(
            f"widths={widths}: a backbone takes 12 (ResNet-18), 13 (VGG-16) or 37 (ResNet-50) positive numbers"
        )
    return ResNetTrunk(widths, stem_halvings=stem_halvings)


@dataclass(frozen=True, kw_only=True)
class OCLConfig:
    """Architecture of the classifier (FGW + LGDS). Widths: any list as long as ResNet-18's, ResNet-50's or VGG-16's."""

    widths: dict[str, tuple[int, ...]] = field(default_factory=lambda: {"face": RESNET18})
    classes: int = 7
    size: int = 112
    """Side of the face in pixels."""
    region_size: int = 112
    """Side in pixels to which every region is resized."""
    stem_halvings: int = 2
    """As in `ResNet18Config`: with 2, regions of 112 px end in a 4 x 4 map; with 1, in 7 x 7 at four times the cost."""
    gate_width: int = 32
    """Hidden units of CBAM's perceptron (512 / 16 at full width)."""
    kernel: int = 7
    """Side of CBAM's spatial kernel; on a 4 x 4 map 7 is nearly dense."""
    official: bool = False
    """CBAM as in its authors' code instead of eq 5 and 6."""
    dropout: float = 0.0
    """Share of weighted features zeroed in training."""


class OCL(nn.Module):
    """P(r_g) from the five regions' weighted features, concatenated (eq 2-7)."""

    inputs = ("face",)

    def __init__(self, config: OCLConfig) -> None:
        super().__init__()
        self.config = config
        trunk = trunk_of(config.widths["face"], config.stem_halvings)
        self.trunks = nn.ModuleDict({"face": trunk})
        self.cbam = CBAM(trunk.out_channels, config.gate_width, kernel=config.kernel, official=config.official)
        self.dropout = nn.Dropout(config.dropout)
        self.classifier = nn.Linear(len(REGIONS) * trunk.out_channels, config.classes)

    def forward(self, face: Float[Tensor, "b 3 s s"]) -> Output:
        """Logits of the fused features; in training also those of every region, which the restrain loss compares."""
        return self._answer(self._weighted(face)[0])

    def mapped(self, face: Float[Tensor, "b 3 s s"]) -> Output:
        """`forward` with the map of `attention_map` beside it, from one pass."""
        weighted, maps = self._weighted(face)
        return self._answer(weighted)._replace(attention=laid_back(maps, face.shape[-1]))

    def _answer(self, weighted: Float[Tensor, "kb c h w"]) -> Output:
        features = self.dropout(weighted.mean((2, 3))).unflatten(0, (len(REGIONS), -1))
        logits = self.classifier(torch.cat([features[k] for k in range(len(REGIONS))], 1))
        return Output(logits[None], regions=self.region_logits(features) if self.training else None)

    def region_logits(self, features: Float[Tensor, "k b c"]) -> Float[Tensor, "k b classes"]:
        """W_k r_k + b: each region alone, by its block of the classifier (eq 7). Less 4 b they sum to the logits."""
        blocks = self.classifier.weight.unflatten(1, (len(REGIONS), -1)).permute(1, 2, 0)
        return features @ blocks.to(features.dtype) + self.classifier.bias.to(features.dtype)

    def attention_map(self, face: Float[Tensor, "b 3 s s"]) -> Float[Tensor, "b 1 s s"]:
        """Where the network looks, in (0, 1), in the frame of `face`: Fig 4.

        The spatial map of every region is laid back on the pixels it was cut from; where regions overlap, their mean.
        """
        return laid_back(self._weighted(face)[1], face.shape[-1])

    def _weighted(self, face: Tensor) -> tuple[Float[Tensor, "kb c h w"], Float[Tensor, "kb 1 h w"]]:
        """Weighted features (eq 4) and spatial maps of all regions, region after region along the batch."""
        return self.cbam(self.trunks["face"](cut_regions(face, self.config.region_size)))

    def example(self, batch: int = 1) -> tuple[Tensor, ...]:
        """Random inputs of the right shapes, one for each name in `inputs`."""
        return (torch.randn(batch, 3, self.config.size, self.config.size),)


def region_boxes(side: int) -> list[tuple[int, ...]]:
    """`REGIONS` of a face of `side` pixels, in whole pixels (x0, y0, x1, y1), the last ones exclusive."""
    return [tuple(round(share * side) for share in box) for box in REGIONS]


def cut_regions(face: Float[Tensor, "b 3 s s"], size: int) -> Float[Tensor, "kb 3 size size"]:
    """The five regions of every face, resized bilinearly: all first regions, then all second ones, and so on."""
    boxes = region_boxes(int(face.shape[-1]))  # fvcore's tracer hands out sides as tensors
    return torch.cat([_resized(face[:, :, y0:y1, x0:x1], (size, size)) for x0, y0, x1, y1 in boxes])


def laid_back(maps: Float[Tensor, "kb 1 h w"], side: int) -> Float[Tensor, "b 1 side side"]:
    """A map for each of `cut_regions`, laid on the face of `side` pixels; where regions overlap, the mean."""
    total, cover = 0, 0
    for (x0, y0, x1, y1), each in zip(region_boxes(side), maps.float().unflatten(0, (len(REGIONS), -1)), strict=True):
        around, sides = (x0, side - x1, y0, side - y1), (y1 - y0, x1 - x0)
        total = total + functional.pad(_resized(each, sides), around)
        cover = cover + functional.pad(each.new_ones(1, 1, *sides), around)
    return cast(Tensor, total / cover)


def _resized(maps: Tensor, sides: tuple[int, int]) -> Tensor:
    return functional.interpolate(maps, sides, mode="bilinear", align_corners=False)


@dataclass(frozen=True, kw_only=True)
class ContrastiveConfig:
    """Architecture of the pretraining network (docs/papers.md, 2.1)."""

    widths: dict[str, tuple[int, ...]] = field(default_factory=lambda: {"face": RESNET18})
    size: int = 112
    stem_halvings: int = 2
    hidden_width: int = 512
    """Hidden units of the projection head."""
    projection_width: int = 128
    """Components of a projection z (eq 1)."""


class Contrastive(nn.Module):
    """z = Proj(Enc(x)): trained on pairs of views with `losses.nt_xent`; its trunk is what the classifiers start from.

    The projections stand where a classifier has its logits, so that one training loop and one checkpoint serve both.
    """

    inputs = ("face",)

    def __init__(self, config: ContrastiveConfig) -> None:
        super().__init__()
        self.config = config
        trunk = trunk_of(config.widths["face"], config.stem_halvings)
        self.trunks = nn.ModuleDict({"face": trunk})
        self.head = nn.Sequential(
            nn.Linear(trunk.out_channels, config.hidden_width),
            nn.ReLU(inplace=True),
            nn.Linear(config.hidden_width, config.projection_width),
        )

    def forward(self, face: Float[Tensor, "b 3 s s"]) -> Output:
        return Output(self.head(self.encode(face))[None])

    def encode(self, face: Float[Tensor, "b 3 s s"]) -> Float[Tensor, "b c"]:
        """h = Enc(x): the pooled features that are kept after pretraining, and probed during it."""
        return self.trunks["face"](face).mean((2, 3))

    def example(self, batch: int = 1) -> tuple[Tensor, ...]:
        """Random inputs of the right shapes, one for each name in `inputs`."""
        return (torch.randn(batch, 3, self.config.size, self.config.size),)
