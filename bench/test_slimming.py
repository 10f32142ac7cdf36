"""How long slimming takes, everything but calibration included: the full 31 M-parameter MRF under 2 s, ResNet-50 5 s.

Time is processor time of one thread, which on an idle core is the time on the clock: the limit then means the same on a
laptop that is also doing something else.

    pytest bench/test_slimming.py --benchmark-enable
"""

import time

import foreign_zoo
import pytest
import torch
from torch import nn

import fermodels
from compress import slim

LIMIT_S, RESNET_LIMIT_S = 2.0, 5.0


@pytest.fixture
def full_mrf():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    net = fermodels.build("mrf")
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight)
    yield net
    torch.set_num_threads(threads)


@pytest.mark.benchmark(group="slimming", timer=time.process_time)
@pytest.mark.parametrize("ratio", [0.4, 0.6])
def test_slimming_the_full_mrf(benchmark, full_mrf, ratio):
    """Groups, scores, selection, absorption, the cut, its proof, the rebuilt network, parameters and MACs."""
    _, plan = benchmark.pedantic(
        slim, (full_mrf, full_mrf.example()), {"ratio": ratio, "align": 8}, rounds=3, warmup_rounds=1
    )
    assert plan.params_before == 31_094_159
    assert abs(plan.achieved - ratio) * sum(plan.widths_before.values()) <= 4.5  # align / 2, and rounding of the budget
    if benchmark.stats is not None:  # None under --benchmark-disable
        assert benchmark.stats.stats.median < LIMIT_S


@pytest.fixture
def resnet50():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield foreign_zoo.lively(foreign_zoo.torchvision_model("resnet50"))
    torch.set_num_threads(threads)


@pytest.mark.benchmark(group="slimming", timer=time.process_time)
def test_slimming_resnet50(benchmark, resnet50):
    """torchvision's, at 224 px."""
    given = (resnet50, torch.zeros(1, 3, 224, 224))
    _, plan = benchmark.pedantic(slim, given, {"ratio": 0.5, "align": 8}, rounds=3, warmup_rounds=1)
    assert plan.macs_before == 4_089_184_256
    if benchmark.stats is not None:
        assert benchmark.stats.stats.median < RESNET_LIMIT_S
