"""The embedded landmark network: a small encoder and decoder, 68 heat maps, and for each point how visible it is.

Unusual: it sees brightness only, standardised per crop, so that colour, exposure and contrast of a camera do not
matter; a point is the mean of its heat map (soft-argmax), so it is finer than a cell; whether the point is visible is
read from a second map at the place where the heat map looks. Trained by `python -m fermodels.faces.train_landmarks`.
"""

from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

import torch
from jaxtyping import Float, UInt8
from safetensors import SafetensorError
from safetensors.torch import load as tensors_from_bytes
from safetensors.torch import save as bytes_from_tensors
from torch import Tensor, nn
from torch.nn import functional

from fermodels.faces.landmark_base import POINTS

SIDE = 64
"""Side in pixels of what the network sees; crops of other sizes are resampled."""
CELLS = SIDE // 4
"""Cells on a side of a heat map."""
WIDTHS = (48, 64, 64)
"""Channels at 1/4, 1/8 and 1/16 of the side."""
BRIGHTNESS = (0.299, 0.587, 0.114)
"""Of red, green and blue (ITU-R BT.601)."""
WEIGHTS = "landmarks.safetensors"
"""Beside this module: the trained weights, in half precision; landmarks.json says where they come from."""


class Sight(NamedTuple):
    """What the network says of a batch of crops."""

    points: Float[Tensor, "b 68 2"]
    """(x, y) as a share of the crop's side, origin at its upper left corner, iBUG-68 order."""
    visible: Float[Tensor, "b 68"]
    """Logit of the probability that the point is visible."""
    heat: Float[Tensor, "b 68 cells cells"]
    """Logits of where the point is; a softmax over all cells makes them shares."""


class LandmarkNet(nn.Module):
    """(b, 1, 64, 64) standardised brightness to `Sight`.

    Every layer lies symmetric about the middle of the crop, so that mirrored weights would see mirrored faces alike.
    """

    def __init__(self) -> None:
        super().__init__()
        a, b, c = WIDTHS
        self.stem = nn.Sequential(_conv(1, a, side=8, stride=4), _conv(a, a))
        self.down = nn.ModuleList(
            nn.Sequential(nn.MaxPool2d(2), _conv(low, high), _conv(high, high)) for low, high in ((a, b), (b, c))
        )
        self.up = nn.ModuleList(nn.Conv2d(low, high, 1) for low, high in ((c, b), (b, a)))
        self.join = nn.ModuleList((_conv(b, b), _conv(a, a)))
        self.heat = nn.Conv2d(a, POINTS, 1)
        self.sight = nn.Conv2d(a, POINTS, 1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        nn.init.normal_(self.heat.weight, std=0.01)
        nn.init.normal_(self.sight.weight, std=0.01)

    def forward(self, brightness: Float[Tensor, "b 1 side side"]) -> Sight:
        fine = self.stem(brightness)
        middle = self.down[0](fine)
        coarse = self.down[1](middle)
        middle = self.join[0](_twice(self.up[0](coarse)) + middle)
        fine = self.join[1](_twice(self.up[1](middle)) + fine)
        heat = self.heat(fine).float()
        share = heat.flatten(2).softmax(-1).view_as(heat)
        visible = torch.einsum("bkhw,bkhw->bk", share.detach(), self.sight(fine).float())
        return Sight(centre_of(share), visible, heat)


def _conv(low: int, high: int, *, side: int = 3, stride: int = 1) -> nn.Sequential:
    conv = nn.Conv2d(low, high, side, stride=stride, padding=(side - stride + 1) // 2, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(high), nn.ReLU(inplace=True))


def _twice(maps: Tensor) -> Tensor:
    return functional.interpolate(maps, scale_factor=2.0, mode="bilinear", align_corners=False)


def places(cells: int, device: torch.device | str = "cpu") -> Float[Tensor, " cells"]:
    """Centres of `cells` cells along a side, as shares of it."""
    return (torch.arange(cells, device=device) + 0.5) / cells


def centre_of(share: Float[Tensor, "b k h w"]) -> Float[Tensor, "b k 2"]:
    """Soft-argmax: the mean place (x, y) of each map, whose cells sum to 1, as a share of the side.

    Never nearer to the border than half a cell.
    """
    x = share.sum(2) @ places(share.shape[3], share.device)
    y = share.sum(3) @ places(share.shape[2], share.device)
    return torch.stack((x, y), -1)


def standardised(brightness: Float[Tensor, "b 1 h w"]) -> Float[Tensor, "b 1 h w"]:
    """Mean 0 and deviation 1 in every crop; a crop of one colour becomes 0."""
    centred = brightness - brightness.mean((1, 2, 3), keepdim=True)
    return centred / centred.square().mean((1, 2, 3), keepdim=True).sqrt().clamp_min(1e-3)


def seen(crops: UInt8[Tensor, "b h w 3"]) -> Float[Tensor, "b 1 side side"]:
    """What the network sees of RGB crops: their brightness at its side, standardised."""
    brightness = crops.float() @ torch.tensor(BRIGHTNESS, device=crops.device)
    sized = functional.interpolate(
        brightness[:, None] / 255, (SIDE, SIDE), mode="bilinear", align_corners=False, antialias=True
    )
    return standardised(sized)


def weights_of(net: LandmarkNet) -> bytes:
    """A safetensors file; numbers in half precision, which moves points by far less than their error."""
    state = {name: t.half() if t.is_floating_point() else t for name, t in net.state_dict().items()}
    return bytes_from_tensors({name: tensor.contiguous() for name, tensor in state.items()})


def net_from(data: bytes, origin: str) -> LandmarkNet:
    """The network (eval mode, CPU, float32) whose weights are the safetensors file `data`.

    Raises:
        ValueError: damaged, or the weights of another network; the sentence names `origin`.
    """
    net = LandmarkNet()
    try:
        net.load_state_dict(tensors_from_bytes(data), strict=True)
    except (SafetensorError, RuntimeError) as error:
        raise ValueError(
            f"{origin} holds no weights of the landmark network ({error}); give a file that "
            "python -m fermodels.faces.train_landmarks wrote"
        ) from error
    return net.eval()


def read_net(path: str | None) -> LandmarkNet:
    """The network of a weights file; without `path`, the one in the package.

    Raises:
        ValueError: no such file, or not the weights of this network.
    """
    if path is None:
        return _packaged()
    if not Path(path).is_file():
        raise ValueError(f"{path} is no file; give a {WEIGHTS} that python -m fermodels.faces.train_landmarks wrote")
    return net_from(Path(path).read_bytes(), path)


@cache
def _packaged() -> LandmarkNet:
    return net_from(files("fermodels.faces").joinpath(WEIGHTS).read_bytes(), WEIGHTS)
