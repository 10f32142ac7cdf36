"""How long one batch takes: subjects measured in turns, every sample kept.

A subject is any `Callable[[], None]` that returns when its output is ready for the reader; `subject_of` makes one of a
PyTorch network, later runtimes bring their own. Subjects take turns (A B A B ...), so a ratio between two of them is
paired, and each runs with the caches as its neighbours left them: times are a little above those of a network alone.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, ParamSpec, TypeVar, cast

import numpy as np
import torch
from torch import Tensor, nn

from bench.accuracy import evaluating
from bench.environment import busy, load_between
from bench.stats import Ratio, ratio_interval
from bench.turns import Progress, Samples, Subject, measure_interleaved

NOISY_CV = 0.025
"""Coefficient of variation above which a figure is marked noisy."""
PRECISIONS = {torch.float32: "fp32", torch.float64: "fp64", torch.float16: "fp16", torch.bfloat16: "bf16"}

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Latency:
    """What a record keeps of one subject at one batch size; times are milliseconds per batch."""

    batch: int
    p50_ms: float
    p90_ms: float
    p95_ms: float
    p99_ms: float
    n: int
    cv: float
    """Standard deviation over mean of the samples."""
    samples_ms: tuple[float, ...]
    images_per_s: float
    """batch / median."""
    threads: int
    runtime: str
    precision: str
    ratio_to_dense: Ratio | None
    """This / reference over paired rounds: below 1 is faster. None for the reference itself."""
    noisy: bool
    """`cv` above `NOISY_CV`, or the machine was busy with something else."""
    load: dict[str, Any]
    """Machine load before and after, and the percent of the time in which some task waited for a processor."""
    warmup_runs: int
    stable: bool


def summarise(
    samples: Samples,
    reference: Samples | None = None,
    *,
    batch: int,
    runtime: str = "torch-eager",
    precision: str = "fp32",
) -> Latency:
    """The record's figures of one subject; percentiles interpolate linearly between samples.

    Args:
        reference: samples of the subject to compare with, from the same measurement; None for that subject itself.
    """
    ms = samples.ms
    p50, p90, p95, p99 = (float(p) for p in np.percentile(ms, (50, 90, 95, 99)))
    cv = float(ms.std(ddof=1) / ms.mean())
    return Latency(
        batch=batch,
        p50_ms=p50,
        p90_ms=p90,
        p95_ms=p95,
        p99_ms=p99,
        n=len(ms),
        cv=cv,
        samples_ms=tuple(ms.tolist()),
        images_per_s=1000 * batch / p50,
        threads=torch.get_num_threads(),
        runtime=runtime,
        precision=precision,
        ratio_to_dense=None if reference is None else ratio_interval(ms, reference.ms),
        noisy=cv > NOISY_CV or busy(samples.before, samples.after),
        load=load_between(samples.before, samples.after),
        warmup_runs=samples.warmup_runs,
        stable=samples.stable,
    )


def latency_of(
    nets: Mapping[str, nn.Module],
    batch: int,
    reference: str,
    *,
    min_runs: int = 100,
    min_seconds: float = 3.0,
    progress: Progress | None = None,
) -> dict[str, Latency]:
    """Latency of networks in PyTorch eager mode on resident example inputs, each with its ratio to `reference`.

    Networks run in evaluation and inference mode with channels_last weights and inputs, where they lie (CPU or CUDA);
    afterwards their modes are restored, their weights keep the layout (the values do not change).

    Raises:
        ValueError: `reference` is not among `nets`, or they differ in precision.
    """
    if reference not in nets:
        raise ValueError(f'no network "{reference}" to compare with: the subjects are {", ".join(nets)}')
    precisions = {_precision(net) for net in nets.values()}
    if len(precisions) > 1:
        raise ValueError(f"networks of {sorted(precisions)} in one measurement: measure each precision by itself")
    with evaluating(*nets.values()):
        subjects = {name: subject_of(net, batch) for name, net in nets.items()}
        samples = measure_interleaved(subjects, min_runs=min_runs, min_seconds=min_seconds, progress=progress)
    tell = partial(summarise, batch=batch, precision=precisions.pop())
    dense = samples[reference]
    return {name: tell(own, None if name == reference else dense) for name, own in samples.items()}


def subject_of(net: nn.Module, batch: int) -> Subject:
    """One call of `net` on resident random inputs (the same for every call and session), in channels_last.

    Run it inside `evaluating`. It returns when the output is ready, on CUDA too.
    """
    net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    parameter = next(net.parameters())
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        example: tuple[Tensor, ...] = cast(Any, net).example(batch)
    inputs = tuple(
        view.to(parameter.device, parameter.dtype).contiguous(memory_format=torch.channels_last) for view in example
    )
    return synchronised(partial(_discard, net, inputs), lambda: parameter.is_cuda)


def uses_cuda() -> bool:
    """Whether this process has touched a GPU: work on one may then hide in any closure."""
    return torch.cuda.is_initialized()


def synchronised(work: Callable[P, T], needed: Callable[[], bool] = uses_cuda) -> Callable[P, T]:
    """`work`, returning only when the GPU has finished what it started; `needed` is asked after each call."""

    def finished(*args: P.args, **kwargs: P.kwargs) -> T:
        result = work(*args, **kwargs)
        if needed():
            torch.cuda.synchronize()
        return result

    return finished


def _discard(net: nn.Module, inputs: tuple[Tensor, ...]) -> None:
    net(*inputs)


def _precision(net: nn.Module) -> str:
    dtype = next(net.parameters()).dtype
    return PRECISIONS.get(dtype, str(dtype).removeprefix("torch."))
