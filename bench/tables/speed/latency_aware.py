"""Latency-aware against plain selection: same sparse network, same fine-tuning, same milliseconds, in one runtime.

All networks of one model are timed in turns, and their accuracy is that of the very sessions timed.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from bench import records
from bench.make.cuts import CUTS
from bench.make.pipeline import record_of, stage_behind
from bench.make.recipes import say
from bench.make.stages import Job, Stage
from bench.make.timed import RUNTIME, VARIANT
from bench.measure import accuracy
from bench.records import Cell
from bench.schema import SINGLE
from compress.cost import macs, params
from compress.files import plain
from compress.runtimes import RUNTIMES, Session
from compress.slimming.plan import Plan
from compress.timing.latency import subject_of_session, summarise
from compress.timing.turns import Samples, calmest, measure_turns
from fermodels.predict.artefacts import SPLIT_BATCH, artefacts_of

TABLE = "latency-aware"
PLAIN_RATIOS = (0.4, 0.5, 0.6, 0.7, 0.8)
"""Shares of channels of the plain networks, which make the curve to compare with."""
RATIOS = (0.6, 0.7)
"""The plain networks whose time a latency-aware one has to meet."""
PRECISION = "fp32"


def cells(data: str, scale: str, seeds: int, models: Sequence[str]) -> list[Cell]:
    """The unpruned network, the plain cuts of Table 5, and a latency-aware one beside some of them."""
    networks = [("dense", 0.0), *(("slim", ratio) for ratio in PLAIN_RATIOS), *((VARIANT, ratio) for ratio in RATIOS)]
    place: dict[str, Any] = {"table": TABLE, "data": data, "scale": scale, "runtime": RUNTIME, "precision": PRECISION}
    return [
        Cell(**place, model=model, variant=variant, ratio=ratio, seed=seed)
        for seed in range(seeds)
        for model in models
        for variant, ratio in networks
    ]


def measure(job: Job, wanted: Sequence[Cell], root: Path) -> None:
    """Makes the records of `wanted` (one network, one seed), unless `root` has them all from the same stages.

    Raises:
        Unavailable: the runtime is missing.
    """
    stages = {cell: stage_behind(job, cell) for cell in wanted}
    if all(records.made_by(root / cell.path, stage.key) for cell, stage in stages.items()):
        return
    opened = {cell: _opened(job, cell, stage) for cell, stage in stages.items()}
    latencies = _latencies(job, {cell: session for cell, (session, _) in opened.items()})
    for cell, (_, result) in opened.items():
        result |= {"latency": {str(SINGLE): latencies[cell]}}
        records.save(record_of(job, cell, stages[cell], result), root)


def _opened(job: Job, cell: Cell, stage: Stage) -> tuple[Session, dict[str, Any]]:
    """The session of one network and what is known before its time: accuracy on the test split, cost, plan."""
    place: dict[str, Any] = {"data": job.data, "stored": job.scale.geometry.stored}
    made = artefacts_of(stage.folder / "chosen", stage.folder / "deployed", **place, keep=True)
    session = made.files.session(RUNTIMES[RUNTIME], PRECISION)
    found = made.through(session, [batch.views for batch in made.views("test").evaluation(SPLIT_BATCH)])
    truth, data = np.asarray(job.data.test.labels), job.data
    net, cut = stage.net(), cell.variant in (*CUTS, VARIANT)
    return session, {
        "accuracy": {"val_selected": accuracy.score(found.argmax(1), truth, data.classes)},
        "cost": {"params": params(net), "macs": macs(net, net.example())},  # type: ignore[operator]
        "plan": Plan.load(stage.folder / "plan.json").summary() if cut else None,
        "data": {"name": data.name, "licence": data.licence, "truth": accuracy.digits(truth)},
    }


def _latencies(job: Job, sessions: Mapping[Cell, Session]) -> dict[Cell, dict[str, Any]]:
    """Figures of every session, and its paired ratios: to the unpruned network, and to the plain one of its ratio."""
    say(f"{job.model}: latency of {len(sessions)} sessions at batch {SINGLE}, in turns")
    subjects = {cell.id: subject_of_session(session, SINGLE) for cell, session in sessions.items()}
    how = job.scale.measurement
    turns = calmest(partial(measure_turns, subjects, **how.enough), how.latency_attempts)
    return {cell: _told(cell, turns, sessions) for cell in sessions}


def _told(cell: Cell, turns: Mapping[str, Samples], cells: Mapping[Cell, Session]) -> dict[str, Any]:
    own = turns[cell.id]
    figures = plain(summarise(own, batch=SINGLE, runtime=cell.runtime, precision=cell.precision))
    others = {other.variant: turns[other.id] for other in cells if other.ratio in (0.0, cell.ratio) and other != cell}
    names = {"dense": "unpruned"} | ({"slim": "plain"} if cell.variant == VARIANT else {})
    ratios = {name: plain(own.ratio_to(others[variant])) for variant, name in names.items() if variant in others}
    return figures | {"ratios": ratios}
