"""Trains the embedded landmark network on synthetic faces; about seven minutes on one free core.

python -m fermodels.faces.train_landmarks --out out/landmarks

The weights and the account of them (landmarks.safetensors, landmarks.json) are functions of the settings alone. A
killed training goes on from its last epoch when it is started again. `landmarker("own:FILE")` opens such weights.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from compress.exit_status import exit_status
from compress.files import digest, json_text, must_be_writable, write_atomic, write_json
from compress.program import program
from compress.timing.machine import commit
from compress.training.loop import fit
from compress.training.progress import EpochBar
from compress.training.schedule import TrainConfig
from fermodels.data.synthetic import VERSION, Faces, render
from fermodels.faces.landmark_base import Landmarker, as_pixels, as_shares
from fermodels.faces.landmark_batches import STORED, PointBatch, PointBatches
from fermodels.faces.landmark_errors import account, nme
from fermodels.faces.landmark_net import CELLS, WEIGHTS, LandmarkNet, Sight, net_from, places, seen, weights_of
from fermodels.faces.landmarks import CROPS_AT_ONCE, OwnLandmarks

ACCOUNT = "landmarks.json"
"""Beside the weights: where they come from and how good they are."""
FACES_SEED = 68
"""Of the drawn faces: the data set `synthetic` begins at seed 0, so none of its faces is seen here."""
OCCLUDED = 0.4
"""Share of the faces with something in front, in training and in the measurement."""
VALIDATION, TEST = 2**30, 2**31
"""Number of the first face of each, as in the data set."""
VALIDATED, TESTED = 300, 1000
SPREAD = 0.75
"""Deviation, in cells, of the hill that a heat map should show."""
HIDDEN_WEIGHT = 0.3
"""Of a hidden point's distance: it can only be guessed from the others."""
CHUNK = 500


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What decides the weights."""

    faces: int = 8_000
    epochs: int = 14
    seed: int = 0

    def __post_init__(self) -> None:
        if self.faces < 1:
            raise ValueError(f"faces={self.faces}: at least one, and thousands for a network that works")

    @property
    def training(self) -> TrainConfig:
        return TrainConfig(
            epochs=self.epochs,
            batch=64,
            optimizer="adam",
            lr=4e-3,
            weight_decay=1e-5,
            warmup_epochs=0.3,
            seed=self.seed,
        )


@dataclass(frozen=True, kw_only=True)
class Account:
    """What `ACCOUNT` says of the weights beside it."""

    what: str
    commit: str
    """The code that trained them."""
    data: dict[str, float]
    settings: Settings
    training: TrainConfig
    chosen_epoch: int
    seconds: int
    test: Mapping[str, float | list[tuple[int, float, float]]]
    """`landmark_errors.account` on drawn faces that no training sees."""


def objective(sight: Sight, batch: PointBatch) -> dict[str, Tensor]:
    """Distance of the points, shape of the heat maps of visible ones, and who is visible."""
    weight = torch.where(batch.visible, 1.0, HIDDEN_WEIGHT)
    true = batch.labels.clamp(0, 1)  # a point beyond the crop is pulled to the border next to it
    distance = (sight.points - true).abs().sum(-1)
    place, spread = places(CELLS), SPREAD / CELLS
    hills = torch.exp(-((place - true[..., None]) ** 2) / (2 * spread**2))
    hills = hills / hills.sum(-1, keepdim=True).clamp_min(1e-6)
    wanted = torch.einsum("bkhw,bkh,bkw->bk", sight.heat, hills[:, :, 1], hills[:, :, 0])
    surprise = sight.heat.flatten(2).logsumexp(-1) - wanted
    return {
        "distance": 20 * (weight * distance).sum() / weight.sum(),
        "heat": 0.1 * (surprise * batch.visible).sum() / batch.visible.sum().clamp_min(1),
        "visible": 1.5 * functional.binary_cross_entropy_with_logits(sight.visible, batch.visible.float()),
    }


def faces_of(first: int, count: int, size: int, seed: int = FACES_SEED) -> Faces:
    """Drawn in pieces, some of them behind things."""
    parts = [
        render(range(start, min(start + CHUNK, first + count)), size=size, seed=seed, occluders=OCCLUDED)
        for start in range(first, first + count, CHUNK)
    ]
    return Faces(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))


def unseen_faces(count: int) -> Faces:
    """Faces of the data set's own test range, with occluders: no training sees them."""
    return faces_of(TEST, count, 64, seed=0)


def measured(find: Landmarker, faces: Faces) -> dict[str, Any]:
    """Errors of the points and calibration of the confidence on drawn faces."""
    return account(find(faces.images), as_pixels(faces.landmarks, faces.images), faces.visibility > 0.5)


