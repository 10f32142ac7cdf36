"""What leaves PyTorch: one graph from an aligned face in pixels to probabilities, preprocessing inside.

Unusual: eyes and mouth are cut out of the face by two constant matrices each (bilinear resampling at fixed boxes is
linear and separable), so the graph needs no grid sampling and every runtime can run and quantise it. Where boxes come
from landmarks, `regions="given"` takes the cut regions as inputs of their own.
"""

from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from fermodels.faces.regions import FALLBACK_BOXES
from fermodels.nets.ocl import OCL
from fermodels.nets.vgg import probabilities
from fermodels.training.views import ViewConfig

REGION_CHOICES = ("fixed", "given")
BOXES: dict[str, tuple[float, ...]] = dict(zip(("eyes", "mouth"), FALLBACK_BOXES, strict=True))


class Deployed(nn.Module):
    """`net` with its preprocessing: pixels (0 to 255, RGB, float32) in, probabilities and the attention map out.

    Args:
        net: any network of `fermodels.MODELS`; it is put into evaluation mode.
        preprocessing: how its training views were made.
        stored: side in pixels of the aligned face, whose centre crop the network sees.
        regions: "fixed": one input "face" (b, 3, stored, stored); crop, eyes and mouth (at the fallback boxes) are cut
            inside the graph. "given": the views of `net.inputs`, already cut, as in training.

    Raises:
        ValueError: an unknown way to the regions, or an aligned face smaller than the crop.
    """

    def __init__(self, net: nn.Module, preprocessing: ViewConfig, *, stored: int, regions: str = "fixed") -> None:
        super().__init__()
        if regions not in REGION_CHOICES:
            raise ValueError(f'regions="{regions}": allowed are {", ".join(REGION_CHOICES)}')
        if stored < preprocessing.size:
            raise ValueError(f"stored={stored} px: the network sees a crop of {preprocessing.size}; give at least that")
        self.net, self.preprocessing, self.stored, self.regions = net.eval(), preprocessing, stored, regions
        self.views: tuple[str, ...] = net.inputs  # type: ignore[assignment]
        self.inputs = ("face",) if regions == "fixed" else self.views
        """Names of the inputs, each (b, 3, side, side)."""
        size, local = preprocessing.size, preprocessing.local_size
        for name in (name for name in self.views if name not in self.inputs):
            x0, y0, x1, y1 = _into_centre_crop(BOXES[name], stored, size)
            self.register_buffer(f"{name}_columns", interpolation(x0, x1, size, local).T.contiguous(), persistent=False)
            self.register_buffer(f"{name}_rows", interpolation(y0, y1, size, local), persistent=False)

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names: "probabilities" (b, classes) and, of a network that has one, "attention" (b, 1, h, w)."""
        mapped = hasattr(self.net, "gate") or isinstance(self.net, OCL)
        return ("probabilities", "attention") if mapped else ("probabilities",)

    def forward(self, *pixels: Float[Tensor, "b 3 side side"]) -> tuple[Tensor, ...]:
        config = self.preprocessing
        scaled = [(view - 255 * config.mean) * (1 / (255 * config.std)) for view in pixels]
        ready = dict(zip(self.inputs, scaled, strict=True))
        if self.regions == "fixed":
            corner = (self.stored - config.size) // 2
            face = ready["face"][:, :, corner : corner + config.size, corner : corner + config.size]
            cut = {name: self._cut(face, name) for name in self.views if name != "face"}
            ready = {"face": face} | cut
        look: Any = self.net.mapped if isinstance(self.net, OCL) else self.net
        output = look(*(ready[name] for name in self.views))
        answers = probabilities(output)
        return (answers,) if output.attention is None else (answers, output.attention)

    def _cut(self, face: Float[Tensor, "b 3 s s"], name: str) -> Float[Tensor, "b 3 l l"]:
        rows, columns = self.get_buffer(f"{name}_rows"), self.get_buffer(f"{name}_columns")
        return rows @ face @ columns

    @property
    def sides(self) -> dict[str, int]:
        """Side in pixels of each input."""
        face = self.stored if self.regions == "fixed" else self.preprocessing.size
        return {name: face if name == "face" else self.preprocessing.local_size for name in self.inputs}

    def example(self, batch: int = 1) -> tuple[Tensor, ...]:
        """Random pixels of the right shapes, one tensor for each of `inputs`."""
        return tuple(torch.randint(0, 256, (batch, 3, side, side)).float() for side in self.sides.values())

    def described(self) -> dict[str, Any]:
        """What must be known to feed an exported file: how the pixels come, and how much of an aligned face is seen."""
        pixels = {"colour": self.preprocessing.colour, "layout": "NCHW", "range": [0, 255]}
        return pixels | {"regions": self.regions, "side": self.stored, "crop": self.preprocessing.size / self.stored}

    @property
    def view_config(self) -> ViewConfig:
        """The settings under which `fermodels.training.views.Views` gives these inputs: pixels, not normalised."""
        return replace(self.preprocessing, size=self.sides.get("face", self.preprocessing.size), mean=0.0, std=1 / 255)


def interpolation(low: float, high: float, side: int, size: int) -> Float[Tensor, "size side"]:
    """The matrix that resamples one axis of `side` pixels, shares `low` to `high` of it, to `size` pixels.

    Bilinear with pixel centres at half integers; beyond the border the border repeats (as `views.resample`).
    """
    low, high = max(0.0, min(1.0, low)), max(0.0, min(1.0, high))
    where = (low + (high - low) * (torch.arange(size, dtype=torch.float64) + 0.5) / size) * side - 0.5
    where = where.clamp(0, side - 1)
    left = where.floor().long().clamp(max=max(0, side - 2))
    matrix = torch.zeros(size, side, dtype=torch.float64)
    matrix[torch.arange(size), left] = 1 - (where - left)
    if side > 1:
        matrix[torch.arange(size), left + 1] += where - left
    return matrix.float()


def _into_centre_crop(box: tuple[float, ...], stored: int, size: int) -> list[float]:
    corner, share = ((stored - size) // 2) / stored, size / stored
    return [(value - corner) / share for value in box]
