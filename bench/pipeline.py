"""From a job to its records: dense -> sparse -> for every ratio and criterion: slim -> fine-tune -> measure -> record.

Ratios share the sparse stage, and both share the dense one. Every stage is cached (`bench.stages`), every record is
written as soon as its accuracy is known and again with its latency, which is measured last, all networks in turn.
"""

import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from bench import accuracy, records
from bench.environment import commit, environment
from bench.latency import Latency, latency_of
from bench.records import Cell, Record
from bench.stages import Job, Recipe, Stage, predicted, train_stage
from bench.tables import BATCHES
from compress.finetune import distillation
from compress.plan import Plan
from compress.slim import slim
from compress.sparsity import Proximal, gamma_histogram, mean_gamma, penalised, zero_share
from fermodels.cost import macs, params
from fermodels.files import plain, write_atomic
from fermodels.training import TrainConfig, learning_rate

ALIGN = 8
"""Kept widths are multiples of this: what CPU and GPU kernels step at."""
CRITERION_OF = {"slim": "gamma", "random": "random"}
CALIBRATION_BATCHES = 16
"""Training batches on which batch norms are measured anew after a cut."""
TIMED = ("dense", "slim")
"""The sparse network has the dense one's shape and the random control is a control of accuracy: neither is timed."""
RAMP, COOL = 0.2, 0.2


def say(text: str) -> None:
    """A line for the person who waits; standard output is for results."""
    print(text, file=sys.stderr, flush=True)


def dense_stage(job: Job) -> Stage:
    """The unpruned network, trained without any sparsity."""
    return train_stage(job, Recipe(name="dense", train=job.scale.dense, settings={}), job.fresh, f"{job.model} dense")


def sparse_stage(job: Job) -> Stage:
    """The dense network under a proximal L1 penalty on its gammas, distilled from itself (Liu et al. 2017)."""
    dense, scale = dense_stage(job), job.scale
    settings = {"from": dense.key, "penalty": "proximal", "travel": scale.travel, "ramp": RAMP, "cool": COOL, "keep_scale": True}
    settings |= {"distil_weight": scale.distil_weight}

    def penalty(net: nn.Module) -> Proximal:
        made = _proximal(net, job, scale.sparse)
        say(f"{job.model}: {made.travel(_rates(job, scale.sparse), scale.sparse.momentum).sentence(mean_gamma(net))}")
        return made

    recipe = Recipe(
        name="sparse",
        train=scale.sparse,
        settings=settings,
        penalty=penalty,
        extra=_distilled(job, scale.distil_weight),
        choose_last=True,
    )
    return train_stage(job, recipe, dense.net, f"{job.model} sparse")


