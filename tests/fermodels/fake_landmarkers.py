"""Stand-ins for landmark models of others: an ONNX session and FAN whose answers follow from the pixels."""

import types

import numpy as np
import torch

from fermodels.faces.landmark_base import FLIP

MIRRORED = list(FLIP)


def noise(n: int = 2, height: int = 40, width: int = 40) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (n, height, width, 3), dtype=np.uint8)


class Brightest:
    """Stands in for a session: all points at the centre of brightness, which moves with the picture."""

    def __init__(self, sees: bool = True, *, batch: int | str = "b", scale: float = 1.0, outputs: int = 136) -> None:
        self.sees, self.batch, self.scale, self.outputs, self.calls = sees, batch, scale, outputs, []

    def get_inputs(self):
        return [types.SimpleNamespace(name="x", shape=[self.batch, 3, 100, 100])]

    def run(self, _, fed):
        (pictures,) = fed.values()
        self.calls.append(len(pictures))
        weight = pictures.mean(1)
        total = weight.sum((1, 2))
        middle = (np.arange(100) + 0.5) / 100
        x, y = (weight.sum(1) * middle).sum(1) / total, (weight.sum(2) * middle).sum(1) / total
        place = np.stack((x, y), -1)[:, None] if self.sees else np.full((len(pictures), 1, 2), 0.5)
        offset = np.linspace(-0.2, 0.2, 68)[:, None] * (1, 0)
        symmetric = (offset - offset[MIRRORED]) / 2
        if self.outputs == 204:
            answer = np.concatenate(((place + symmetric) * self.scale, np.full((len(pictures), 68, 1), 0.7)), 2)
            return [answer.reshape(len(pictures), -1)]
        return [((place + symmetric) * self.scale).reshape(len(pictures), -1)[:, : self.outputs].astype(np.float32)]


class InTwo(Brightest):
    """The same with the confidence in an output of its own."""

    def run(self, _, fed):
        (points,) = super().run(_, fed)
        return [np.full((len(points), 68), 0.7, np.float32), points]


def spot(n: int = 3) -> np.ndarray:
    crops = np.zeros((n, 100, 100, 3), np.uint8)
    for i in range(n):
        crops[i, 40 + 5 * i : 50 + 5 * i, 60:64] = 200
    return crops


class Hill(torch.nn.Module):
    """Stands in for FAN: heat maps that are the picture itself."""

    def __init__(self, modules: int = 4) -> None:
        super().__init__()
        self.gain = torch.nn.Parameter(torch.ones(()))

    def forward(self, pictures):
        heat = torch.nn.functional.avg_pool2d(pictures.mean(1, keepdim=True), 4) * self.gain
        return [heat, heat.expand(-1, 68, -1, -1)]
