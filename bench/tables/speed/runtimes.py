"""What slims, in the runtimes that ship: the networks of the tables of ratios exported, and timed by the very artefact.

Accuracy goes through the same session that is timed, over the whole test split. A runtime whose library or device is
missing here, that does not honour a precision, or that changes too many answers, is a row that says so.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from bench import records
from bench.make.pipeline import record_of, stage_behind
from bench.make.recipes import say
from bench.make.scale import Scale
from bench.make.scales import scale_for
from bench.make.stages import Job, Stage
from bench.measure import accuracy
from bench.records import Cell
from bench.schema import BATCHES
from bench.tables.ratios.definitions import RATIO_TABLES
from compress.cost import macs, params
from compress.exporting.parity import TOLERANCES
from compress.files import plain
from compress.runtimes import RUNTIMES, Session, Unavailable
from compress.timing.deployed import REFERENCE
from compress.timing.energy import energy_of
from compress.timing.footprint import opened
from compress.timing.latency import Latency, subject_of_session, summarise
from compress.timing.turns import Samples, measure_turns
from fermodels.predict.artefacts import SPLIT_BATCH, FaceArtefacts, artefacts_of

TABLE = "runtimes"
RATIOS = {model: (0.0, *table.ratios) for table in RATIO_TABLES.values() for model in table.models}
"""Every network that slims, and the shares of its channels that are removed."""
ON_CPU = ("onnxruntime", "openvino")
"""Runtimes that are opened on the CPU, whatever else there is: no rows where the networks are measured on a GPU."""
BACKENDS = [(name, precision) for name, runtime in RUNTIMES.items() for precision in runtime.precisions]
"""Every (runtime, precision) there is."""


def cells(data: str, scale: str, seeds: int, models: Sequence[str]) -> list[Cell]:
    """Every network that ships (unpruned and slim) in every runtime and precision, but `Scale.compiled_ratios`."""
    compiled = scale_for(scale, data).measurement.compiled_ratios
    return [
        Cell(table=TABLE, data=data, scale=scale, model=model, seed=seed, ratio=ratio, **_kind(ratio, *kind))
        for seed in range(seeds)
        for model in models
        for ratio in RATIOS[model]
        for kind in BACKENDS
        if kind[0] != "torch-compile" or ratio in compiled
    ]


def _kind(ratio: float, runtime: str, precision: str) -> dict[str, str]:
    return {"variant": "slim" if ratio else "dense", "runtime": runtime, "precision": precision}


@dataclass(frozen=True)
class _Ready:
    """One cell with its session, or the sentence why there is none."""

    cell: Cell
    session: Session | None
    result: dict[str, Any]


def measure(job: Job, wanted: Sequence[Cell], root: Path) -> None:
    """Makes the records of `wanted` (one network, one seed), unless `root` has them all from the same stages.

    All are measured in one process and in turns, so that any two of them can be compared.
    """
    stages = {cell: stage_behind(job, cell) for cell in wanted}
    if all(records.made_by(root / cell.path, stages[cell].key) for cell in wanted):
        return
    ready = [one for _, own in groupby(wanted, key=lambda cell: cell.ratio) for one in _ready(job, list(own), stages)]
    running = {one.cell: one.session for one in ready if one.session is not None}
    latencies: dict[Cell, dict[str, Any]] = {cell: {} for cell in running}
    for batch in BATCHES:
        say(f"{job.model}: latency of {len(running)} sessions at batch {batch}, in turns")
        for cell, found in latencies_of(running, batch, job.scale).items():
            latencies[cell][str(batch)] = found
    for one in ready:
        result = one.result | {"latency": latencies.get(one.cell, {})}
        records.save(record_of(job, one.cell, stages[one.cell], result), root)


def _ready(job: Job, own: Sequence[Cell], stages: Mapping[Cell, Stage]) -> list[_Ready]:
    """Sessions of one network in every runtime, with their accuracy."""
    stage = stages[own[0]]
    place = {"data": job.data, "stored": job.scale.geometry.stored}
    made = artefacts_of(stage.folder / "chosen", stage.folder / "deployed", **place, keep=True)
    faces = [batch.views for batch in made.views("test").evaluation(SPLIT_BATCH)]
    net = stage.net()
    cost = {"params": params(net), "macs": macs(net, net.example())}  # type: ignore[operator]
    reference = made.through(opened(made.files, *REFERENCE)[0], faces)
    return [_opened(job, cell, made, (faces, reference), cost) for cell in own]


def _opened(
    job: Job, cell: Cell, made: FaceArtefacts, tested: tuple[list[tuple[Tensor, ...]], np.ndarray], cost: dict[str, Any]
) -> _Ready:
    faces, reference = tested
    try:
        if job.device != "cpu" and cell.runtime in ON_CPU:
            raise Unavailable("runs on the CPU here, the others on the GPU: time it with --device cpu")
        session, size = opened(made.files, cell.runtime, cell.precision)
        found = made.through(session, faces)
    except (Unavailable, ValueError) as reason:
        say(f"{cell.id}: {reason}")
        return _Ready(cell, None, {"missing": str(reason), "cost": cost})
    truth = np.asarray(job.data.test.labels)
    agreement = float((found.argmax(1) == reference.argmax(1)).mean())
    result: dict[str, Any] = {"missing": None, "cost": cost | size, "agreement": agreement}
    score = accuracy.score(found.argmax(1), truth, job.data.classes)
    result |= {"accuracy": {"val_selected": score}, "data": _tested(job)}
    result |= {"precision_by_layer": session.precision_by_layer()}
    allowed = TOLERANCES[cell.precision].agreement
    if agreement < allowed:
        reason = f"changes {1 - agreement:.1%} of the answers (allowed {1 - allowed:.1%})"
        return _Ready(cell, None, result | {"missing": reason})
    return _Ready(cell, session, result)


def _tested(job: Job) -> dict[str, Any]:
    """What the predictions of the record are held to."""
    truth = accuracy.digits(np.asarray(job.data.test.labels))
    return {"name": job.data.name, "classes": job.data.classes, "truth": truth, "licence": job.data.licence}


def latencies_of(running: Mapping[Cell, Session], batch: int, scale: Scale) -> dict[Cell, dict[str, Any]]:
    """What a record keeps of every session at `batch`: figures, paired ratios to the references, energy or None."""
    subjects = {cell.id: subject_of_session(session, batch) for cell, session in running.items()}
    turns = measure_turns(subjects, **scale.measurement.enough)
    return {
        cell: _told(cell, turns, running, batch)
        | {"energy": plain(energy_of(subjects[cell.id], batch, device=session.io.device))}
        for cell, session in running.items()
    }


def _told(cell: Cell, turns: Mapping[str, Samples], running: Mapping[Cell, Session], batch: int) -> dict[str, Any]:
    """Latency of one session among others that took turns with it, and its ratios to those it is compared with."""
    own = turns[cell.id]
    figures: Latency = summarise(own, batch=batch, runtime=cell.runtime, precision=cell.precision)
    ratios = {
        name: plain(own.ratio_to(turns[other.id]))
        for name, other in _references(cell, running).items()
        if other.id != cell.id
    }
    return plain(figures) | {"ratios": ratios}


def _references(cell: Cell, running: Mapping[Cell, Session]) -> dict[str, Cell]:
    """The networks that this one is compared with, by the name of the comparison."""
    unpruned = [one for one in running if one.variant == "dense" and one.model == cell.model]
    wanted = {
        "unpruned": [one for one in unpruned if (one.runtime, one.precision) == (cell.runtime, cell.precision)],
        "eager": [one for one in running if (one.runtime, one.precision) == REFERENCE and _same_network(one, cell)],
        "unpruned_eager": [one for one in unpruned if (one.runtime, one.precision) == REFERENCE],
    }
    return {name: found[0] for name, found in wanted.items() if found}


def _same_network(one: Cell, other: Cell) -> bool:
    return (one.model, one.variant, one.ratio, one.seed) == (other.model, other.variant, other.ratio, other.seed)
