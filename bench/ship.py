"""The network that ships: trained on real faces, cut, recovered on softer targets and on photographs, exported.

    python -m bench.ship --data fer2013:fer2013.npz --photographs prepared:faces/lfw --out shipped

FER2013 gives most of the faces. A second set of faces, which our own detector has cut from photographs (see
`fermodels.faces.prepare`), stands for what users show: its train split joins the training, its validation split counts
when the epoch is chosen, and neither test split is looked at before the end.

It recovers from the cut on targets softer than the labels: half the label, half FER+'s votes where FER2013's file holds
them. Then it settles on firmer ones, three quarters the label, rare labels counting more: votes leave little fear and
disgust. There a quarter of the faces are blurred or of few pixels, as bad cameras show them. Rows that the voters
called no face are left out, and so is every training face that looks like a face of a test or validation split.
`--from NAME` settles a network that is there already.
All faces are grey in training; the first convolution is then changed so that a colour photograph gives what its
luminance would.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32
from torch import nn

import fermodels
from bench.make.jobs import Source
from bench.make.recipes import say
from bench.make.shipping import Faces, grey_only, photographs_of, recovered, settled
from bench.make.stages import Job, predicted
from bench.measure import accuracy
from compress.exit_status import exit_status
from compress.files import must_be_folder, plain
from compress.program import program
from compress.slimming.plan import Plan
from compress.timing.machine import commit
from fermodels.data import open_dataset
from fermodels.data.base import Dataset, Split
from fermodels.data.likeness import looks, near_pairs
from fermodels.predict.shipped import SHIPPED
from fermodels.training.views import Views

MODEL, SCALE = "vggnet", "strong"
NEAR_BITS = 4
"""Faces whose perceptual hashes differ in at most so many of 64 bits count as copies (`fermodels.data.likeness`)."""
VOTED = ("neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear")
"""FER+'s first seven columns; contempt, unknown and no face follow."""


def soft_targets(labels: np.ndarray, votes: np.ndarray | None, classes: Sequence[str]) -> Float32[np.ndarray, "n k"]:
    """Half the label, half the share of the votes among `classes`; the label alone where nobody voted for one."""
    hard = np.eye(len(classes), dtype=np.float32)[labels]
    if votes is None:
        return hard
    order = [VOTED.index(name) for name in classes]
    counted = votes[:, order].astype(np.float32)
    total = counted.sum(1, keepdims=True)
    return np.where(total > 0, (hard + counted / np.maximum(total, 1)) / 2, hard)


def ferplus_votes(path: Path, names: Sequence[str]) -> np.ndarray | None:
    """FER+ votes (n, 10) of the rows `names` ("row 17"), or None where the file holds none."""
    if path.suffix != ".npz":
        return None
    with np.load(path) as file:
        if "ferplus_votes" not in file.files:
            return None
        return file["ferplus_votes"][[int(name.split()[1]) for name in names]]


def training_faces(data: Dataset, votes: np.ndarray | None, photographs: Dataset) -> Faces:
    """The train splits of both sets without what the voters called no face, and without copies of held-out faces.

    Args:
        votes: of FER+, (n, 10), for the rows of `data.train`; photographs have none.
    """
    held = np.concatenate([_looks(own.splits[s]) for own in (data, photographs) for s in ("validation", "test")])
    kept, told = zip(*(_kept(own, held) for own in (data, photographs)), strict=True)
    into = np.array([data.classes.index(name) for name in photographs.classes])
    labels = np.asarray(data.train.labels)[kept[0]], into[np.asarray(photographs.train.labels)[kept[1]]]
    targets = [soft_targets(labels[0], None if votes is None else votes[kept[0]], data.classes)]
    targets += [soft_targets(labels[1], None, data.classes)]
    pixels = [grey_only(own.train).images[keep] for own, keep in zip((data, photographs), kept, strict=True)]
    names = [str(i) for i in range(sum(map(len, labels)))]
    split = Split(images=np.concatenate(pixels), labels=np.concatenate(labels), names=names)
    return Faces(split=split, targets=np.concatenate(targets), told=told[0] | told[1])


def _looks(split: Split) -> np.ndarray:
    return looks(np.asarray(split.images))[0]


