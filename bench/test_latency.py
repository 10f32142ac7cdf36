"""Latency per prune ratio of both networks, quarter width at 56 px, random weights and random cuts, batch 1.

    pytest bench/test_latency.py --benchmark-only --benchmark-group-by=group

For watching the code, not for the tables: those compare trained networks in turns (`bench.latency`).
"""

from collections.abc import Iterator
from functools import cache, partial
from typing import Any

import pytest
import torch
from torch import nn

import fermodels
from bench.accuracy import evaluating
from bench.latency import subject_of
from compress.surgery import slim
from fermodels.cost import macs, params

RATIOS = (0.0, 0.4, 0.5, 0.6)
WIDTHS = fermodels.scaled(0.25)
SETTINGS: dict[str, dict[str, Any]] = {
    "mrf": {"widths": {"face": WIDTHS, "local": WIDTHS}, "size": 56, "local_size": 56, "pools": 3},
    "vggnet": {"widths": {"face": WIDTHS}, "size": 56, "pools": 3},
}


@cache
def network(model: str, ratio: float) -> nn.Module:
    torch.manual_seed(0)
    dense = fermodels.build(model, **SETTINGS[model])
    return slim(dense, ratio=ratio, criterion="random")[0] if ratio else dense


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """One thread repeats well on a shared machine, where several wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize("ratio", RATIOS)
@pytest.mark.parametrize("model", sorted(SETTINGS))
def test_latency(benchmark: Any, model: str, ratio: float) -> None:
    net, dense = network(model, ratio), network(model, 0.0)
    cost, dense_cost = ({"macs": macs(one).total, "params": params(one)} for one in (net, dense))
    benchmark.group = f"latency {model}, batch 1"
    benchmark.extra_info.update(cost, ratio=ratio, threads=1)
    with evaluating(net):
        benchmark(subject_of(net, 1))
    assert all((cost[name] < dense_cost[name]) == (ratio > 0) for name in cost)


def test_the_fixture_waits_for_the_gpu_after_every_call(benchmark: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[str] = []
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: events.append("wait"))
    benchmark.pedantic(partial(events.append, "work"), setup=lambda: events.append("setup"), rounds=3)
    assert events[0] == "wait"
    assert events[1:] == ["setup", "wait", "work", "wait"] * (len(events) // 4)
    assert events.count("work") >= 1
