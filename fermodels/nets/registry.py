"""Every network by its name, and how it is built: `fermodels.MODELS`, `fermodels.build`."""

from dataclasses import asdict, replace
from typing import Any

import msgspec
from torch import nn

from compress.files import plain
from fermodels.nets.branches import GlobalBranch, GlobalBranchConfig, LocalBranch, LocalBranchConfig
from fermodels.nets.densenet import DenseNet, DenseNetConfig
from fermodels.nets.mrf import MRF, MRFConfig
from fermodels.nets.ocl import OCL, Contrastive, ContrastiveConfig, OCLConfig
from fermodels.nets.resnet import ResNet18, ResNet18Config, ResNet50, ResNet50Config
from fermodels.nets.vgg import VGGNet, VGGNetConfig

MODELS: dict[str, tuple[type[nn.Module], type]] = {
    "contrastive": (Contrastive, ContrastiveConfig),
    "densenet121": (DenseNet, DenseNetConfig),
    "global": (GlobalBranch, GlobalBranchConfig),
    "local": (LocalBranch, LocalBranchConfig),
    "mrf": (MRF, MRFConfig),
    "ocl": (OCL, OCLConfig),
    "resnet18": (ResNet18, ResNet18Config),
    "resnet50": (ResNet50, ResNet50Config),
    "vggnet": (VGGNet, VGGNetConfig),
}


def build(name: str, **config: Any) -> nn.Module:
    """A network with fresh weights: `name` of `MODELS`, `config` its dataclass's fields.

    Raises:
        ValueError: an unknown name, or a setting that the network does not take, or not in this form.
    """
    if name not in MODELS:
        raise ValueError(f'no model "{name}": the models are {", ".join(sorted(MODELS))}')
    network, settings = MODELS[name]
    known = set(settings.__dataclass_fields__)
    if unknown := set(config) - known:
        raise ValueError(f"{name} has no setting {sorted(unknown)}: it takes {sorted(known)}")
    try:
        return network(msgspec.convert(plain(config), settings))
    except msgspec.ValidationError as error:
        raise error.__cause__ if isinstance(error.__cause__, ValueError) else ValueError(f"{name}: {error}") from None


def name_of(net: nn.Module) -> str:
    """The name in `MODELS` under which `net` was built."""
    return next(name for name, (network, _) in MODELS.items() if type(net) is network)


def rebuild(net: Any, widths: dict[str, tuple[int, ...]]) -> nn.Module:
    """A network like `net` with other trunk widths and fresh weights."""
    return build(name_of(net), **asdict(replace(net.config, widths=widths)))
