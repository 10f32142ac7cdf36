"""Occlusion x pruning: every network that ships looks at the test split behind every occluder. Nothing is trained here.

The networks are those of the tables of ratios (unpruned and slim): one that joins them has rows here.
A record holds the answers themselves, so every curve, area and interval is recomputed from it.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from bench import records
from bench.make.pipeline import record_of, stage_behind
from bench.make.recipes import say
from bench.make.stages import Job, Stage, predicted
from bench.measure import accuracy
from bench.measure.together import with_times
from bench.records import Cell
from bench.tables.covers.covered import SEED, covered_sets, lacking, levels
from bench.tables.ratios.definitions import RATIO_TABLES
from compress.cost import macs, params
from fermodels.data.base import Split
from fermodels.training.views import Views

TABLE = "occlusion"
MODELS = {model: printed for table in RATIO_TABLES.values() for model, printed in table.models.items()}
"""Networks of the rows, and their names in print."""
TIMED_IN = {model: table.name for table in RATIO_TABLES.values() for model in table.models}
"""The table whose records tell a network's latency."""
ROWS = [(model, ratio) for table in RATIO_TABLES.values() for model in table.models for ratio in (0.0, *table.ratios)]
"""Every network and every share of channels removed from it."""
FAMILIES = ("noise", "patch", "mask", "picture")
"""A rectangle that occlusion-aware training may show, one that it may not, a drawn mask, real pictures of masks."""

TIMES = ("p50_ms", "p90_ms", "noisy", "threads", "runtime", "precision", "ratios")
"""What is taken over from those latencies."""

Answers = Callable[[Split], np.ndarray]
"""A split -> the class named for every face, (n,)."""


def cells(data: str, scale: str, seeds: int) -> list[Cell]:
    """Every network of the tables of ratios that ships, unpruned and slim."""
    return [
        Cell(
            table=TABLE,
            data=data,
            scale=scale,
            model=model,
            variant="slim" if ratio else "dense",
            ratio=ratio,
            seed=seed,
        )
        for seed in range(seeds)
        for model, ratio in ROWS
    ]


def measure(job: Job, wanted: Sequence[Cell], root: Path) -> None:
    """Makes the records of `wanted` (one network, one seed), unless `root` has them from the same stages."""
    for cell in wanted:
        stage = stage_behind(job, cell)
        if not measured(root / cell.path, stage, job, FAMILIES):
            say(f"{cell.id}: test split behind {', '.join(FAMILIES)}")
            result = looked(job, stage, FAMILIES, network_answers(job, stage)) | {"cost": cost(stage)}
            records.save(record_of(job, cell, stage, result), root)
        _take_latency(cell, root)


def _take_latency(cell: Cell, root: Path) -> None:
    """Copies into the record what the table of ratios says of this trained network's latency, if it has a record.

    A rendering sees one table's records only, and times are measured once, in turns with the others of that table.
    """
    path, timed = root / cell.path, root / replace(cell, table=TIMED_IN[cell.model]).path
    record = records.load(path)
    if record.key is None or not records.made_by(timed, record.key):
        return
    source = records.load(timed)
    told = {batch: {key: one[key] for key in TIMES} for batch, one in source.result["latency"].items()}
    if told != record.result.get("latency"):
        records.save(with_times(record, {"latency": told}, source.timing), root)


def measured(path: Path, stage: Stage, job: Job, families: Sequence[str]) -> bool:
    """Whether the record at `path` is of this stage and holds every family that can be shown now."""
    if not records.made_by(path, stage.key):
        return False
    return set(records.load(path).result["occluded"]) == set(families) - set(lacking(job, families))


def network_answers(job: Job, stage: Stage) -> Answers:
    """The network of `stage` in float32, as the headline accuracies are measured."""
    net = stage.net().to(job.device)
    return lambda split: predicted(net, Views(split, job.preprocessing, net.inputs, job.device))  # type: ignore[arg-type]


def cost(stage: Stage) -> dict[str, int]:
    """What one image costs the network of `stage`."""
    net = stage.net()
    return {"params": params(net), "macs": macs(net, net.example())}  # type: ignore[operator]


def looked(job: Job, stage: Stage, families: Sequence[str], answers: Answers) -> dict[str, Any]:
    """What a record keeps: answers on the bare test split (from the stage) and behind every occluder, as digits.

    occluded: family -> level (percent of the face, or "placed") -> answers. covered: the mean shares likewise.
    lacking: family -> why it could not be shown.
    """
    occluded: dict[str, dict[str, str]] = {}
    covered: dict[str, dict[str, float]] = {}
    for family, level, made in covered_sets(job, families):
        occluded.setdefault(family, {})[level] = accuracy.digits(answers(made.split))
        covered.setdefault(family, {})[level] = made.share
    assert all(tuple(found) == levels(family) for family, found in occluded.items())
    return {
        "bare": stage.outcome["predictions"]["val_selected"],
        "occluded": occluded,
        "covered": covered,
        "lacking": dict(lacking(job, families)),
        "covers": about_covers(job),
        "data": tested(job),
    }


def about_covers(job: Job) -> dict[str, Any]:
    """What decides where covers lie."""
    return {"seed": SEED, "crop": job.preprocessing.size, "landmarks": job.data.test.landmarks is not None}


def tested(job: Job) -> dict[str, Any]:
    """The data set, and the true classes of its test split."""
    data = job.data
    truth = accuracy.digits(np.asarray(data.test.labels))
    about = {"name": data.name, "classes": list(data.classes), "licence": data.licence, "notes": list(data.notes)}
    return about | {"truth": truth}
