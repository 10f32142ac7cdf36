"""What cutting five regions costs: paper 2's network against its own trunk on a batch five times as large.

make bench
"""

from collections.abc import Callable
from statistics import median
from time import perf_counter
from typing import Any

import torch

import fermodels
from fermodels.nets.ocl import REGIONS, cut_regions

BATCH, ROUNDS = 8, 15
MOST_RATIO = 1.15
"""Time of N faces through the network by the time of 5 N images through its trunk."""


def seconds(work: Callable[[], object]) -> float:
    start = perf_counter()
    work()
    return perf_counter() - start


@torch.no_grad()
def test_five_regions_cost_little_more_than_a_batch_five_times_as_large(benchmark):
    """Full width, 112 px; in turns, so that a machine that slows down slows both: the median of the ratios counts."""
    torch.manual_seed(0)
    size = 112 if benchmark.enabled else 56
    net: Any = fermodels.build("ocl", size=size, region_size=size).eval()
    net.to(memory_format=torch.channels_last)
    face = torch.randn(BATCH, 3, size, size).contiguous(memory_format=torch.channels_last)
    many = cut_regions(face, size).contiguous(memory_format=torch.channels_last)
    trunk = net.trunks["face"]
    assert trunk(many).shape[0] == len(REGIONS) * len(face)
    rounds = ROUNDS if benchmark.enabled else 1
    ratio = median(seconds(lambda: net(face)) / seconds(lambda: trunk(many)) for _ in range(rounds))
    benchmark.extra_info |= {"network_over_trunk": ratio}
    assert benchmark.pedantic(net, (face,), rounds=rounds).logits.shape == (1, BATCH, 7)
    if benchmark.enabled:
        assert ratio <= MOST_RATIO
