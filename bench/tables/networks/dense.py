"""Networks as trained, side by side: one record each, of which Tables 1 to 4 and Fig 6 of paper 1 are renderings.

Nothing is cut here, and no network is trained twice: the tables share records, and the unpruned stages are those of
Table 5. Beside accuracy and cost a record holds calibration, one occluder, and how many landmarks guide the mask.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench import records
from bench.make.pipeline import network_result, record_of
from bench.make.recipes import dense_stage
from bench.make.stages import Job, Stage, class_probabilities
from bench.measure import accuracy, together
from bench.measure.attention import mean_maps, on_mask
from bench.measure.calibration import calibration_of
from bench.records import Cell
from bench.schema import SINGLE
from compress.files import plain
from fermodels.data.base import Dataset
from fermodels.faces.covered_split import covered_split
from fermodels.faces.occlude import Occluder
from fermodels.faces.regions import MAIN_POINTS

RECORDS = "networks"
"""Folder of the records below the records folder."""
REFERENCE = "mrf"
"""The network that the others are compared with."""
THRESHOLDS: dict[str, float] = {
    "mrf-confidence-00": 0.0,
    "mrf-confidence-25": 0.25,
    "mrf-confidence-40": 0.4,
    REFERENCE: 0.5,
    "mrf-confidence-60": 0.6,
    "mrf-confidence-75": 0.75,
}
"""Fig 6: network -> the confidence below which a landmark does not enter its mask."""
OCCLUDER = Occluder(name="patch", share=0.2)
"""A piece of the same picture in the wrong place: no network of these tables has met one in training."""


def cells(data: str, scale: str, seeds: int, models: Sequence[str]) -> list[Cell]:
    """One cell for every network and seed, all of seed 0 first."""
    place: dict[str, Any] = {"table": RECORDS, "data": data, "scale": scale, "variant": "dense", "ratio": 0.0}
    return [Cell(**place, model=model, seed=seed) for seed in range(seeds) for model in models]


def measure(job: Job, wanted: Sequence[Cell], root: Path) -> None:
    """Makes the record of a network and seed below `root`, unless one of the same network is there; no latency yet."""
    for cell in wanted:
        stage = dense_stage(job)
        if not records.made_by(root / cell.path, stage.key):
            records.save(record_of(job, cell, stage, _result(job, cell, stage)), root)


def time_together(jobs: Mapping[Cell, Job], root: Path) -> None:
    """Latency at batch 1 of the networks of seed 0, in turns with MRF; see `bench.measure.together`."""
    together.time_together(jobs, root, batches=(SINGLE,), reference=REFERENCE)


def _result(job: Job, cell: Cell, stage: Stage) -> dict[str, Any]:
    """`network_result` with what only these records have.

    calibration: see `calibration_of`. occluder: the score behind `OCCLUDER`, and what that is.
    mask: the threshold in force, and the share of landmarks that pass each of `THRESHOLDS` in training (None: the set
    has no confidences). attention: see `on_mask`; attention_maps: see `mean_maps`.
    """
    net = stage.net().to(job.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    validation, test = (class_probabilities(net, job.views(split), job.crops) for split in ("validation", "test"))
    truths = [np.asarray(split.labels) for split in (job.data.validation, job.data.test)]
    behind = covered_split(job.data.test, OCCLUDER, size=job.preprocessing.size).split
    occluded = class_probabilities(net, job.views_of(behind), job.crops)
    return network_result(job, cell, stage) | {
        "calibration": calibration_of(validation, truths[0], test, truths[1]),
        "occluder": plain(OCCLUDER) | {"accuracy": accuracy.score(occluded.argmax(1), truths[1], job.data.classes)},
        "mask": {"confidence": job.scale.schedules.confidence, "passing": passing(job.data)},
        "attention": on_mask(job, net),
        "attention_maps": mean_maps(job, net),
    }


def passing(data: Dataset) -> dict[str, float] | None:
    """Share of the main landmarks of the training faces that pass each of `THRESHOLDS`, by its text.

    None where the set has no landmarks, or all of them are equally sure: then there is no threshold to choose.
    """
    train = data.train
    if train.landmarks is None or train.confidence is None:
        return None
    confidence = np.asarray(train.confidence)[:, list(MAIN_POINTS)]
    if confidence.min() == confidence.max():
        return None
    return {str(level): float((confidence >= level).mean()) for level in THRESHOLDS.values()}


def needed(data: Dataset, wanted: Sequence[Cell]) -> list[Cell]:
    """Those of the cells of Fig 6 that are networks of their own on `data`."""
    return distinct(passing(data), wanted)


def distinct(shares: Mapping[str, float] | None, wanted: Sequence[Cell]) -> list[Cell]:
    """Cells of the networks that stand for themselves (`trained_as`)."""
    themselves = set(trained_as(shares).values())
    return [cell for cell in wanted if cell.model in themselves]


def trained_as(shares: Mapping[str, float] | None) -> dict[str, str]:
    """Every network of `THRESHOLDS` -> the one among them that has the same masks and is trained; see `passing`.

    Points that pass a higher threshold pass every lower one, so equal shares are equal masks. The reference stands for
    all that equal it, and without confidences for all.
    """
    if shares is None:
        return dict.fromkeys(THRESHOLDS, REFERENCE)
    first = {shares[str(THRESHOLDS[REFERENCE])]: REFERENCE}
    return {model: first.setdefault(shares[str(level)], model) for model, level in THRESHOLDS.items()}
