"""Networks that are not ours: timm's, torchvision's, and three plain ones, with batch norms that have something to say.

timm and torchvision import beside a PyTorch for CPUs once two operators of torchvision's native part are defined.
"""

import torch
from torch import nn

from compress.commands.networks import define_native_operators

TIMM = {
    "resnet18": 64,
    "resnet50": 64,
    "vgg16_bn": 32,
    "densenet121": 64,
    "mobilenetv2_100": 64,
    "mobilenetv3_small_100": 64,
    "efficientnet_b0": 64,
    "seresnet18": 64,
    "ghostnet_100": 64,
    "repvgg_a0": 64,
    "regnetx_002": 64,
}
"""Name in timm -> side of the pictures that the tests give it."""
TORCHVISION = {"shufflenet_v2_x0_5": 64, "googlenet": 64}
PLAIN = ("sequential", "two_inputs", "one_dimension")
NAMES = (*TIMM, *TORCHVISION, *PLAIN)


class TwoInputs(nn.Module):
    """A picture and a map of one channel, each through convolutions, concatenated; the answer is a dictionary."""

    def __init__(self):
        super().__init__()
        self.left = nn.Sequential(nn.Conv2d(3, 12, 3, padding=1), nn.BatchNorm2d(12), nn.LeakyReLU(0.1))
        self.right = nn.Sequential(nn.Conv2d(1, 20, 3, padding=1, bias=False), nn.BatchNorm2d(20), nn.GELU())
        self.both = nn.Sequential(nn.Conv2d(32, 16, 3), nn.BatchNorm2d(16), nn.SiLU(), nn.Flatten())
        self.classifier = nn.Linear(16 * 10 * 10, 5)

    def forward(self, picture, map):
        features = torch.cat((self.left(picture), self.right(map)), 1)
        return {"logits": self.classifier(self.both(features))}


def sequential():
    return nn.Sequential(
        *(nn.Conv2d(3, 16, 3), nn.BatchNorm2d(16), nn.ReLU(inplace=True), nn.MaxPool2d(2)),
        *(nn.Conv2d(16, 24, 3), nn.BatchNorm2d(24), nn.PReLU(24)),
        *(nn.Conv2d(24, 24, 3, groups=24), nn.BatchNorm2d(24), nn.Hardswish()),
        *(nn.Conv2d(24, 10, 1), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(40, 5)),
    )


def one_dimension():
    return nn.Sequential(
        *(nn.Conv1d(4, 16, 5), nn.BatchNorm1d(16), nn.ReLU(), nn.AdaptiveAvgPool1d(1), nn.Flatten()),
        *(nn.Linear(16, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 5)),
    )


def build(name):
    """The network with random weights, in evaluation mode: call it in a new process, and the same weights come back."""
    torch.manual_seed(0)
    if name in TIMM:
        define_native_operators()
        import timm

        return timm.create_model(name, num_classes=10).eval()
    if name in TORCHVISION:
        options = {"aux_logits": False, "init_weights": True} if name == "googlenet" else {}
        return torchvision_model(name, num_classes=10, **options)
    return {"sequential": sequential, "two_inputs": TwoInputs, "one_dimension": one_dimension}[name]().eval()


def torchvision_model(name, **options):
    """A network of torchvision with random weights, in evaluation mode."""
    define_native_operators()
    import torchvision

    return torchvision.models.get_model(name, **options).eval()


def example(name, batch=1, scale=1.0):
    """Random inputs for the network `name`; `scale` enlarges the pictures of those that take any size."""
    generator = torch.Generator().manual_seed(batch)
    if name == "two_inputs":
        return tuple(torch.randn(batch, channels, 12, 12, generator=generator) for channels in (3, 1))
    if name == "one_dimension":
        return torch.randn(batch, 4, int(30 * scale), generator=generator)
    side = int({**TIMM, **TORCHVISION, "sequential": 20}[name] * scale)
    return torch.randn(batch, 3, side, side, generator=generator)


@torch.no_grad()
def lively(net, seed=0):
    """`net` with random gammas, betas and running statistics, so that every channel matters differently."""
    torch.manual_seed(seed)
    for module in net.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.3)
            module.running_mean.normal_(std=0.1)
            module.running_var.uniform_(0.5, 2.0)
    return net


def trained(net, inputs, steps=3):
    """`net` after a few steps of training in which its batch norms measured `inputs`."""
    net.train()
    inputs = inputs if isinstance(inputs, tuple) else (inputs,)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
    for _ in range(steps):
        answer = net(*inputs)
        logits = answer["logits"] if isinstance(answer, dict) else answer
        nn.functional.cross_entropy(logits, torch.arange(len(logits)) % 5).backward()
        optimizer.step()
        optimizer.zero_grad()
    return net.eval()
