"""Are views made fast enough? The loader alone against the training step that eats them, on the embedded sizes.

    make bench

Views are made on the fly by the same threads that train: at a third of the training's time they would be a bottleneck.
"""

from collections.abc import Callable
from dataclasses import replace
from statistics import median
from time import perf_counter

import numpy as np
import pytest
import torch
from torch import nn

import fermodels
from bench.make.networks import contrastive
from bench.make.scales import CPU
from fermodels.data.unlabelled import Pool, pool_of
from fermodels.training.contrast import Pairs, PretrainConfig, pretrain
from fermodels.training.contrast_views import AugmentConfig

LEAST_RATIO = 3.0
"""Pairs a second of the loader by pairs a second of the training that contains it."""
FACES, ROUNDS = 256, 5
SCHEDULE = replace(CPU.schedules.pretrain, epochs=1, batch=128)
CONFIG = PretrainConfig(train=SCHEDULE, augment=AugmentConfig(size=CPU.geometry.size))


def faces(channels: int) -> Pool:
    shape = (FACES, CPU.geometry.stored, CPU.geometry.stored, channels)
    return pool_of({"noise": np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)}, {})


def network() -> nn.Module:
    torch.manual_seed(0)
    return fermodels.build("contrastive", **contrastive(CPU))


def seconds(work: Callable[[], object]) -> float:
    start = perf_counter()
    work()
    return perf_counter() - start


@pytest.mark.slow
@pytest.mark.parametrize("channels", [1, 3])
def test_the_loader_is_three_times_as_fast_as_the_training(benchmark, channels):
    """Paired and interleaved, so that a machine that slows down slows both: the median of the ratios counts."""
    pool, net = faces(channels), network()
    pairs = Pairs(pool, CONFIG)

    def load() -> int:
        return sum(len(batch.labels) for batch in pairs.epoch(0))

    load()
    pretrain(net, pool, CONFIG)
    rounds = ROUNDS if benchmark.enabled else 1
    ratio = median(seconds(lambda: pretrain(net, pool, CONFIG)) / seconds(load) for _ in range(rounds))
    benchmark.extra_info |= {"channels": channels, "training_over_loading": ratio}
    assert benchmark.pedantic(load, rounds=rounds) == FACES
    assert not benchmark.enabled or ratio >= LEAST_RATIO, f"loading is only {ratio:.1f} times as fast as training"
