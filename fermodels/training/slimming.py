"""A checkpoint as `python -m compress.slim` wants it: the network, training faces for its batch norms, how it is saved.

That command finds `opened` by name: compress knows nothing of faces.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from fermodels import checkpoint
from fermodels.data import open_dataset
from fermodels.training.views import Views, recorded_views

CALIBRATION = 2048
"""Training faces on which batch norms are measured anew."""


@dataclass(frozen=True, kw_only=True)
class Opened:
    """A network to be slimmed."""

    net: nn.Module
    example: tuple[Tensor, ...]
    calibrate: list[tuple[Tensor, ...]] | None
    about: dict[str, Any]

    def save(self, small: nn.Module, folder: Path, beside: Mapping[str, str]) -> None:
        """Writes the slim network; it claims no accuracy, because nobody has measured it."""
        checkpoint.save(small, folder, self.about | {"accuracy": None, "n": 0}, beside=beside)


def opened(folder: Path, *, data: str | None, stored: int | None, runs: Path) -> Opened:
    """The network in `folder`.

    Args:
        data: NAME or NAME:PATH of the data set it was trained on; None: its batch norms stay as they are.
        stored: side in pixels of the aligned faces, where the checkpoint is silent.
        runs: cache of decoded faces.

    Raises:
        ValueError: no checkpoint, one that is silent about its faces, or a data set that cannot be opened.
    """
    net, about = checkpoint.load(folder)
    faces = None if data is None else _faces(net, about, data, stored, runs)
    return Opened(net=net, example=net.example(), calibrate=faces, about=about)  # type: ignore[operator]


def _faces(net: Any, about: dict[str, Any], data: str, stored: int | None, runs: Path) -> list[tuple[Tensor, ...]]:
    config, side = recorded_views(about, stored=stored)
    train = open_dataset(data, size=side, cache=runs / "data", progress=True).train
    return [batch.views for batch in Views(train, config, net.inputs).spread(CALIBRATION)]