def _rates(job: Job, train: TrainConfig) -> list[float]:
    steps = train.epochs * -(-len(job.data.train) // (train.batch * train.accumulate))
    return [learning_rate(train, step, steps) for step in range(steps)]


def _proximal(net: nn.Module, job: Job, train: TrainConfig) -> Proximal:
    """The penalty whose budget is `scale.travel` times the mean |gamma| of `net`."""
    gammas = penalised(net)
    unit = Proximal(gammas, 1.0, ramp=RAMP, cool=COOL).travel(_rates(job, train), train.momentum).distance
    strength = job.scale.travel * mean_gamma(net) / unit
    return Proximal(gammas, strength, ramp=RAMP, cool=COOL, keep_scale=True)


def _distilled(job: Job, weight: float) -> dict[str, Any]:
    """The term that pulls a network towards the dense one's answers, or nothing at weight 0."""
    if not weight:
        return {}
    teacher = dense_stage(job).net().to(job.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    term = distillation(teacher.requires_grad_(False), weight=weight)
    return {"distillation": lambda output, batch: term(output, batch.views)}


def tune_settings(job: Job, variant: str, ratio: float) -> dict[str, Any]:
    """What decides a cut, beside the sparse network it is made in."""
    return {"rule": "exact", "criterion": CRITERION_OF[variant], "align": ALIGN, "ratio": ratio, "seed": job.seed}


def slim_stage(job: Job, variant: str, ratio: float) -> Stage:
    """The sparse network cut to `ratio` and fine-tuned; the plan and what each step of the cut did lie beside it."""
    sparse, cut = sparse_stage(job), tune_settings(job, variant, ratio)
    settings = cut | {"from": sparse.key, "distil_weight": job.scale.tune_distil_weight, "batches": CALIBRATION_BATCHES}
    title = f"{job.model} {variant} {ratio:.0%}"
    recipe = Recipe(
        name=f"{variant}{round(100 * ratio)}",
        train=job.scale.tune,
        settings=settings,
        extra=_distilled(job, job.scale.tune_distil_weight),
    )
    stage = train_stage(job, recipe, lambda: _cut(job, sparse.net(), cut)[0], title)
    if not (stage.folder / "plan.json").exists():
        plan = _cut_measured(job, sparse.net(), cut, stage.folder / "cut.json")
        write_atomic(stage.folder / "plan.json", plan.to_json())
    return stage


def _cut(job: Job, net: nn.Module, cut: dict[str, Any], **care: Any) -> tuple[nn.Module, Plan]:
    care = {"calibrate": _calibration(job)} | care
    net = net.to(job.device)
    return slim(net, **cut, **care)


def _calibration(job: Job) -> list[tuple[torch.Tensor, ...]]:
    """Views of training faces at the centre crop, spread over the whole split."""
    views, count = job.views("train"), CALIBRATION_BATCHES * 128
    picked = torch.linspace(0, len(views) - 1, min(count, len(views))).long()
    corner = torch.full((len(picked), 2), (views.stored - views.config.size) // 2)
    batches = zip(picked.split(128), corner.split(128), strict=True)
    device = job.device
    return [
        views.batch(index.to(device), place.to(device), torch.zeros(len(index), dtype=torch.bool, device=device)).views
        for index, place in islice(batches, CALIBRATION_BATCHES)
    ]


def _cut_measured(job: Job, net: nn.Module, cut: dict[str, Any], path: Path) -> Plan:
    """The plan; and in `path` the validation predictions right after the cut (not for the random control).

    Three times: the bare cut, then with beta absorbed, then with batch norms recalibrated too.
    """
    steps = {"cut": {"absorb": False, "calibrate": None}, "absorbed": {"calibrate": None}, "recalibrated": {}}
    if cut["criterion"] == "random":
        return _cut(job, net, cut, calibrate=None)[1]
    validation = job.views("validation")
    made = {name: _cut(job, net, cut, **care) for name, care in steps.items()}
    after = {name: accuracy.digits(predicted(slim_net, validation)) for name, (slim_net, _) in made.items()}
    write_atomic(path, records.dumps(after))
    return made["recalibrated"][1]


def stage_of(job: Job, cell: Cell) -> Stage:
    """The finished stage behind `cell`, made if it is not cached."""
    if cell.variant == "dense":
        return dense_stage(job)
    return sparse_stage(job) if cell.variant == "sparse" else slim_stage(job, cell.variant, cell.ratio)


def measure(job: Job, cells: Sequence[Cell], root: Path) -> None:
    """Makes every record of `cells` (one network, one seed) that `root` lacks or that another configuration made."""
    stages: dict[Cell, Stage] = {}
    for cell in cells:
        stages[cell] = stage_of(job, cell)
        if not _recorded(root, cell, stages[cell]):
            records.save(_record(job, cell, stages[cell]), root)
    timed = [cell for cell in cells if cell.variant in TIMED]
    if all(_loaded(root, cell).result["latency"] for cell in timed):
        return
    for batch in BATCHES:
        found = _latencies(job, timed, stages, batch)
        for cell, latency in found.items():
            old = _loaded(root, cell)
            result = old.result | {"latency": old.result["latency"] | {str(batch): plain(latency)}}
            records.save(replace(old, result=result), root)


def _latencies(job: Job, cells: Sequence[Cell], stages: dict[Cell, Stage], batch: int) -> dict[Cell, Latency]:
    names = {cell.id: cell for cell in cells}
    nets = {cell.id: stages[cell].net().to(job.device) for cell in cells}
    reference = next(cell.id for cell in cells if cell.variant == "dense")
    say(f"{job.model}: latency of {len(nets)} networks at batch {batch}, in turn")
    scale = job.scale
    found = latency_of(nets, batch, reference, min_runs=scale.latency_runs, min_seconds=scale.latency_seconds)
    return {names[name]: latency for name, latency in found.items()}


def _loaded(root: Path, cell: Cell) -> Record:
    return records.load(root / cell.path)


def _recorded(root: Path, cell: Cell, stage: Stage) -> bool:
    """Whether `root` holds this cell as this very configuration made it."""
    if not (root / cell.path).exists():
        return False
    return _loaded(root, cell).config.get("key") == stage.key


def _record(job: Job, cell: Cell, stage: Stage) -> Record:
    sha, dirty = commit()
    created = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    config = {"key": stage.key, "stage": stage.outcome["described"], "scale": plain(asdict(job.scale))}
    config |= {"evaluation": {"crop": "single centre crop", "flip": False, "precision": "fp32"}}
    return Record(
        cell=cell,
        config=config,
        result=plain(result_of(job, cell, stage)),
        environment=environment(),
        commit=sha,
        dirty=dirty,
        created=created,
    )


def result_of(job: Job, cell: Cell, stage: Stage) -> dict[str, Any]:
    """Everything measured of one cell but its latency (the keys that `bench.values` reads).

    accuracy: `val_selected` (headline), `last`, `best_on_test`, `flip`, `leak_free` on the test split, `validation`.
    after_cut: validation right after the cut. training: the history of every stage that led here.
    """
    net = stage.net()
    counted = macs(net)
    cut = cell.variant in CRITERION_OF
    return {
        "plan": Plan.load(stage.folder / "plan.json").summary() if cut else None,
        "cost": {
            "params": params(net),
            "macs": counted.total,
            "uncounted": dict(counted.uncounted),
            "weights_bytes": (stage.folder / "chosen" / "model.safetensors").stat().st_size,
        },
        "accuracy": _accuracies(job, stage),
        "after_cut": _after_cut(job, stage) if cell.variant == "slim" else None,
        "latency": {},
        "training": {"stages": _histories(job, cell, stage)},
        "gammas": None if cut else gamma_histogram(net) | {"zero_share": zero_share(net)},
        "data": _data(job),
    }


def _accuracies(job: Job, stage: Stage) -> dict[str, Any]:
    found = stage.outcome["predictions"]
    truth, classes = np.asarray(job.data.test.labels), job.data.classes
    scores: dict[str, Any] = {
        name: accuracy.score(accuracy.from_digits(found[name]), truth, classes)
        for name in ("val_selected", "last", "best_on_test", "flip")
    }
    validation = np.asarray(job.data.validation.labels)
    scores["validation"] = accuracy.score(accuracy.from_digits(found["validation"]), validation, classes)
    leaked = job.data.test.leaked
    clean = None if leaked is None else ~np.asarray(leaked)
    scores["leak_free"] = None if clean is None else accuracy.subset(scores["val_selected"], truth, clean, classes)
    return scores


def _after_cut(job: Job, stage: Stage) -> dict[str, Any]:
    truth = np.asarray(job.data.validation.labels)
    found = json.loads((stage.folder / "cut.json").read_text())
    return {name: accuracy.score(accuracy.from_digits(text), truth, job.data.classes) for name, text in found.items()}


def _histories(job: Job, cell: Cell, stage: Stage) -> dict[str, Any]:
    made: dict[str, Callable[[], Stage]] = {"dense": lambda: dense_stage(job), "sparse": lambda: sparse_stage(job)}
    names = {"dense": ("dense",), "sparse": ("dense", "sparse")}.get(cell.variant, ("dense", "sparse"))
    stages = {name: made[name]().outcome["history"] for name in names}
    return stages | ({"tune": stage.outcome["history"]} if cell.variant in CRITERION_OF else {})


def _data(job: Job) -> dict[str, Any]:
    data = job.data
    return {
        "spec_name": data.name,
        "classes": list(data.classes),
        "counts": {name: len(split) for name, split in data.splits.items()},
        "notes": list(data.notes),
        "truth": accuracy.digits(np.asarray(data.test.labels)),
        "licence": data.licence,
    }
