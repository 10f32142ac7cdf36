"""Does the GPU wait for the host? Time to launch a network's kernels beside the time between two CUDA events.

A small network at batch 1 is often bound by launching: its latency then says more about Python than about the network,
and replaying a CUDA graph, which launches everything at once, is the fair measurement.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Any

import torch

ENQUEUE_SHARE = 0.8
"""Share of the compute time above which launching decides (trtexec warns alike when enqueueing outlasts computing)."""
RUNS = 20


@dataclass(frozen=True, kw_only=True)
class Launch:
    """Medians over runs that each began on an idle GPU, milliseconds."""

    enqueue_ms: float
    """On the host: from the call to its return, before the GPU has finished."""
    compute_ms: float
    """On the GPU: between an event before the first kernel and one behind the last."""
    enqueue_bound: bool
    """`enqueue_ms` above `ENQUEUE_SHARE` of `compute_ms`: measure with CUDA graph replay before comparing."""


def enqueue_bound(enqueue_ms: float, compute_ms: float) -> bool:
    """Whether launching, not computing, decides the latency."""
    return enqueue_ms > ENQUEUE_SHARE * compute_ms


def launch_times(
    work: Callable[[], None],
    runs: int = RUNS,
    *,
    event: Callable[..., Any] | None = None,
    clock: Callable[[], int] = time.perf_counter_ns,
) -> Launch:
    """Times `work` by CUDA events and by the host's clock.

    Args:
        work: launches and returns without waiting for the GPU, on the current stream.
        event: makes events; by default `torch.cuda.Event`.
        clock: nanoseconds.
    """
    timed = [_once(work, event or torch.cuda.Event, clock) for _ in range(runs)]
    enqueue_ms, compute_ms = (median(column) for column in zip(*timed, strict=True))
    bound = enqueue_bound(enqueue_ms, compute_ms)
    return Launch(enqueue_ms=enqueue_ms, compute_ms=compute_ms, enqueue_bound=bound)


def _once(work: Callable[[], None], event: Callable[..., Any], clock: Callable[[], int]) -> tuple[float, float]:
    """(enqueue, compute) of one run, milliseconds; it ends with the GPU idle, as the next one needs it."""
    first, last = event(enable_timing=True), event(enable_timing=True)
    first.record()
    start = clock()
    work()
    enqueue_ms = (clock() - start) / 1e6
    last.record()
    last.synchronize()
    return enqueue_ms, first.elapsed_time(last)
