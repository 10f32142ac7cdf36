"""A narrow network of every registered model, for the laws: odd and unequal widths, so that a wrong channel shows."""

import torch
from torch import nn

import fermodels

VGG = (10, 12, 9, 11, 10, 12, 14, 10, 9, 12, 11, 10, 13)
RESNET18 = (10, 12, 9, 11, 10, 12, 14, 13, 9, 12, 11, 10)
RESNET50 = (*RESNET18, *RESNET18[::-1], *(9, 11), *(12, 10, 13), *(11, 9), *(10, 12, 14), *(9, 13, 11))

SETTINGS = {
    "contrastive": {"widths": {"face": RESNET18}, "stem_halvings": 1, "hidden_width": 9, "projection_width": 7},
    "mrf": {"widths": {"face": VGG, "local": VGG[::-1]}, "pools": 3, "local_size": 24},
    "ocl": {"widths": {"face": RESNET18}, "stem_halvings": 1, "region_size": 32, "gate_width": 5, "kernel": 3},
    "resnet18": {"widths": {"face": RESNET18}, "stem_halvings": 1},
    "resnet50": {"widths": {"face": RESNET50}, "stem_halvings": 1},
    "vggnet": {"widths": {"face": VGG}, "pools": 3},
}
"""What makes each network small; faces have 32 px."""


def small(name, **config):
    """The network of `SETTINGS` with random batch norms, in which every channel matters differently."""
    torch.manual_seed(0)
    net = fermodels.build(name, **({"size": 32} | SETTINGS[name] | config))
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.2, 2.0)
            nn.init.normal_(module.bias, std=0.5)
            module.running_mean.normal_(std=0.2)
            module.running_var.uniform_(0.5, 2.0)
    return net
