"""The handcrafted baselines of Fig 3 as cached stages, trained on what the networks see: the centre crops, in grey."""

import json
import time
from typing import Any

import numpy as np
from jaxtyping import UInt8

from bench.make.recipes import say
from bench.make.stages import OUTCOME, Job, Stage, stage_by_key, trained_on
from bench.measure import accuracy
from compress.files import digest, plain, write_atomic
from fermodels import handcrafted
from fermodels.data.base import Split
from fermodels.faces.covered_split import grey
from fermodels.handcrafted import Baseline

VARIANT = "svm"
"""Of their cells: they are neither dense nor slim."""
FILE = "baseline.npz"


def baseline_stage(job: Job) -> Stage:
    """The method `job.model` of `handcrafted.FEATURES`: from the cache, or fitted, with C chosen on validation."""
    what = _described(job)
    stage = stage_by_key(job.runs, job.model, VARIANT, digest(what))
    return stage.once(lambda: _make(job, stage, what))


def _make(job: Job, stage: Stage, what: dict[str, Any]) -> None:
    size, data = job.preprocessing.size, job.data
    say(f"{job.model}: features and linear SVM on {len(data.train):,} faces")
    start = time.perf_counter()
    faces = {name: centre(split, size) for name, split in data.splits.items()}
    made, costs = handcrafted.fit(
        job.model,
        faces["train"],
        np.asarray(data.train.labels),
        validation=(faces["validation"], np.asarray(data.validation.labels)),
        classes=len(data.classes),
    )
    made.save(stage.folder / FILE)
    answers = {name: accuracy.digits(made.answers(faces[split])) for name, split in _SCORED.items()}
    fitted = {"cost": made.cost, "validation": {str(cost): share for cost, share in costs.items()}}
    fitted |= {"seconds": round(time.perf_counter() - start, 1), "trained_on": trained_on("cpu")}
    outcome = {"described": what, "history": fitted, "predictions": answers}
    write_atomic(stage.folder / OUTCOME, json.dumps(plain(outcome), indent=1) + "\n")


_SCORED = {"validation": "validation", "val_selected": "test"}


def opened(stage: Stage) -> Baseline:
    """The fitted method of a finished stage."""
    return Baseline.load(stage.folder / FILE)


def centre(split: Split, size: int) -> UInt8[np.ndarray, "n size size"]:
    """The grey centre crop of every face."""
    corner = round((split.images.shape[1] - size) / 2)
    crops = np.asarray(split.images)[:, corner : corner + size, corner : corner + size]
    return np.stack([grey(crop)[..., 0] for crop in crops])


def _described(job: Job) -> dict[str, Any]:
    """Everything that decides the outcome; nothing is drawn by chance, so every seed is the same stage."""
    names = ("CELL", "BLOCK", "ORIENTATIONS", "POINTS", "RADIUS", "GRID", "KEYPOINTS", "SPREAD", "COMPONENTS")
    names = (*names, "PCA_FACES", "COSTS", "STEPS", "GRADIENT")
    settings = {name.lower(): plain(getattr(handcrafted, name)) for name in names}
    where = {"size": job.preprocessing.size, "data": job.fingerprint}
    return {"stage": VARIANT, "model": job.model, "settings": settings} | where
