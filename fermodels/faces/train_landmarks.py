"""Trains the embedded landmark network on synthetic faces; about five minutes on one free core.

python -m fermodels.faces.train_landmarks --out out/landmarks

The weights and the account of them (landmarks.safetensors, landmarks.json) are functions of the settings alone. A
killed training goes on from its last epoch when it is started again. `landmarker("own:FILE")` opens such weights.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from fermodels.data.synthetic import VERSION, Faces, render
from fermodels.faces.landmark_batches import STORED, PointBatch, PointBatches
from fermodels.faces.landmark_errors import ece, point_errors, reliability, separation
from fermodels.faces.landmark_net import CELLS, WEIGHTS, LandmarkNet, Sight, net_from, places, seen, weights_of
from fermodels.files import digest, plain, write_atomic
from fermodels.progress import EpochBar
from fermodels.schedule import TrainConfig
from fermodels.training import fit

FACES_SEED = 68
"""Of the drawn faces: the data set `synthetic` begins at seed 0, so none of its faces is seen here."""
OCCLUDED = 0.4
"""Share of the faces with something in front, in training and in the measurement."""
VALIDATION, TEST = 2**30, 2**31
"""Number of the first face of each, as in the data set."""
SPREAD = 0.75
"""Deviation, in cells, of the hill that a heat map should show."""
HIDDEN_WEIGHT = 0.3
"""Of a hidden point's distance: it can only be guessed from the others."""
CHUNK = 500


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What decides the weights."""

    faces: int = 8_000
    epochs: int = 8
    seed: int = 0

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
        "heat": 0.1 * surprise[batch.visible].mean(),
        "visible": 0.5 * functional.binary_cross_entropy_with_logits(sight.visible, batch.visible.float()),
    }


def faces_of(first: int, count: int, size: int, seed: int = FACES_SEED) -> Faces:
    """Drawn in pieces, some of them behind things."""
    parts = [
        render(range(start, min(start + CHUNK, first + count)), size=size, seed=seed, occluders=OCCLUDED)
        for start in range(first, first + count, CHUNK)
    ]
    return Faces(*(torch.cat([torch.from_numpy(a) for a in arrays]).numpy() for arrays in zip(*parts, strict=True)))


@torch.no_grad()
def answers(net: nn.Module, faces: Faces) -> tuple[Any, Any]:
    """Points (n, 68, 2) as shares and the probability (n, 68) of being visible, in numpy."""
    sights = [net.eval()(seen(crops)) for crops in torch.from_numpy(faces.images).split(128)]
    points, logits = torch.cat([s.points for s in sights]), torch.cat([s.visible for s in sights])
    return points.numpy(), logits.sigmoid().numpy()


def measured(net: nn.Module, faces: Faces) -> dict[str, Any]:
    """Inter-ocular errors on faces with and without occluders, and the calibration of the confidence."""
    points, confidence = answers(net, faces)
    errors, visible = point_errors(points, faces.landmarks), faces.visibility > 0.5
    bins = [
        None if one is None else [one.points, round(one.confidence, 4), round(one.visible, 4)]
        for one in reliability(confidence.ravel(), visible.ravel())
    ]
    figures = {
        "nme": errors.mean(),
        "nme_visible": errors[visible].mean(),
        "nme_hidden": errors[~visible].mean(),
        "worst_twentieth_of_faces": sorted(errors.mean(1))[-max(1, len(errors) // 20)],
        "ece": ece(confidence.ravel(), visible.ravel()),
        "separation": separation(confidence.ravel(), visible.ravel()),
    }
    return {name: round(float(value), 5) for name, value in figures.items()} | {"reliability": bins}


def train(settings: Settings, folder: Path, bar: EpochBar) -> dict[str, Any]:
    """Trains, measures what was written, and writes the account; returns it."""
    key, commit = digest([asdict(settings), VERSION])[:12], _commit()
    torch.manual_seed(settings.seed)
    net = LandmarkNet().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    batches = PointBatches(faces_of(0, settings.faces, STORED), settings.training.batch, seed=settings.seed)
    held_out = faces_of(VALIDATION, 300, 64)

    def monitor(net: nn.Module) -> dict[str, float]:
        points, _ = answers(net, held_out)
        return {"validation": -float(point_errors(points, held_out.landmarks).mean())}

    chosen, _, history = fit(
        net,
        batches,  # type: ignore[arg-type] - its labels are points
        objective,  # type: ignore[arg-type]
        settings.training,
        monitor=monitor,
        state=folder / f"training-{key}.pt",
        bar=bar,
    )
    data = weights_of(chosen)  # type: ignore[arg-type]
    account = {
        "what": "68 landmarks (iBUG-68) with visibility from a 64 px face; trained on drawn faces only",
        "commit": commit,
        "data": {"renderer": VERSION, "faces": settings.faces, "seed": FACES_SEED, "occluded": OCCLUDED},
        "settings": asdict(settings),
        "training": asdict(settings.training),
        "chosen_epoch": history.chosen_epoch,
        "seconds": round(sum(entry["seconds"] for entry in history.epochs)),
        "test": {"faces": 1000, "seed": 0} | measured(net_from(data, WEIGHTS), faces_of(TEST, 1000, 64, seed=0)),
    }
    write_atomic(folder / WEIGHTS, data)
    write_atomic(folder / "landmarks.json", json.dumps(plain(account), indent=1) + "\n")
    return account


def _commit() -> str:
    """The code that trains; "unknown" outside a repository."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        told = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return told.stdout.strip()


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    default = Settings()
    parser = argparse.ArgumentParser(
        prog="python -m fermodels.faces.train_landmarks",
        description="Trains the embedded landmark network on synthetic faces and measures it.",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="where weights and their account go")
    parser.add_argument("--faces", type=int, default=default.faces, help=f"drawn faces (default: {default.faces:,})")
    parser.add_argument("--epochs", type=int, default=default.epochs, help=f"passes (default: {default.epochs})")
    parser.add_argument("--seed", type=int, default=default.seed, help="of weights, order and views (default: 0)")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point: status 2 and a sentence for a mistake in the input."""
    given = arguments(argv)
    torch.set_num_threads(1)  # the order of sums, and with it the weights, would depend on the number of threads
    settings = Settings(faces=given.faces, epochs=given.epochs, seed=given.seed)
    try:
        account = train(settings, given.out, EpochBar("landmarks"))
    except (ValueError, FloatingPointError) as error:
        print(f"train_landmarks: {error}", file=sys.stderr)
        return 2
    test = {name: value for name, value in account["test"].items() if name != "reliability"}
    print(json.dumps({"weights": str(given.out / WEIGHTS), "seconds": account["seconds"], "test": test}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