@torch.no_grad()
def calibrate(net: LandmarkNet, faces: Faces) -> None:
    """Slope and offset of the visibility's logits that make them likeliest on `faces` (Platt 1999), put into the
    weights: views of the training are harder than faces as they come, so its confidence is too careful."""
    logits = torch.cat(
        [net.eval()(seen(crops)).visible for crops in torch.from_numpy(faces.images).split(CROPS_AT_ONCE)]
    )
    slope, offset = platt(logits.flatten().double(), torch.from_numpy(faces.visibility).flatten().double())
    net.sight.weight.mul_(slope)
    assert net.sight.bias is not None
    net.sight.bias.mul_(slope).add_(offset)


def platt(logits: Float[Tensor, " m"], visible: Float[Tensor, " m"]) -> tuple[float, float]:
    """(slope, offset) of the logistic regression of `visible` on `logits`, by Newton's method."""
    inputs = torch.stack((logits, torch.ones_like(logits)), 1)
    weights = torch.tensor([1.0, 0.0], dtype=inputs.dtype)
    for _ in range(20):
        share = (inputs @ weights).sigmoid()
        curvature = (inputs * (share * (1 - share))[:, None]).T @ inputs + 1e-6 * torch.eye(2, dtype=inputs.dtype)
        weights = weights + torch.linalg.solve(curvature, inputs.T @ (visible - share))
    slope, offset = weights.tolist()
    return slope, offset


def train(settings: Settings, folder: Path, bar: EpochBar) -> Account:
    """Trains, measures what was written, and writes the account; returns it."""
    key, (sha, dirty) = digest([asdict(settings), VERSION])[:12], commit()
    torch.manual_seed(settings.seed)
    net = LandmarkNet().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    batches = PointBatches(faces_of(0, settings.faces, STORED), settings.training.batch, seed=settings.seed)
    held_out = faces_of(VALIDATION, VALIDATED, 64)

    def monitor(net: nn.Module) -> dict[str, float]:
        found = OwnLandmarks(net.eval())(held_out.images)  # type: ignore[arg-type]
        return {"validation": -nme(as_shares(found.points, held_out.images), held_out.landmarks)}

    chosen, _, history = fit(
        net,
        batches,  # type: ignore[arg-type] - its labels are points
        objective,  # type: ignore[arg-type]
        settings.training,
        monitor=monitor,
        state=folder / f"training-{key}.pt",
        bar=bar,
    )
    calibrate(chosen, held_out)  # type: ignore[arg-type]
    data = weights_of(chosen)  # type: ignore[arg-type]
    told = Account(
        what="68 landmarks (iBUG-68) with visibility from a 64 px face; trained on drawn faces only",
        commit=f"{sha}-dirty" if dirty else sha,
        data={"renderer": VERSION, "faces": settings.faces, "seed": FACES_SEED, "occluded": OCCLUDED},
        settings=settings,
        training=settings.training,
        chosen_epoch=history.chosen_epoch,
        seconds=round(sum(entry["seconds"] for entry in history.epochs)),
        test={"faces": TESTED, "seed": 0} | measured(OwnLandmarks(net_from(data, WEIGHTS)), unseen_faces(TESTED)),
    )
    write_atomic(folder / WEIGHTS, data)
    write_json(folder / ACCOUNT, told)
    return told


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    default = Settings()
    parser = argparse.ArgumentParser(
        prog=program("fermodels.faces.train_landmarks"),
        description="Trains the embedded landmark network on synthetic faces and measures it.",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="where weights and their account go")
    parser.add_argument("--faces", type=int, default=default.faces, help=f"drawn faces (default: {default.faces:,})")
    parser.add_argument("--epochs", type=int, default=default.epochs, help=f"passes (default: {default.epochs})")
    parser.add_argument("--seed", type=int, default=default.seed, help="of weights, order and views (default: 0)")
    return parser.parse_args(argv)


def run(given: argparse.Namespace) -> None:
    """Trains, and prints what came of it."""
    settings = Settings(faces=given.faces, epochs=given.epochs, seed=given.seed)
    for name in (WEIGHTS, ACCOUNT):
        must_be_writable(given.out / name)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # the order of sums, and with it the weights, would depend on the number of threads
    try:
        told = train(settings, given.out, EpochBar("landmarks"))
    finally:
        torch.set_num_threads(threads)
    test = {name: value for name, value in told.test.items() if name != "reliability"}
    print(json_text({"weights": str(given.out / WEIGHTS), "seconds": told.seconds, "test": test}))


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point: status 2 and a sentence for a mistake in the input."""
    given = arguments(argv)
    kept = "finished epochs stay in --out, the same command goes on"
    return exit_status("train_landmarks", lambda: run(given), kept=kept)


if __name__ == "__main__":
    sys.exit(main())
