"""MRF's branches by themselves, as in the ablation of paper 1 (Table 4): eyes and mouth alone, the whole face alone.

Each is MRF without the other branch: the same trunk and the same heads, which then fuse nothing. The whole face comes
with or without the attention map (`attention_width`). Beside VGGNet, the global branch has MRF's hidden layer.
"""

from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor, nn

from fermodels.nets.attention import AttentionGate
from fermodels.nets.mrf import REGIONS, fusion_head, regions_together
from fermodels.nets.vgg import VGG16, Output, VGGTrunk


@dataclass(frozen=True, kw_only=True)
class LocalBranchConfig:
    """Architecture of the local detail branch: one trunk, "local", for both regions."""

    widths: dict[str, tuple[int, ...]] = field(default_factory=lambda: {"local": VGG16})
    classes: int = 7
    local_size: int = 224
    """Side of the eye and mouth regions in pixels."""
    pools: int = 5
    bn: str = "all"
    head_width: int = 512
    """Hidden units of each region's head."""
    dropout: float = 0.0
    """Share of hidden head units zeroed in training."""

    def __post_init__(self) -> None:
        _check_trunks(self.widths, "local")


class LocalBranch(nn.Module):
    """P = 0.5 p_eyes + 0.5 p_mouth, each from its region alone (Table 4, "local detail branch")."""

    inputs = REGIONS

    def __init__(self, config: LocalBranchConfig) -> None:
        super().__init__()
        self.config = config
        widths = config.widths["local"]
        self.trunks = nn.ModuleDict({"local": VGGTrunk(widths, pools=config.pools, bn=config.bn)})
        self.heads = nn.ModuleDict({region: fusion_head(widths[-1], config) for region in REGIONS})

    def forward(self, eyes: Float[Tensor, "b 3 l l"], mouth: Float[Tensor, "b 3 l l"]) -> Output:
        local = zip(REGIONS, regions_together(self.trunks["local"], eyes, mouth), strict=True)
        return Output(torch.stack([self.heads[region](features) for region, features in local]))

    def example(self, batch: int = 1) -> tuple[Tensor, ...]:
        """Random inputs of the right shapes, one for each name in `inputs`."""
        side = self.config.local_size
        return torch.randn(batch, 3, side, side), torch.randn(batch, 3, side, side)


@dataclass(frozen=True, kw_only=True)
class GlobalBranchConfig:
    """Architecture of the global branch: one trunk, "face"."""

    widths: dict[str, tuple[int, ...]] = field(default_factory=lambda: {"face": VGG16})
    classes: int = 7
    size: int = 224
    """Side of the face in pixels."""
    pools: int = 5
    bn: str = "all"
    attention_width: int | None = None
    """Hidden channels of the attention map; None: no map."""
    head_width: int = 512
    """Hidden units of the head."""
    dropout: float = 0.0
    """Share of hidden head units zeroed in training."""

    def __post_init__(self) -> None:
        _check_trunks(self.widths, "face")


class GlobalBranch(nn.Module):
    """The whole face alone (Table 4, "global branch"), or weighted by its map first ("global branch+attention map")."""

    inputs = ("face",)

    def __init__(self, config: GlobalBranchConfig) -> None:
        super().__init__()
        self.config = config
        widths = config.widths["face"]
        self.trunks = nn.ModuleDict({"face": VGGTrunk(widths, pools=config.pools, bn=config.bn)})
        if config.attention_width is not None:
            self.gate = AttentionGate(widths[-1], config.attention_width)
        self.head = fusion_head(widths[-1], config)

    def forward(self, face: Float[Tensor, "b 3 s s"]) -> Output:
        features, attention = self.trunks["face"](face), None
        if self.config.attention_width is not None:
            features, attention = self.gate(features)  # eq 3, 7
        return Output(self.head(features.mean((2, 3)))[None], attention)

    def example(self, batch: int = 1) -> tuple[Tensor, ...]:
        """Random inputs of the right shapes, one for each name in `inputs`."""
        return (torch.randn(batch, 3, self.config.size, self.config.size),)


def _check_trunks(widths: dict[str, tuple[int, ...]], only: str) -> None:
    if set(widths) != {only}:
        raise ValueError(f'widths name {sorted(widths)}; this branch has one trunk, "{only}"')
