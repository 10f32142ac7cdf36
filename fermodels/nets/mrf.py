"""MRF, the multi-region fusion network of paper 1 (Tang et al. 2023), top to bottom as in its figure.

Unusual here: one local trunk is shared by eyes and mouth (the paper's 31.05 M parameters leave room for two trunks
only), it runs once on both regions laid along the batch (so its batch norms see one distribution), and each of the two
heads fuses one region with the attended whole face. Full width: 31,094,159 parameters.
"""

from dataclasses import dataclass, field
from typing import Protocol

import torch
from jaxtyping import Float
from torch import Tensor, nn

from fermodels.nets.attention import AttentionGate
from fermodels.nets.vgg import VGG16, Output, VGGTrunk

LOCAL_CHOICES = ("shared", "separate")
REGIONS = ("eyes", "mouth")


@dataclass(frozen=True, kw_only=True)
class MRFConfig:
    """Architecture of MRF. Widths may be any list of 13 per trunk."""

    widths: dict[str, tuple[int, ...]] = field(default_factory=lambda: {"face": VGG16, "local": VGG16})
    """Trunks "face" and "local"; with `local_trunk="separate"`: "face", "eyes" and "mouth"."""
    classes: int = 7
    size: int = 224
    """Side of the whole face in pixels."""
    local_size: int = 224
    """Side of the eye and mouth regions in pixels."""
    pools: int = 5
    bn: str = "all"
    local_trunk: str = "shared"
    attention_width: int = 128
    """Hidden channels of the attention map (512 -> 128 -> 1 at full width)."""
    head_width: int = 512
    """Hidden units of each fusion head (1024 -> 512 -> classes at full width)."""
    dropout: float = 0.0
    """Share of hidden head units zeroed in training."""

    def __post_init__(self) -> None:
        if self.local_trunk not in LOCAL_CHOICES:
            raise ValueError(f'local_trunk="{self.local_trunk}": allowed are {", ".join(LOCAL_CHOICES)}')
        wanted = {"face", "local"} if self.local_trunk == "shared" else {"face", *REGIONS}
        if set(self.widths) != wanted:
            raise ValueError(f"widths name {sorted(self.widths)}; {self.local_trunk} trunks are {sorted(wanted)}")


class MRF(nn.Module):
    """P = 0.5 p_eyes + 0.5 p_mouth (eq 12, 13), each from one region fused with the attended face."""

    inputs = ("face", *REGIONS)

    def __init__(self, config: MRFConfig) -> None:
        super().__init__()
        self.config = config
        self.trunks = nn.ModuleDict(
            {name: VGGTrunk(widths, pools=config.pools, bn=config.bn) for name, widths in config.widths.items()}
        )
        face = config.widths["face"][-1]
        self.gate = AttentionGate(face, config.attention_width)
        self.heads = nn.ModuleDict({one: fusion_head(self._local_width(one) + face, config) for one in REGIONS})

    def forward(
        self, face: Float[Tensor, "b 3 s s"], eyes: Float[Tensor, "b 3 l l"], mouth: Float[Tensor, "b 3 l l"]
    ) -> Output:
        attended, attention = self.gate(self.trunks["face"](face))  # eq 3, 7
        whole = attended.mean((2, 3))
        local = zip(REGIONS, self._local(eyes, mouth), strict=True)
        logits = [self.heads[region](torch.cat((features, whole), 1)) for region, features in local]
        return Output(torch.stack(logits), attention)

    def _local(self, eyes: Tensor, mouth: Tensor) -> tuple[Tensor, Tensor]:
        if self.config.local_trunk == "separate":
            return self.trunks["eyes"](eyes).mean((2, 3)), self.trunks["mouth"](mouth).mean((2, 3))
        return regions_together(self.trunks["local"], eyes, mouth)

    def _local_width(self, region: str) -> int:
        return self.config.widths["local" if self.config.local_trunk == "shared" else region][-1]

    def example(self, batch: int = 1) -> tuple[Tensor, ...]:
        """Random inputs of the right shapes, one for each name in `inputs`."""
        size, local = self.config.size, self.config.local_size
        return tuple(torch.randn(batch, 3, side, side) for side in (size, local, local))


class HeadConfig(Protocol):
    """What a head is built from."""

    @property
    def head_width(self) -> int: ...
    @property
    def classes(self) -> int: ...
    @property
    def dropout(self) -> float: ...


def fusion_head(features: int, config: HeadConfig) -> nn.Sequential:
    """(b, features) -> logits (b, classes) through one hidden layer (the paper's FC fusion)."""
    return nn.Sequential(
        nn.Linear(features, config.head_width),
        nn.ReLU(inplace=True),
        nn.Dropout(config.dropout),
        nn.Linear(config.head_width, config.classes),
    )


def regions_together(
    trunk: nn.Module, eyes: Float[Tensor, "b 3 l l"], mouth: Float[Tensor, "b 3 l l"]
) -> tuple[Float[Tensor, "b c"], Float[Tensor, "b c"]]:
    """Pooled features of both regions from one pass of `trunk`, the regions laid along the batch."""
    both = trunk(torch.cat((eyes, mouth))).mean((2, 3)).unflatten(0, (len(REGIONS), -1))
    return both[0], both[1]
