"""Every network that a table can hold, by the name of its rows: which model it is, and its settings at any scale."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from torch import nn

import fermodels
from bench.scales import Scale

Settings = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Network:
    """One unpruned network."""

    model: str
    """Name in `fermodels.MODELS`."""
    settings: Callable[[Scale], Settings]
    """Settings for `fermodels.build`, but for the number of classes."""
    changes: Mapping[str, Any] = field(default_factory=dict)
    """Fields of the scale that this network is trained with otherwise, such as `mask_weight`."""

    def architecture(self, scale: Scale, classes: int) -> Settings:
        """Settings of this network at `scale` for `fermodels.build`."""
        return self.settings(scale) | {"classes": classes}

    def build(self, scale: Scale, classes: int = len(fermodels.EXPRESSIONS)) -> nn.Module:
        """This network at `scale` with fresh weights."""
        return fermodels.build(self.model, **self.architecture(scale, classes))

    def scale(self, scale: Scale) -> Scale:
        """`scale` as it applies to this network."""
        return replace(scale, **self.changes)


def vgg_widths(scale: Scale) -> tuple[int, ...]:
    """The 13 widths of a VGG-16 trunk at `scale`."""
    return fermodels.scaled(scale.width)


def _common(scale: Scale) -> Settings:
    return {"size": scale.size, "pools": scale.pools, "dropout": scale.dropout}


def _vggnet(scale: Scale) -> Settings:
    return _common(scale) | {"widths": {"face": vgg_widths(scale)}}


def _mrf(scale: Scale) -> Settings:
    hidden = {"attention_width": max(8, round(128 * scale.width)), "head_width": max(16, round(512 * scale.width))}
    widths = {"face": vgg_widths(scale), "local": vgg_widths(scale)}
    return _common(scale) | hidden | {"widths": widths, "local_size": scale.local_size}


NETWORKS: dict[str, Network] = {
    "mrf": Network(model="mrf", settings=_mrf),
    "vggnet": Network(model="vggnet", settings=_vggnet),
}
