"""How long one batch takes: subjects measured in turns, every sample kept.

A subject is any `Callable[[], None]` that returns when its output is ready for the reader; `subject_of_session` makes
one of any runtime's session. Subjects take turns (`compress.timing.turns`), so a
ratio of two is paired, and noisy measurements are repeated.

`python -m compress.speed` times what compress.export wrote.
"""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ParamSpec, TypeVar, cast

import numpy as np
import torch
from torch import Tensor, nn

from compress.inputs import evaluating
from compress.runtimes import Session
from compress.timing.footprint import PeakMemory, peak_memory
from compress.timing.launch import Launch, launch_times
from compress.timing.machine import load_between
from compress.timing.stats import Ratio
from compress.timing.turns import Samples, Subject, calmest, measure_turns

ATTEMPTS = 3
"""How often a noisy measurement is made before it is kept and flagged."""
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
    """Standard deviation over mean of the samples, outliers included."""
    spread: float
    """Robust spread of the turns beside those of the others (`compress.timing.turns.Samples.spread`)."""
    samples_ms: tuple[float, ...]
    images_per_s: float
    """batch / median."""
    threads: int
    runtime: str
    precision: str
    ratio_to_dense: Ratio | None
    """This / reference over paired turns: below 1 is faster. None for the reference itself."""
    noisy: bool
    """`spread` above `compress.timing.turns.NOISY_SPREAD`."""
    load: dict[str, Any]
    """Machine load before and after, and the percent of the time in which some task waited for a processor."""
    warmup_runs: int
    stable: bool
    per_turn: int
    """How many samples in a row make one turn."""
    attempts: int = 1
    """How often it was measured; the samples are those of the calmest attempt."""
    memory: PeakMemory | None = None
    """Of one more run, after the timing; None where it was not asked for."""
    launch: Launch | None = None
    """How much of the time the host spends on launching; None without a GPU."""


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
    return Latency(
        batch=batch,
        p50_ms=p50,
        p90_ms=p90,
        p95_ms=p95,
        p99_ms=p99,
        n=len(ms),
        cv=samples.cv,
        spread=samples.spread,
        samples_ms=tuple(ms.tolist()),
        images_per_s=1000 * batch / p50,
        threads=torch.get_num_threads(),
        runtime=runtime,
        precision=precision,
        ratio_to_dense=None if reference is None else samples.ratio_to(reference),
        noisy=samples.noisy,
        load=load_between(samples.before, samples.after),
        warmup_runs=samples.warmup_runs,
        stable=samples.stable,
        per_turn=samples.per_turn,
        attempts=samples.attempts,
    )


def latency_of(
    nets: Mapping[str, nn.Module],
    batch: int,
    reference: str,
    *,
    min_runs: int = 100,
    min_seconds: float = 3.0,
    attempts: int = ATTEMPTS,
) -> dict[str, Latency]:
    """Latency of networks in PyTorch eager mode on resident example inputs, each with its ratio to `reference`.

    Networks run in evaluation and inference mode with channels_last weights and inputs, where they lie (CPU or CUDA);
    afterwards their modes are restored, their weights keep the layout (the values do not change).

    Args:
        attempts: how often a measurement with a noisy network in it is made, all networks anew each time.

    Raises:
        ValueError: `reference` is not among `nets`, or they differ in precision.
    """
    if reference not in nets:
        raise ValueError(f'no network "{reference}" to compare with: the subjects are {", ".join(nets)}')
    precisions = {_precision(net) for net in nets.values()}
    if len(precisions) > 1:
        raise ValueError(f"networks of {sorted(precisions)} in one measurement: measure each precision by itself")
    with ExitStack() as modes, torch.inference_mode():
        for net in nets.values():
            modes.enter_context(evaluating(net))
        works = {name: _work_of(net, batch) for name, net in nets.items()}
        subjects = {name: _ready(work, nets[name]) for name, work in works.items()}
        samples = calmest(partial(measure_turns, subjects, min_runs=min_runs, min_seconds=min_seconds), attempts)
        memory = {name: peak_memory(subject) for name, subject in subjects.items()}
        launch = {name: launch_times(work) if _on_cuda(nets[name]) else None for name, work in works.items()}
    tell = partial(summarise, batch=batch, precision=precisions.pop())
    found = {name: tell(own, None if name == reference else samples[reference]) for name, own in samples.items()}
    return {name: replace(own, memory=memory[name], launch=launch[name]) for name, own in found.items()}


def subject_of_session(session: Session, batch: int) -> Subject:
    """One run of a runtime's session on the same random pixels, 0 to 255, every time.

    The inputs lie where the session runs: copying them there is not in its time.
    """
    random = torch.Generator().manual_seed(0)
    shapes = {spec: tuple(side or batch for side in spec.shape) for spec in session.io.inputs}
    feed = {spec.name: torch.randint(0, 256, shapes[spec], generator=random).to(spec.dtype) for spec in shapes}
    return synchronised(partial(_discard, session.run, (session.resident(feed),)))


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


def _work_of(net: nn.Module, batch: int) -> Subject:
    """As `subject_of`, but on CUDA it returns when the work is launched."""
    net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    parameter = next(net.parameters())
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        example: tuple[Tensor, ...] = cast(Any, net).example(batch)
    inputs = tuple(
        view.to(parameter.device, parameter.dtype).contiguous(memory_format=torch.channels_last) for view in example
    )
    return partial(_discard, net, inputs)


def _ready(work: Subject, net: nn.Module) -> Subject:
    on_cuda = _on_cuda(net)
    return synchronised(work, lambda: on_cuda)


def _on_cuda(net: nn.Module) -> bool:
    return next(net.parameters()).is_cuda


def _discard(work: Callable[..., Any], inputs: tuple[Any, ...]) -> None:
    work(*inputs)


def _precision(net: nn.Module) -> str:
    dtype = next(net.parameters()).dtype
    return PRECISIONS.get(dtype, str(dtype).removeprefix("torch."))
