"""Latency of whole networks of one table, in turns: their milliseconds may be compared, their ratios are paired.

Networks that are cut from one another are timed by `bench.make.pipeline` when they are made; these are timed when all
of a table are.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from bench import records
from bench.make.recipes import dense_stage, say
from bench.make.stages import Job
from bench.records import Cell, Record
from compress.files import plain
from compress.timing.latency import latency_of


def time_together(jobs: Mapping[Cell, Job], root: Path, *, batches: Sequence[int], reference: str) -> None:
    """Times the networks of seed 0, unless all their records below `root` have a time beside the reference's.

    Weights do not matter to it, so one seed is timed. Ratios (`ratio_to_dense`) are to `reference`, or to the first
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
            latency = old.result["latency"] | {str(batch): plain(found[cell.id]) | {"reference": beside.model}}
            records.save(replace(old, result=old.result | {"latency": latency}), root)


def _told(record: Record, batches: Sequence[int], reference: str) -> bool:
    told = [record.result["latency"].get(str(batch), {}) for batch in batches]
    return all(one.get("reference") == reference for one in told)
