"""A job small enough for a test: random faces with a learnable hint of their class, networks of eight channels.

python tests/bench/tiny_job.py RUNS RECORDS   # makes every tiny cell; killed and called again, it goes on
"""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from bench.make.pipeline import measure
from bench.make.scale import changed
from bench.make.scales import QUICK
from bench.make.stages import Job
from bench.records import Cell
from compress.training.schedule import TrainConfig
from fermodels import EXPRESSIONS
from fermodels.data.base import Dataset, Split

TRAIN = TrainConfig(epochs=3, batch=16, lr=0.05, bf16=False)
SCALE = changed(
    QUICK,
    stored=18,
    size=16,
    local_size=8,
    pools=1,
    dense=TRAIN,
    sparse=replace(TRAIN, epochs=2),
    tune=replace(TRAIN, epochs=2),
    control=replace(TRAIN, epochs=1),
    latency_runs=3,
)


def split(n: int, seed: int) -> Split:
    random = np.random.default_rng(seed)
    labels = random.integers(0, 7, n)
    images = random.integers(0, 60, (n, 18, 18, 1), dtype=np.uint8)
    for image, label in zip(images, labels, strict=True):
        image[2 * label : 2 * label + 4] += 150
    leaked = np.zeros(n, bool)
    leaked[:3] = True
    return Split(images=images, labels=labels, names=[f"{seed}/{i}" for i in range(n)], leaked=leaked)


def job(runs: Path, model: str = "mrf", seed: int = 0) -> Job:
    data = Dataset(
        spec="tiny",
        name="tiny",
        classes=EXPRESSIONS,
        train=split(64, 1),
        validation=split(32, 2),
        test=split(40, 3),
        notes=("Drawn at random.",),
        licence="none needed",
    )
    return Job(data=data, scale=SCALE, model=model, seed=seed, runs=runs)


def cells(model: str = "mrf") -> list[Cell]:
    made = [
        ("dense", 0.0),
        ("sparse", 0.0),
        ("slim", 0.4),
        ("slim", 0.6),
        ("short", 0.4),
        ("random", 0.4),
        ("random", 0.6),
    ]
    return [
        Cell(table="table5", data="tiny", scale="quick", model=model, variant=variant, ratio=ratio, seed=0)
        for variant, ratio in made
    ]


if __name__ == "__main__":
    measure(job(Path(sys.argv[1])), cells(), Path(sys.argv[2]))
