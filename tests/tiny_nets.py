"""Small networks with batch norms that have something to say, and the graphs and checkpoints they become."""

from collections.abc import Sequence
from pathlib import Path

import torch

import fermodels
from fermodels.deployed import Deployed
from fermodels.views import ViewConfig

CONFIG = ViewConfig(size=56, local_size=28)
STORED = 64
WIDTHS = (8, 16, 8, 8, 16, 8, 8, 8, 16, 8, 8, 8, 16)
TRUNKS = {"mrf": ("face", "local"), "vggnet": ("face",)}
ABOUT = {"classes": fermodels.EXPRESSIONS, "data": "none", "split": "test", "n": 0, "accuracy": None}
ABOUT |= {"preprocessing": CONFIG, "stored": STORED}


def tiny_net(model: str, widths: Sequence[int] = WIDTHS) -> torch.nn.Module:
    """A network in evaluation mode, the same at every call, whose batch norms are not the identity."""
    torch.manual_seed(0)
    net = fermodels.build(model, widths=dict.fromkeys(TRUNKS[model], widths), size=CONFIG.size, pools=3)
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            assert module.running_mean is not None and module.running_var is not None
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 2)
    return net.eval()


def tiny_graph(model: str, widths: Sequence[int] = WIDTHS) -> Deployed:
    """The same from pixels on."""
    return Deployed(tiny_net(model, widths), CONFIG, stored=STORED)


def tiny_checkpoint(model: str, folder: Path) -> Path:
    """The same as a folder."""
    fermodels.save(tiny_net(model), folder, ABOUT)
    return folder
