"""Small networks with batch norms that have something to say, and the graphs and checkpoints they become."""

import shutil
import tempfile
from functools import lru_cache
from pathlib import Path

import torch
from torch import nn

import fermodels
from compress.exporting.artefacts import Artefacts
from compress.exporting.program import PROGRAM
from fermodels.predict.artefacts import FaceArtefacts
from fermodels.predict.deployed import Deployed
from fermodels.training.views import ViewConfig

CONFIG = ViewConfig(size=56, local_size=28)
STORED = 64
WIDTHS = (8, 16, 8, 8, 16, 8, 8, 8, 16, 8, 8, 8, 16)
"""Multiples of 8 for `tiny_net`, where runtimes and quantisation are tested."""
TRUNKS = {"global": ("face",), "local": ("local",), "mrf": ("face", "local"), "vggnet": ("face",)}
ABOUT = {"classes": fermodels.EXPRESSIONS, "data": "none", "split": "test", "n": 0, "accuracy": None}
ABOUT |= {"preprocessing": CONFIG, "stored": STORED}


VGG = (10, 12, 9, 11, 10, 12, 14, 10, 9, 12, 11, 10, 13)
RESNET18 = (10, 12, 9, 11, 10, 12, 14, 13, 9, 12, 11, 10)
RESNET50 = (*RESNET18, *RESNET18[::-1], *(9, 11), *(12, 10, 13), *(11, 9), *(10, 12, 14), *(9, 13, 11))

SETTINGS = {
    "contrastive": {"widths": {"face": RESNET18}, "stem_halvings": 1, "hidden_width": 9, "projection_width": 7},
    "densenet121": {"widths": {"face": (10, 12, 9, 11, 13)}, "blocks": (1, 2, 1, 1), "growth": 5, "stem": 9}
    | {"stem_halvings": 1},
    "global": {"widths": {"face": VGG}, "pools": 3, "attention_width": 5, "head_width": 9},
    "local": {"widths": {"local": VGG}, "pools": 3, "local_size": 28, "head_width": 9},
    "mrf": {"widths": {"face": VGG, "local": VGG[::-1]}, "pools": 3, "local_size": 28},
    "ocl": {"widths": {"face": RESNET18}, "stem_halvings": 1, "region_size": 32, "gate_width": 5, "kernel": 3},
    "resnet18": {"widths": {"face": RESNET18}, "stem_halvings": 1},
    "resnet50": {"widths": {"face": RESNET50}, "stem_halvings": 1},
    "vggnet": {"widths": {"face": VGG}, "pools": 3},
}
"""What makes each network small: odd and unequal widths, so that a channel in the wrong place shows."""


def small(name, **config):
    """The network of `SETTINGS` at 32 px with lively batch norms, in which every channel matters differently."""
    torch.manual_seed(0)
    net = fermodels.build(name, **(_sized(name, 32) | SETTINGS[name] | config))
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.2, 2.0)
            nn.init.normal_(module.bias, std=0.5)
            module.running_mean.normal_(std=0.2)
            module.running_var.uniform_(0.5, 2.0)
    return net


def _sized(name: str, side: int) -> dict[str, int]:
    """The side of the face, for every network that takes the face itself."""
    return {"size": side} if "face" in fermodels.MODELS[name][0].inputs else {}


def tiny_net(model: str) -> nn.Module:
    """A network in evaluation mode, the same at every call, whose batch norms are not the identity."""
    torch.manual_seed(0)
    even = {"widths": dict.fromkeys(TRUNKS[model], WIDTHS)} if model in TRUNKS else {}
    net = fermodels.build(model, **(SETTINGS[model] | even | _sized(model, CONFIG.size)))
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None and module.running_var is not None
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 2)
    return net.eval()


def tiny_graph(model: str) -> Deployed:
    """The same from pixels on."""
    return Deployed(tiny_net(model), CONFIG, stored=STORED)


def tiny_checkpoint(model: str, folder: Path) -> Path:
    """The same as a folder."""
    fermodels.save(tiny_net(model), folder, ABOUT)
    return folder


_FILES = tempfile.TemporaryDirectory(prefix="tiny-onnx-")  # goes when the tests end


def tiny_files(model: str, folder: Path) -> Artefacts:
    """`tiny_graph` as the files it becomes in `folder`."""
    return FaceArtefacts(tiny_graph(model), None, ABOUT, folder).files


@lru_cache
def tiny_onnx(model: str, precision: str = "fp32") -> Path:
    """`tiny_graph` as an ONNX file with its program beside it, exported once for all tests of a process: copy both,
    change nothing in their folder."""
    return tiny_files(model, Path(_FILES.name) / model / precision).onnx(precision)


def tiny_deployed(model: str, folder: Path) -> Path:
    """A folder with both of `tiny_onnx`."""
    folder.mkdir(parents=True, exist_ok=True)
    for file in (tiny_onnx(model), tiny_onnx(model).with_name(PROGRAM)):
        shutil.copy(file, folder)
    return folder
