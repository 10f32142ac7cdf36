"""From a job to its records: make the stage behind every cell, score it, record it; measure latency last.

A record is written as soon as its accuracy is known and again with its latency, for which all networks take turns.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bench import records
from bench.make import baselines, timed, watching
from bench.make.cuts import CUTS, after_cut, method_stage, plan_of, slim_stage
from bench.make.methods import RECIPES, methods
from bench.make.pretraining import pretrain_stage
from bench.make.recipes import dense_stage, say, sparse_stage
from bench.make.stages import Job, Stage
from bench.measure import accuracy
from bench.measure.together import recorded, with_latency
from bench.records import Cell, Record
from bench.schema import BATCHES
from compress.cost import macs_by_fvcore, params
from compress.files import plain
from compress.slimming.sparsity import gamma_histogram, zero_share
from compress.timing.latency import Latency, latency_of
from compress.timing.machine import origin

TIMED = ("dense", "slim")
"""The sparse network has the dense one's shape and the random control is a control of accuracy: neither is timed."""


def stage_behind(job: Job, cell: Cell) -> Stage:
    """The finished stage behind `cell`, made if it is not cached."""
    with watching.making(cell.id):
        return _stage_behind(job, cell)


def _stage_behind(job: Job, cell: Cell) -> Stage:
    if cell.variant == baselines.VARIANT:
        return baselines.baseline_stage(job)
    if cell.variant == "dense":
        return dense_stage(job)
    if cell.variant == timed.VARIANT:
        return timed.timed_stage(job, cell.ratio)
    if cell.variant in methods(job.scale.schedules.recipe):
        return method_stage(job, cell.variant, cell.ratio)
    return sparse_stage(job) if cell.variant == "sparse" else slim_stage(job, cell.variant, cell.ratio)


def score(job: Job, cells: Sequence[Cell], root: Path) -> dict[Cell, Stage]:
    """Makes every record of `cells` (one network, one seed) that `root` lacks or that another configuration made.

    The records have no latency yet. Returns the stages behind the cells.
    """
    stages: dict[Cell, Stage] = {}
    for cell in cells:
        stages[cell] = stage_behind(job, cell)
        if not records.made_by(root / cell.path, stages[cell].key):
            result = result_of(job, cell, stages[cell])
            records.save(record_of(job, cell, stages[cell], result), root)
    return stages


def measure(job: Job, cells: Sequence[Cell], root: Path) -> None:
    """`score`, and then the latency of the unpruned network and its slim ones, in turns."""
    stages = score(job, cells, root)
    timed = [cell for cell in cells if cell.variant in TIMED]
    if all(len(_loaded(root, cell).result["latency"]) == len(BATCHES) for cell in timed):
        return
    for batch in BATCHES:
        found = _latencies(job, timed, stages, batch)
        for cell, latency in found.items():
            records.save(with_latency(_loaded(root, cell), recorded(latency, "unpruned")), root)


def _latencies(job: Job, cells: Sequence[Cell], stages: dict[Cell, Stage], batch: int) -> dict[Cell, Latency]:
    names = {cell.id: cell for cell in cells}
    nets = {cell.id: stages[cell].net().to(job.device) for cell in cells}
    reference = next(cell.id for cell in cells if cell.variant == "dense")
    say(f"{job.model}: latency of {len(nets)} networks at batch {batch}, in turn")
    how = job.scale.measurement
    found = latency_of(nets, batch, reference, attempts=how.latency_attempts, **how.enough)
    return {names[name]: latency for name, latency in found.items()}


def _loaded(root: Path, cell: Cell) -> Record:
    return records.load(root / cell.path)


def record_of(job: Job, cell: Cell, stage: Stage, result: dict[str, Any]) -> Record:
    """`result` of the network of `stage`, measured now, on this machine, with this code."""
    config = {"key": stage.key, "stage": stage.outcome["described"], "scale": job.scale.described()}
    crop = {"centre": "single centre crop", "five": "centre and four corners, averaged"}[job.crops]
    config |= {"evaluation": {"crop": crop, "flip": False, "precision": "fp32"}}
    return Record(
        cell=cell,
        config=config,
        result=plain(result),
        lineage=stage.lineage,
        **origin(),
    )


def result_of(job: Job, cell: Cell, stage: Stage) -> dict[str, Any]:
    """Everything measured of one cell but its latency (the keys that `bench.pages.values` reads).

    accuracy: `val_selected` (headline), `last`, `best_on_test`, `flip`, `leak_free` on the test split, `validation`.
    after_cut: validation right after the cut. training: the history of every stage that led here.
    """
    net: Any = stage.net()
    plan = plan_of(stage) if cell.variant in CUTS else None
    return network_result(job, cell, stage) | {
        "plan": None if plan is None else plan.summary(),
        "after_cut": after_cut(job, stage) if cell.variant == "slim" else None,
        "gammas": None if plan else _gammas(net),
    }


def _gammas(net: Any) -> dict[str, Any]:
    example = net.example()
    return gamma_histogram(net, example) | {"zero_share": zero_share(net, example)}


def network_result(job: Job, cell: Cell, stage: Stage) -> dict[str, Any]:
    """The part of a result that every trained network has, with or without batch norms; see `result_of`."""
    net = stage.net()
    counted = macs_by_fvcore(net, net.example())  # type: ignore[operator]
    return {
        "cost": {
            "params": params(net),
            "macs": counted.total,
            "uncounted": dict(counted.uncounted),
            "weights_bytes": (stage.folder / "chosen" / "model.safetensors").stat().st_size,
        },
        "accuracy": _accuracies(job, stage),
        "latency": {},
        "training": {"stages": _histories(job, cell, stage)},
        "data": _data(job),
    }


def _accuracies(job: Job, stage: Stage) -> dict[str, Any]:
    found = stage.outcome["predictions"]
    truth, classes = np.asarray(job.data.test.labels), job.data.classes
    scores: dict[str, Any] = {
        name: accuracy.score(accuracy.from_digits(found[name]), truth, classes)
        for name in ("val_selected", "last", "best_on_test", "flip")
        if name in found
    }
    validation = np.asarray(job.data.validation.labels)
    scores["validation"] = accuracy.score(accuracy.from_digits(found["validation"]), validation, classes)
    leaked = job.data.test.leaked
    clean = None if leaked is None else ~np.asarray(leaked)
    scores["leak_free"] = None if clean is None else accuracy.subset(scores["val_selected"], truth, clean, classes)
    return scores


def _histories(job: Job, cell: Cell, stage: Stage) -> dict[str, Any]:
    stages = {"dense": dense_stage(job).outcome["history"]}
    if cell.variant != "dense" and RECIPES[job.scale.schedules.recipe].penalised:
        stages["sparse"] = sparse_stage(job).outcome["history"]
    first = pretrain_stage(job)
    stages |= {} if first is None else {"pretraining": first.outcome["history"]}
    tuned = "tune" if cell.variant == "slim" else "control"
    return stages | ({tuned: stage.outcome["history"]} if cell.variant in CUTS else {})


def _data(job: Job) -> dict[str, Any]:
    data = job.data
    return {
        "name": data.name,
        "classes": list(data.classes),
        "counts": {name: len(split) for name, split in data.splits.items()},
        "notes": list(data.notes),
        "truth": accuracy.digits(np.asarray(data.test.labels)),
        "licence": data.licence,
    }
