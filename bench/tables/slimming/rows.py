"""`--table slimming`: every method at every ratio, and the controls, from one trained network.

Each network is scored right after its cut, with batch norms measured anew, and at the end of its recovery; all are
timed in turns on the runtimes that ship.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from bench import records
from bench.make.cuts import after_cut, plan_of
from bench.make.methods import RECIPES, methods
from bench.make.pipeline import network_result, record_of, stage_behind
from bench.make.recipes import say
from bench.make.scales import scale_for
from bench.make.stages import Job, Stage
from bench.measure.together import with_times
from bench.records import Cell
from bench.schema import SINGLE
from compress.files import plain
from compress.runtimes import Session, Unavailable
from compress.timing.footprint import opened
from compress.timing.latency import subject_of_session, summarise
from compress.timing.turns import calmest, measure_turns
from fermodels.predict.artefacts import artefacts_of

TABLE = "slimming"
RATIOS = (0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
CONTROL_RATIOS = (0.6, 0.8)
"""Of the controls: each costs as long as the method it controls."""
BACKENDS = (("onnxruntime", "fp32"), ("openvino", "fp32"))


def cells(data: str, scale: str, seeds: int, models: Sequence[str]) -> list[Cell]:
    """The unpruned network, the scale's own recipe at every ratio, controls at some, then the other recipes."""
    own = scale_for(scale, data).schedules.recipe
    ordered = sorted(methods(own), key=lambda name: (name != own, name in RECIPES))
    rows = [(name, ratio) for name in ordered for ratio in (RATIOS if name in RECIPES else CONTROL_RATIOS)]
    return [
        Cell(table=TABLE, data=data, scale=scale, model=model, variant=variant, ratio=ratio, seed=seed)
        for seed in range(seeds)
        for model in models
        for variant, ratio in [("dense", 0.0), *rows]
    ]


def measure(job: Job, wanted: Sequence[Cell], root: Path) -> None:
    """Makes the records of `wanted` (one network, one seed) that `root` lacks, then their times, all in turns."""
    stages: dict[Cell, Stage] = {}
    for cell in wanted:
        stages[cell] = stage_behind(job, cell)
        if not records.made_by(root / cell.path, stages[cell].key):
            records.save(record_of(job, cell, stages[cell], _result(job, cell, stages[cell])), root)
    held = {cell: records.load(root / cell.path) for cell in wanted}
    if all("runtimes" in record.result for record in held.values()):
        return
    timed = _timed(job, stages)
    for cell, record in held.items():
        records.save(with_times(record, {"runtimes": timed[cell]}), root)


def _result(job: Job, cell: Cell, stage: Stage) -> dict[str, Any]:
    plan = plan_of(stage)
    told = network_result(job, cell, stage)
    told |= {"plan": None if plan is None else plan.summary(), "after_cut": after_cut(job, stage)}
    return told | {"training": {"stages": {**told["training"]["stages"], "tune": stage.outcome["history"]}}}


def _timed(job: Job, stages: Mapping[Cell, Stage]) -> dict[Cell, dict[str, Any]]:
    """Latency of every network by "runtime precision"; a runtime that is missing here is named and left out."""
    found: dict[Cell, dict[str, Any]] = {cell: {} for cell in stages}
    for runtime, precision in BACKENDS:
        try:
            sessions = {cell: _session(job, stage, runtime, precision) for cell, stage in stages.items()}
        except Unavailable as reason:
            say(f"{runtime} {precision}: {reason}; its times stay out")
            continue
        say(f"{job.model}: latency of {len(sessions)} networks on {runtime} {precision} at batch {SINGLE}, in turns")
        subjects = {cell.id: subject_of_session(session, SINGLE) for cell, session in sessions.items()}
        how = job.scale.measurement
        turns = calmest(partial(measure_turns, subjects, **how.enough), how.latency_attempts)
        whole = next((cell for cell in stages if cell.variant == "dense"), None)
        for cell in stages:
            told = plain(summarise(turns[cell.id], batch=SINGLE, runtime=runtime, precision=precision))
            beside = {} if whole in (None, cell) else {"unpruned": plain(turns[cell.id].ratio_to(turns[whole.id]))}
            found[cell][f"{runtime} {precision}"] = told | {"ratios": beside}
    return found


def _session(job: Job, stage: Stage, runtime: str, precision: str) -> Session:
    place: dict[str, Any] = {"data": job.data, "stored": job.scale.geometry.stored}
    made = artefacts_of(stage.folder / "chosen", stage.folder / "deployed", **place, keep=True)
    return opened(made.files, runtime, precision)[0]
