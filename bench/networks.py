"""Every network that a table can hold, by the name of its rows: which model it is, and its settings at any scale."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from torch import nn

import fermodels
from bench.scales import Scale
from fermodels.resnet import RESNET50

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


def _gate(scale: Scale) -> Settings:
    return {"attention_width": max(8, round(128 * scale.width))}


def _head(scale: Scale) -> Settings:
    return {"head_width": max(16, round(512 * scale.width))}


def _mrf(scale: Scale, *, local: Sequence[str] = ("local",), **settings: Any) -> Settings:
    """MRF with one trunk for the face and those named `local`; `settings` as they are for `fermodels.build`."""
    widths = dict.fromkeys(("face", *local), vgg_widths(scale))
    return _common(scale) | _gate(scale) | _head(scale) | {"widths": widths, "local_size": scale.local_size} | settings


def _local(scale: Scale) -> Settings:
    shared = {"pools": scale.pools, "dropout": scale.dropout, "local_size": scale.local_size}
    return shared | _head(scale) | {"widths": {"local": vgg_widths(scale)}}


def _global(scale: Scale) -> Settings:
    return _common(scale) | _head(scale) | {"widths": {"face": vgg_widths(scale)}}


def _attended(scale: Scale) -> Settings:
    return _global(scale) | _gate(scale)


def _resnet50(scale: Scale) -> Settings:
    widths = {"face": fermodels.scaled(scale.width, RESNET50)}
    return {"size": scale.size, "dropout": scale.dropout, "widths": widths, "stem_halvings": scale.pools - 3}


NETWORKS: dict[str, Network] = {
    "mrf": Network(model="mrf", settings=_mrf),
    "vggnet": Network(model="vggnet", settings=_vggnet),
    "resnet50": Network(model="resnet50", settings=_resnet50),
    "local": Network(model="local", settings=_local),
    "global": Network(model="global", settings=_global),
    "global-attention": Network(model="global", settings=_attended),
    "mrf-no-bn": Network(model="mrf", settings=partial(_mrf, bn="none")),
    "mrf-bn-first": Network(model="mrf", settings=partial(_mrf, bn="first")),
    "mrf-separate": Network(model="mrf", settings=partial(_mrf, local=("eyes", "mouth"), local_trunk="separate")),
    "mrf-no-mask": Network(model="mrf", settings=_mrf, changes={"mask_weight": 0.0}),
    "mrf-off-mask": Network(model="mrf", settings=_mrf, changes={"mask_target": "off-mask"}),
    "mrf-confidence-00": Network(model="mrf", settings=_mrf, changes={"confidence": 0.0}),
    "mrf-confidence-25": Network(model="mrf", settings=_mrf, changes={"confidence": 0.25}),
    "mrf-confidence-40": Network(model="mrf", settings=_mrf, changes={"confidence": 0.4}),
    "mrf-confidence-60": Network(model="mrf", settings=_mrf, changes={"confidence": 0.6}),
    "mrf-confidence-75": Network(model="mrf", settings=_mrf, changes={"confidence": 0.75}),
}
"""Name of its rows -> network. "mrf-..." are ablations of MRF; "mrf-confidence-25": the mask takes landmarks from a
confidence of 0.25 on (plain MRF: 0.5), for Fig 6."""
