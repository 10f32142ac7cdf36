"""Every network that a table can hold, by the name of its rows: which model it is, and its settings at any scale."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from torch import nn

import fermodels
from bench.make.scale import Scale, changed
from compress.training.schedule import stretched
from fermodels.nets.densenet import BLOCKS, GROWTH
from fermodels.nets.resnet import RESNET18, RESNET50, stem_halvings_for
from fermodels.training.losses import RESTRAIN_WEIGHT

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
    schedule: str = "dense"
    """The field of the scale that says how the unpruned network is trained."""
    pretraining: str = ""
    """Name in `bench.make.pretraining.VIEWS` of the contrastive pretraining it starts from; empty: from scratch."""
    pretraining_length: float = 1.0
    """By that of the scale."""
    imagenet: bool = False
    """Whether it starts from a user's ImageNet file, where one is given and the widths are torchvision's."""
    restrain: float = 0.0
    """lambda of the restrain loss (paper 2, eq 10), in training."""
    erasing: float = 0.0
    """Probability with which a rectangle hides a part of a training face (`fermodels.training.erasing`)."""

    def architecture(self, scale: Scale, classes: int) -> Settings:
        """Settings of this network at `scale` for `fermodels.build`."""
        return self.settings(scale) | {"classes": classes}

    def build(self, scale: Scale, classes: int = len(fermodels.EXPRESSIONS)) -> nn.Module:
        """This network at `scale` with fresh weights."""
        return fermodels.build(self.model, **self.architecture(scale, classes))

    def scale(self, scale: Scale) -> Scale:
        """`scale` as it applies to this network."""
        own = scale.schedules
        epochs = own.start_epochs if self.schedule == "start" else {}
        shorter = {name: replace(getattr(own, name), epochs=count) for name, count in epochs.items()}
        pretrain = stretched(own.pretrain, self.pretraining_length)
        held = {"control_ratios": None} if self.schedule == "start" else {}
        return changed(scale, dense=getattr(own, self.schedule), pretrain=pretrain, **shorter, **held, **self.changes)


def vgg_widths(scale: Scale) -> tuple[int, ...]:
    """The 13 widths of a VGG-16 trunk at `scale`."""
    return fermodels.scaled(scale.geometry.width)


def _common(scale: Scale) -> Settings:
    return {"size": scale.geometry.size, "pools": scale.geometry.pools, "dropout": scale.schedules.dropout}


def _vggnet(scale: Scale) -> Settings:
    return _common(scale) | {"widths": {"face": vgg_widths(scale)}}


def _gate(scale: Scale) -> Settings:
    return {"attention_width": max(8, round(128 * scale.geometry.width))}


def _head(scale: Scale) -> Settings:
    return {"head_width": max(16, round(512 * scale.geometry.width))}


def _mrf(scale: Scale, *, local: Sequence[str] = ("local",), **settings: Any) -> Settings:
    """MRF with one trunk for the face and those named `local`; `settings` as they are for `fermodels.build`."""
    widths = dict.fromkeys(("face", *local), vgg_widths(scale))
    own = {"widths": widths, "local_size": scale.geometry.local_size}
    return _common(scale) | _gate(scale) | _head(scale) | own | settings


def _local(scale: Scale) -> Settings:
    place = {"pools": scale.geometry.pools, "local_size": scale.geometry.local_size}
    return place | {"dropout": scale.schedules.dropout} | _head(scale) | {"widths": {"local": vgg_widths(scale)}}


def _global(scale: Scale) -> Settings:
    return _common(scale) | _head(scale) | {"widths": {"face": vgg_widths(scale)}}


def _attended(scale: Scale) -> Settings:
    return _global(scale) | _gate(scale)


def _resnet50(scale: Scale) -> Settings:
    """With the stem of ResNet-18: a last map of 7 x 7 instead of 4 x 4 would take 3.4 times as long."""
    return _resnet18(scale) | {"widths": {"face": fermodels.scaled(scale.geometry.width, RESNET50)}}


def _resnet18(scale: Scale) -> Settings:
    widths = {"face": fermodels.scaled(scale.geometry.width, RESNET18)}
    place = {"size": scale.geometry.size, "stem_halvings": stem_halvings_for(scale.geometry.size)}
    return place | {"dropout": scale.schedules.dropout, "widths": widths}


def _densenet(scale: Scale) -> Settings:
    """Growth, stem and inner widths all scaled alike."""
    growth = max(4, round(GROWTH * scale.geometry.width))
    place = {"size": scale.geometry.size, "stem_halvings": stem_halvings_for(scale.geometry.size)}
    return place | {
        "dropout": scale.schedules.dropout,
        "growth": growth,
        "stem": 2 * growth,
        "widths": {"face": (4 * growth,) * sum(BLOCKS)},
    }


def contrastive(scale: Scale) -> Settings:
    """Settings of the pretraining network whose encoder fits paper 2's networks at `scale`."""
    settings = _resnet18(scale)
    return {name: settings[name] for name in ("size", "stem_halvings", "widths")}


def _ocl(scale: Scale) -> Settings:
    small = scale.geometry.region_size < 112  # the published 7 x 7 kernel is for the 4 x 4 map of 112 px at most
    hidden = {"gate_width": max(4, round(32 * scale.geometry.width)), "kernel": 3 if small else 7}
    return _resnet18(scale) | hidden | {"region_size": scale.geometry.region_size}


ERASING = 0.5
"""Of random erasing, as its authors chose it (Zhong et al. 2020)."""
LENGTHS = {"sixth": 1 / 6, "third": 1 / 3, "two-thirds": 2 / 3, "double": 2.0}
"""Lengths of the pretraining beside the scale's own, by that."""

_OCL = Network(
    model="ocl", settings=_ocl, schedule="start", pretraining="occluded", changes={"recipe": "penalty"}
)  # Taylor scores of its tied channels were never measured
_WHOLE = replace(_OCL, restrain=RESTRAIN_WEIGHT)
_RESNET18 = Network(model="resnet18", settings=_resnet18, schedule="start", imagenet=True)
_PRETRAINED = replace(_RESNET18, pretraining="occluded", imagenet=False)

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
    "densenet121": Network(model="densenet121", settings=_densenet, schedule="start"),
    "resnet18": _RESNET18,
    "simclr-resnet18": replace(_RESNET18, pretraining="plain", imagenet=False),
    "ocl-resnet18": _PRETRAINED,
    **{f"ocl-resnet18-{name}": replace(_PRETRAINED, pretraining_length=share) for name, share in LENGTHS.items()},
    "ocl-fgw": _OCL,
    "ocl-fgw-lgds": _WHOLE,
    "resnet18-erasing": replace(_RESNET18, erasing=ERASING),
    "ocl-fgw-lgds-erasing": replace(_WHOLE, erasing=ERASING),
}
"""Name of its rows -> network. "mrf-..." are ablations of MRF; "mrf-confidence-25": the mask takes landmarks from a
confidence of 0.25 on (plain MRF: 0.5), for Fig 6."""
