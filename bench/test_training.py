"""What the training loop costs over a bare PyTorch loop, and what the sparsity penalties add to a step.

    make bench

The overhead is the loop's own work (schedule, logging, penalties' calls) on batches that lie in memory: at most 3 %.
"""

from collections.abc import Callable
from dataclasses import replace
from statistics import median
from time import perf_counter

import pytest
import torch
from torch import Tensor, nn

import fermodels
from compress.slimming.sparsity import Proximal, SubGradient, penalised
from compress.training.loop import autocast, fit
from compress.training.schedule import TrainConfig, optimizer_for
from fermodels.nets.vgg import Output
from fermodels.training.losses import cross_entropy
from fermodels.training.views import Batch

CONFIG = TrainConfig(epochs=1, batch=64, lr=0.01)
BATCHES, ROUNDS = 6, 5
EPOCH = 30
"""Batches of the overhead test: what a call costs once (copying the chosen weights) is spread over an epoch."""
MOST_OVERHEAD = 0.03


class InMemory:
    """The same few batches every epoch, already tensors; `length` of them, over and over."""

    def __init__(self, length: int = BATCHES) -> None:
        torch.manual_seed(0)
        self.batches = [
            Batch(
                (torch.randn(64, 3, 56, 56).contiguous(memory_format=torch.channels_last),),
                torch.randint(0, 7, (64,)),
                torch.zeros(64, 1, 7, 7),
            )
            for _ in range(BATCHES)
        ] * (length // BATCHES)

    def __len__(self) -> int:
        return len(self.batches)

    def epoch(self, epoch: int) -> list[Batch]:
        return self.batches


def network() -> nn.Module:
    torch.manual_seed(0)
    net = fermodels.build("vggnet", widths={"face": fermodels.scaled(0.25)}, size=56, pools=3)
    return net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def objective(output: Output, batch: Batch) -> dict[str, Tensor]:
    return {"cross_entropy": cross_entropy(output, batch.labels)}


def bare_loop(net: nn.Module, data: InMemory) -> None:
    """What one would write by hand for the same training."""
    optimizer = optimizer_for(net, CONFIG)
    net.train()
    for batch in data.batches:
        optimizer.zero_grad(set_to_none=True)
        with autocast("cpu", True):
            output = net(*batch.views)
        cross_entropy(output, batch.labels).backward()
        optimizer.step()


def seconds(work: Callable[[], object]) -> float:
    start = perf_counter()
    work()
    return perf_counter() - start


@pytest.mark.slow
def test_the_loop_costs_at_most_three_percent(benchmark):
    """Paired and interleaved, so that a machine that slows down slows both: the median of the ratios counts."""
    data, ours, theirs = InMemory(EPOCH if benchmark.enabled else BATCHES), network(), network()
    seconds(lambda: bare_loop(theirs, data))
    pairs = [
        (seconds(lambda: fit(ours, data, objective, CONFIG)), seconds(lambda: bare_loop(theirs, data)))
        for _ in range(ROUNDS if benchmark.enabled else 1)
    ]
    ratio = median(loop / bare for loop, bare in pairs)
    benchmark.extra_info["overhead"] = ratio - 1
    benchmark.pedantic(lambda: fit(ours, data, objective, CONFIG), rounds=1)
    assert not benchmark.enabled or ratio <= 1 + MOST_OVERHEAD, f"the loop costs {ratio - 1:.1%} over a bare one"


@pytest.mark.parametrize("penalty", [None, SubGradient, Proximal])
def test_a_step_with_each_penalty(benchmark, penalty):
    data, net = InMemory(), network()
    example = net.example()  # type: ignore[operator]
    made = penalty(penalised(net, example), 1e-4) if penalty else None
    benchmark.extra_info["penalty"] = penalty.__name__ if penalty else "none"
    _, _, history = benchmark(lambda: fit(net, data, objective, replace(CONFIG), penalty=made))
    assert history.epochs[0]["images"] == 64 * BATCHES
