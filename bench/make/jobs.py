"""Which networks to train on what, and training them side by side: one process each, the cores shared among them.

Small networks do not fill two threads: on two cores, two processes of one thread train about 1.2 times as many images a
second as one process of two. A stage is trained by one process only, so a killed run resumes as ever.
"""

import io
import multiprocessing
import os
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, replace
from functools import cache
from multiprocessing.queues import Queue
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench.make import watching
from bench.make.networks import NETWORKS
from bench.make.pipeline import stage_behind
from bench.make.scale import Scale, changed
from bench.make.scales import scale_for
from bench.make.stages import Job
from bench.records import Cell
from fermodels.data import open_dataset
from fermodels.data.base import Dataset, Split


@dataclass(frozen=True, kw_only=True)
class Source:
    """Everything of the command line that decides a job. Small and picklable: a process opens the data set anew."""

    data: str
    """NAME or NAME:PATH."""
    scale: str
    runs: Path
    device: str = "cpu"
    crops: str = "centre"
    skip_broken: bool = False
    imagenet: Path | None = None
    unlabelled: tuple[str, ...] = ()
    """More data sets, NAME:PATH, whose faces the contrastive pretraining sees."""
    ablation: bool = False
    """Train unpruned networks by the scale's `ablation` schedule, where it has one."""
    batch_norm: str = "local"

    def job(self, model: str, seed: int) -> Job:
        """The job of one network; the data set is opened once per process."""
        scale = scale_for(self.scale, self.data.partition(":")[0])
        ablation = scale.schedules.ablation if self.ablation else None
        scale = changed(scale, dense=ablation) if ablation else scale
        scale = NETWORKS[model].scale(scale) if model in NETWORKS else scale  # a handcrafted baseline trains no network
        place = {name: getattr(self, name) for name in ("runs", "device", "crops", "imagenet", "batch_norm")}
        stored = scale.geometry.stored
        more = tuple(_opened(replace(self, data=spec), stored) for spec in self.unlabelled)
        return Job(data=_opened(self, stored), scale=scale, model=model, seed=seed, unlabelled=more, **place)


@cache
def _opened(source: Source, stored: int) -> Dataset:
    """The data set of `source` with faces of `stored` px a side, as many of them as its scale allows."""
    data = open_dataset(
        source.data, skip_broken=source.skip_broken, progress=True, size=stored, cache=source.runs / "data"
    )
    return limited(data, scale_for(source.scale, source.data.partition(":")[0]))


def limited(data: Dataset, scale: Scale) -> Dataset:
    """At most so many faces of each split as `Schedules.limit` says, evenly spaced; the notes say so."""
    limit = scale.schedules.limit
    if limit is None:
        return data
    splits = {name: _thinned(split, limit) for name, split in data.splits.items()}
    return replace(data, **splits, notes=(*data.notes, f"Only {limit} faces of each split (scale {scale.name})."))


def _thinned(split: Split, limit: int) -> Split:
    picked = np.unique(np.linspace(0, len(split) - 1, min(limit, len(split))).astype(int))
    taken: dict[str, Any] = {"names": [split.names[i] for i in picked]}
    for field in ("images", "labels", "landmarks", "confidence", "leaked"):
        value = getattr(split, field)
        taken[field] = None if value is None else np.asarray(value)[picked]
    return Split(**taken)


def train_side_by_side(source: Source, cells: Sequence[Cell], workers: int) -> None:
    """Makes every stage behind `cells`, up to `workers` at once.

    A network's dense and sparse stages come first, in one process; then its cuts are free to go to any, but those of
    one ratio together: a slim network and the one beside the control may be the same stage. Of networks that share a
    pretraining, one goes ahead.

    Raises:
        Whatever a stage raises; the others stop at their next epoch's end or sooner, and resume in the next call.
    """
    threads = max(1, torch.get_num_threads() // workers)
    context = multiprocessing.get_context("spawn")
    with (
        watching.children(context) as queue,
        ProcessPoolExecutor(workers, context, initializer=_begin, initargs=(threads, queue)) as pool,
    ):
        running: dict[Future[None], Step] = {
            pool.submit(make_stages, source, step.cells): step for step in steps(cells)
        }
        try:
            while running:
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    future.result()
                    then = running.pop(future).then
                    running |= {pool.submit(make_stages, source, step.cells): step for step in then}
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for process in multiprocessing.active_children():
                process.terminate()
            raise


@dataclass(frozen=True)
class Step:
    """Cells that one process makes, and the steps that need what it made."""

    cells: list[Cell]
    then: list["Step"]


def steps(cells: Sequence[Cell]) -> list[Step]:
    """The steps that can begin at once; no two that run at the same time make the same stage."""
    made: list[Step] = []
    leaders: dict[tuple[int, str], Step] = {}
    for own in _by_network(cells):
        first = [cell for cell in own if cell.variant in ("dense", "sparse")] or own[:1]
        cuts = _by_ratio([cell for cell in own if cell not in first])
        step = Step(first, [Step(cut, []) for cut in cuts])
        leader = leaders.setdefault((own[0].seed, _pretraining(own[0]) or own[0].model), step)
        (made if leader is step else leader.then).append(step)
    return made


def _pretraining(cell: Cell) -> str:
    """Names the pretraining that the network of `cell` starts from; empty where there is none."""
    network = NETWORKS.get(cell.model)  # none: a handcrafted baseline
    if network is None or not network.pretraining:
        return ""
    return f"{network.pretraining} {network.scale(scale_for(cell.scale, cell.data)).schedules.pretrain.epochs}"


def _by_network(cells: Sequence[Cell]) -> list[list[Cell]]:
    groups: dict[tuple[int, str], list[Cell]] = {}
    for cell in cells:
        groups.setdefault((cell.seed, cell.model), []).append(cell)
    return list(groups.values())


def _by_ratio(cells: list[Cell]) -> list[list[Cell]]:
    """Random controls by themselves, everything else together with its ratio."""
    groups: dict[tuple[float, bool], list[Cell]] = {}
    for cell in cells:
        groups.setdefault((cell.ratio, cell.variant == "random"), []).append(cell)
    return list(groups.values())


def _begin(threads: int, queue: "Queue[watching.Event | None] | None") -> None:
    """In a new process: its share of the cores, progress for the view or in lines, an end when the parent is gone."""
    torch.set_num_threads(threads)
    if queue is None:
        sys.stderr = _Lines(os.fdopen(os.dup(2), "wb", 0), write_through=True)
    else:
        watching.watch(queue.put)
        sys.stderr = watching.Posted(queue)
    parent = multiprocessing.parent_process()
    assert parent is not None, "only ever called in a child"

    def follow() -> None:
        parent.join()
        os._exit(1)  # an orphan would write into the stages of the next call

    threading.Thread(target=follow, daemon=True).start()


def make_stages(source: Source, cells: Sequence[Cell]) -> None:
    """Every stage behind `cells`, one after the other; under torchrun all processes train each of them together."""
    for cell in cells:
        stage_behind(source.job(cell.model, cell.seed), cell)


class _Lines(io.TextIOWrapper):
    """Several processes cannot share one live line: every epoch is a line of its own."""

    def isatty(self) -> bool:
        return False
