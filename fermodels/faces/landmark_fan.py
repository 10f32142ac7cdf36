"""Landmarks from FAN (Bulat and Tzimiropoulos, ICCV 2017), the network of the library face-alignment.

Only the library's network is used, not its detector or its cropping: the crop is already a face, and the library rounds
points to whole pixels. The weights (96 MB) are looked for where the library would put them, fetched when they are not
there, and never read before their sha256 begins with the digits that are part of their published name.
"""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from fermodels.faces.landmark_base import POINTS, Crops, FacePoints, checked

URL = "https://www.adrianbulat.com/downloads/python-fan/2DFAN4-11f355bf06.pth.tar"
DIGEST = "11f355bf06"
"""First digits of the sha256 of the weights."""
SIDE, CELLS = 256, 64
"""Pixels on a side of what the network sees, cells on a side of its heat maps."""
FACE = (46, 53, 210, 217)
"""Where the crop is laid (x0, y0, x1, y1) on the network's black picture, in its pixels.

FAN was trained on pictures 2.05 times as wide as a detected face, and a detected face fills about three quarters of an
aligned crop, a little below its middle."""
WINDOW = 2
"""Cells on each side of a peak over which its place is averaged."""


class FanLandmarks:
    """FAN on the CPU; confidence is the height of the heat map's peak, which was trained to be 1 on a visible point."""

    def __init__(self, net: torch.nn.Module) -> None:
        self.net = net.eval()

    @torch.no_grad()
    def __call__(self, crops: Crops, given: FacePoints | None = None) -> FacePoints:
        height, width = checked(crops).shape[1:3]
        points = np.empty((len(crops), POINTS, 2), np.float32)
        confidence = np.empty((len(crops), POINTS), np.float32)
        for number in range(len(crops)):  # one at a time: a face takes 300 ms, so there is nothing to gain
            answer = self.net(laid(torch.from_numpy(np.array(crops[number : number + 1]))))
            heat = answer[-1] if isinstance(answer, (list, tuple)) else answer
            place, peak = peaks(heat)
            x0, y0, x1, y1 = FACE
            shares = (place[0] * SIDE - torch.tensor([x0, y0])) / torch.tensor([x1 - x0, y1 - y0])
            points[number] = (shares * torch.tensor([width, height])).numpy()
            confidence[number] = peak[0].clamp(0, 1).numpy()
        return FacePoints(points, confidence)


def laid(crops: Tensor) -> Float[Tensor, "b 3 256 256"]:
    """Crops (b, h, w, 3) at `FACE` on black, in [0, 1]."""
    x0, y0, x1, y1 = FACE
    pictures = crops.permute(0, 3, 1, 2).float() / 255
    pictures = functional.interpolate(
        pictures, (y1 - y0, x1 - x0), mode="bilinear", align_corners=False, antialias=True
    )
    return functional.pad(pictures, (x0, SIDE - x1, y0, SIDE - y1))


def peaks(heat: Float[Tensor, "b 68 h w"]) -> tuple[Float[Tensor, "b 68 2"], Float[Tensor, "b 68"]]:
    """Place (x, y), as a share of the side, and height of every map's highest cell; the place is the mean of the cells
    around it, weighted by what they hold above 0."""
    height, width = heat.shape[2:]
    top, where = heat.flatten(2).max(-1)
    row, column = where // width, where % width
    near_y = (torch.arange(height) - row[..., None]).abs() <= WINDOW
    near_x = (torch.arange(width) - column[..., None]).abs() <= WINDOW
    weight = heat.clamp_min(0) * near_y[..., :, None] * near_x[..., None, :]
    total = weight.sum((2, 3)).clamp_min(1e-12)
    x = (weight.sum(2) * (torch.arange(width) + 0.5)).sum(-1) / total / width
    y = (weight.sum(3) * (torch.arange(height) + 0.5)).sum(-1) / total / height
    return torch.stack((x, y), -1), top


def open_fan(path: str | None) -> FanLandmarks:
    """FAN with the weights in the file `path`; without it, in PyTorch's cache, fetched when they are not there.

    Raises:
        ValueError: no library, no weights and no way to fetch them, or a file of another digest; says how to mend it.
    """
    network = _network()
    weights = Path(path) if path else Path(torch.hub.get_dir()) / "checkpoints" / URL.rsplit("/", 1)[1]
    if path is None and not weights.is_file():
        _fetch(weights)
    if not weights.is_file():
        raise ValueError(f'landmarks "fan:{path}": no such file; download {URL} and name it, or write "fan"')
    verify(weights)
    network.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
    return FanLandmarks(network)


def _network() -> Any:
    try:
        from face_alignment.models import FAN  # type: ignore[import-not-found]
    except ImportError as error:
        raise ValueError(f"face-alignment is not installed: pip install 'fermodels[faces]' ({error})") from error
    return FAN(4)


def _fetch(target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        torch.hub.download_url_to_file(URL, str(target), hash_prefix=DIGEST)
    except (OSError, RuntimeError) as error:
        raise ValueError(
            f"FAN's weights cannot be fetched ({error}); download {URL} elsewhere and put the file at {target}"
        ) from error


def verify(weights: Path) -> None:
    """Raises ValueError when the sha256 of the file does not begin with `DIGEST`."""
    with weights.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if not found.startswith(DIGEST):
        raise ValueError(
            f"{weights} has the sha256 {found}, FAN's weights begin with {DIGEST}; delete it and download {URL} again"
        )