def _kept(own: Dataset, held: np.ndarray) -> tuple[np.ndarray, dict[str, int]]:
    """Rows of the train split that are trained on, and what was left out in numbers."""
    hashes = _looks(own.train)
    pairs, _ = near_pairs(np.concatenate((hashes, held)), NEAR_BITS)
    good = np.ones(len(hashes), bool)
    good[pairs[(pairs[:, 0] < len(hashes)) & (pairs[:, 1] >= len(hashes)), 0]] = False
    told = {f"{own.name}: copies of held-out faces left out": int((~good).sum())}
    if own.train.not_face is not None:
        told[f"{own.name}: no face by its voters, left out"] = int((good & own.train.not_face).sum())
        good &= ~own.train.not_face
    return np.flatnonzero(good), told | {f"{own.name}: training faces": int(good.sum())}


def claims(job: Job, net: nn.Module, photographs: Dataset, faces: Faces) -> dict[str, Any]:
    """What the checkpoint says of itself; the one look at both test splits."""
    held, truth = photographs_of(photographs, "test", job.data.classes)
    own = _scored(job, net, job.views("test"), np.asarray(job.data.test.labels))
    theirs = _scored(job, net, job.views_of(held), truth)
    about = {"classes": job.data.classes, "preprocessing": job.preprocessing, "data": job.data.name, "split": "test"}
    about |= {"stored": job.scale.geometry.stored, "regions": "fixed", "n": own["n"], "accuracy": own}
    return about | {"photographs": {"data": photographs.name, "split": "test"} | theirs, "trained_on": faces.told}


def _scored(job: Job, net: nn.Module, views: Views, truth: np.ndarray) -> dict[str, Any]:
    score = plain(accuracy.score(predicted(net, views), truth, job.data.classes))
    return {name: value for name, value in score.items() if name != "predictions"}


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=program("bench.ship"), description=__doc__)
    parser.add_argument("--data", required=True, help="fer2013:PATH")
    parser.add_argument("--photographs", required=True, help="prepared:FOLDER, written by fermodels.faces.prepare")
    parser.add_argument("--from", dest="start", choices=list(SHIPPED), help="settle this one, train and cut none")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of the checkpoint")
    parser.add_argument("--runs", type=Path, default=Path("reports/runs"), metavar="DIR", help="cache of trainings")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; a mistake in the input is one sentence and status 2."""
    given = arguments(argv)
    return exit_status("bench.ship", lambda: run(given), kept="finished epochs are kept, the same command goes on")


def run(given: argparse.Namespace) -> None:
    """Trains, slims, recovers, and writes the checkpoint.

    Raises:
        ValueError: data that cannot be read, or folders that cannot be written to.
    """
    must_be_folder(given.out, "--out")
    must_be_folder(given.runs, "--runs")
    job = Source(data=given.data, scale=SCALE, runs=given.runs).job(MODEL, 0)
    photographs = open_dataset(given.photographs, size=job.scale.geometry.stored, cache=given.runs / "data")
    votes = ferplus_votes(Path(given.data.partition(":")[2]), job.data.train.names)
    faces = training_faces(job.data, votes, photographs)
    for name, count in faces.told.items():
        say(f"{name}: {count:,}")
    net, plan, before = _started(given, job, faces, photographs)
    net = settled(job, net, faces, photographs, given.runs / "settled.pt")
    about: dict[str, Any] = claims(job, net, photographs, faces) | {"commit": commit()[0]} | before
    fermodels.save(net, given.out, about, beside={"plan.json": plan.to_json()})
    print(
        json.dumps(
            {
                "out": str(given.out),
                "fer2013": about["accuracy"]["overall"],
                "photographs": about["photographs"]["class_mean"],
            }
        )
    )


def _started(
    given: argparse.Namespace, job: Job, faces: Faces, photographs: Dataset
) -> tuple[nn.Module, Plan, dict[str, Any]]:
    """The network before it settles, the plan of its cut, and which commit made it where that was another call."""
    if given.start is None:
        return *recovered(job, faces, photographs, given.runs / "shipped.pt"), {}
    net, about = fermodels.load(SHIPPED[given.start])
    return net, Plan.load(SHIPPED[given.start] / "plan.json"), {"started_from": about["commit"]}


if __name__ == "__main__":
    sys.exit(main())
