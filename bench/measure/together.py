"""Latency of whole networks of one table, in turns: their milliseconds may be compared, their ratios are paired.

Networks that are cut from one another are timed by `bench.make.pipeline` when they are made; these are timed when all
of a table are.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench import records
from bench.make.recipes import dense_stage, say
from bench.make.stages import Job
from bench.records import Cell, Record
from compress.files import plain
from compress.timing.latency import Latency, latency_of
from compress.timing.machine import origin
from compress.timing.origin import Origin


def time_together(jobs: Mapping[Cell, Job], root: Path, *, batches: Sequence[int], reference: str) -> None:
    """Times the networks of seed 0, unless all their records below `root` have a time beside the reference's.

    Weights do not matter to it, so one seed is timed. Ratios are to `reference`, or to the first
    network where that is not among them.

    Args:
        jobs: the cells of a table, their records made; stages come from the cache.
        batches: images.
        reference: name of a network in `bench.make.networks.NETWORKS`.
    """
    timed = {cell: job for cell, job in jobs.items() if cell.seed == 0}
    if all(_told(records.load(root / cell.path), batches, reference) for cell in timed):
        return
    nets = {cell.id: dense_stage(job).net().to(job.device) for cell, job in timed.items()}
    beside = next((cell for cell in timed if cell.model == reference), next(iter(timed)))
    how = timed[beside].scale.measurement
    for batch in batches:
        say(f"latency of {len(nets)} networks at batch {batch}, in turns")
        found = latency_of(nets, batch, beside.id, attempts=how.latency_attempts, **how.enough)
        for cell in timed:
            old = records.load(root / cell.path)
            records.save(with_latency(old, recorded(found[cell.id], beside.model)), root)


def recorded(found: Latency, reference: str) -> dict[str, Any]:
    """What a record keeps of `found`, whose ratio is to `reference` ("unpruned", or the name of a network)."""
    told = plain(found)
    pair = told.pop("ratio_to_dense")
    return told | {"ratios": {reference: pair} if pair else {}}


def with_latency(record: Record, told: dict[str, Any]) -> Record:
    """`record` with the latency of one more batch size."""
    latency = record.result["latency"] | {str(told["batch"]): told}
    return with_times(record, {"latency": latency})


def with_times(record: Record, told: dict[str, Any], taken: Origin | None = None) -> Record:
    """`record` with newer times.

    Args:
        told: what changes in its result.
        taken: which code took them, where and when; now, if None. The record tells it apart from its own where the
            two differ in more than the second.
    """
    taken = taken or origin()
    same = all(taken[key] == getattr(record, key) for key in ("commit", "dirty", "environment"))
    return replace(record, result={**record.result, **told}, times=None if same else taken)


def _told(record: Record, batches: Sequence[int], reference: str) -> bool:
    told = [record.result["latency"].get(str(batch), {}) for batch in batches]
    return all(one and (record.cell.model == reference or reference in one["ratios"]) for one in told)
