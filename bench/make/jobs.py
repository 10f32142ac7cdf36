"""Which networks to train on what, and training them side by side: one process each, the cores shared among them.

Small networks do not fill two threads: on two cores, two processes of one thread train about 1.2 times as many images a
second as one process of two. A stage is trained by one process only, so a killed run resumes as ever.
"""

import io
import multiprocessing
import os
import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, replace
from functools import cache
from multiprocessing.queues import Queue
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch

from bench.make import watching
from bench.make.networks import NETWORKS
from bench.make.pipeline import stage_behind
from bench.make.scale import Scale, changed
from bench.make.scales import scale_for
from bench.make.stages import Job
from bench.records import Cell
from compress.cluster import RETRIES, cluster, outcome
from fermodels.data import open_dataset
from fermodels.data.base import Dataset, Split

T = TypeVar("T")


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

    def absolute(self) -> "Source":
        """With paths that mean the same in any folder."""
        specs = [spec.partition(":") for spec in (self.data, *self.unlabelled)]
        data, *more = (name + colon + (os.path.abspath(at) if os.path.exists(at) else at) for name, colon, at in specs)
        imagenet = None if self.imagenet is None else self.imagenet.resolve()
        return replace(self, data=data, unlabelled=tuple(more), runs=self.runs.resolve(), imagenet=imagenet)

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

        def one_done(running: Iterable[Future[None]]) -> Future[None]:
            future = next(iter(wait(running, return_when=FIRST_COMPLETED).done))
            future.result()
            return future

        try:
            in_order(steps(cells), lambda step: pool.submit(make_stages, source, step.cells), one_done)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for process in multiprocessing.active_children():
                process.terminate()
            raise


def train_on_ray(source: Source, cells: Sequence[Cell], workers: int, address: str | None) -> None:
    """Makes every stage behind `cells` by tasks of Ray, as `train_side_by_side` does by processes.

    A task takes this machine's threads / `workers` CPUs, and 1 / `workers` of a GPU where it trains on one. All
    machines see the folders of `source` under the same names. A lost worker's step goes on from its last epoch.

    Args:
        address: of a cluster; None: a Ray of this machine's own.

    Raises:
        Unavailable: Ray is not installed.
        ConnectionError: there is no cluster, or one step's workers were lost again and again.
        Whatever else a stage raises.
    """
    cpus = torch.get_num_threads()
    threads = max(1, cpus // workers)
    shares = {"num_cpus": threads, "num_gpus": 1 / workers if source.device == "cuda" else 0}
    with cluster(address, max(cpus, workers)) as ray:
        task = ray.remote(max_retries=RETRIES, **shares)(_make_on_ray)

        def one_done(running: Iterable[Any]) -> Any:
            done = ray.wait(list(running), num_returns=1)[0][0]
            outcome(ray, done)
            return done

        found = source.absolute()
        in_order(steps(cells), lambda step: task.remote(found, step.cells, threads), one_done)


def _make_on_ray(source: Source, cells: Sequence[Cell], threads: int) -> None:
    torch.set_num_threads(threads)
    make_stages(source, cells)


def in_order(begun: Iterable["Step"], submit: Callable[["Step"], T], one_done: Callable[[Iterable[T]], T]) -> None:
    """Submits the steps of `begun`, and those behind each step when it is done.

    Args:
        one_done: waits for one of what `submit` gave, and gives it; raises what the step raised.
    """
    running = {submit(step): step for step in begun}
    while running:
        running |= {submit(then): then for then in running.pop(one_done(running)).then}


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
