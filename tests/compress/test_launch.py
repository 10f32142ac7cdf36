"""Launching and computing told apart, on a clock and a GPU that only the test moves."""

import pytest
import torch

from compress.timing.launch import Launch, enqueue_bound, launch_times


class Device:
    """The host spends `enqueue_ms[i]` on launch i, the GPU `compute_ms[i]` on its work; the clocks are microseconds."""

    def __init__(self, enqueue_ms: list[float], compute_ms: list[float]) -> None:
        self.host_us, self.gpu_us = 0.0, 0.0
        self.left = list(zip(enqueue_ms, compute_ms, strict=True))
        self.idle_starts = 0

    def clock(self) -> int:
        return round(1e3 * self.host_us)

    def work(self) -> None:
        enqueue, compute = self.left.pop(0)
        self.idle_starts += self.gpu_us <= self.host_us
        self.gpu_us = max(self.gpu_us, self.host_us) + 1e3 * compute
        self.host_us += 1e3 * enqueue

    def event(self, *, enable_timing: bool) -> "Event":
        assert enable_timing
        return Event(self)


class Event:
    def __init__(self, device: Device) -> None:
        self.device = device

    def record(self) -> None:
        self.at_us = max(self.device.gpu_us, self.device.host_us)

    def synchronize(self) -> None:
        self.device.host_us = max(self.device.host_us, self.at_us)

    def elapsed_time(self, last: "Event") -> float:
        return (last.at_us - self.at_us) / 1e3


def test_medians_of_both_times_each_run_on_an_idle_gpu() -> None:
    device = Device([1.0, 9.0, 2.0], [10.0, 30.0, 20.0])
    found = launch_times(device.work, 3, event=device.event, clock=device.clock)
    assert found == Launch(enqueue_ms=2.0, compute_ms=20.0, enqueue_bound=False)
    assert device.idle_starts == 3


def test_a_gpu_that_waits_for_the_host_is_seen() -> None:
    device = Device([5.0] * 20, [0.5] * 20)
    found = launch_times(device.work, event=device.event, clock=device.clock)
    assert (found.enqueue_ms, found.enqueue_bound) == (5.0, True)
    assert found.compute_ms == 5.0, "between the events the GPU mostly waits"


@pytest.mark.parametrize(("enqueue", "bound"), [(0.0, False), (0.8, False), (0.81, True), (2.0, True)])
def test_the_line_is_at_four_fifths(enqueue: float, bound: bool) -> None:
    assert enqueue_bound(enqueue, 1.0) is bound


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_on_a_real_gpu_large_products_are_bound_by_computing_and_small_ones_are_not() -> None:
    large, small = torch.randn(8192, 8192, device="cuda"), torch.randn(8, 8, device="cuda")

    def products(matrix: torch.Tensor, times: int) -> None:
        for _ in range(times):
            torch.mm(matrix, matrix)

    products(large, 2)
    products(small, 2)
    torch.cuda.synchronize()
    assert not launch_times(lambda: products(large, 2)).enqueue_bound
    assert launch_times(lambda: products(small, 50)).enqueue_bound
