"""Networks cut to measured milliseconds: as fast as a plain cut, by the same scores of the same network.

`slim(target_ms=...)` goes down the same order of channels as a plain cut, so it ends near it: what the table then says
is how well a time is met. (The records of November 2026 are of a choice by layer times: docs/experiments.md.)
The plan is chosen once, before the training, and lies in the stage's folder: a resumed training, or another machine
that is given the folder, has the same widths. What decides a stage is the plain cut whose time it must meet, not the
time itself, which differs from call to call.
"""

import tempfile
from pathlib import Path
from typing import Any

from torch import nn

from bench.make.cuts import ALIGN, calibration, labelled, own_cut, slim_stage, uncut_stage
from bench.make.recipes import distilled, say
from bench.make.stages import Job, Recipe, Stage, stage_of, train_stage
from bench.schema import SINGLE
from compress.slimming.plan import Plan
from compress.slimming.surgery import apply, slim
from compress.timing.beside import RuntimeStopwatch

VARIANT = "timed"
"""Of cells, beside those of `bench.make.cuts.CUTS`."""
RUNTIME = "onnxruntime"
"""Where the milliseconds are those of, in float32."""


def timed_stage(job: Job, ratio: float) -> Stage:
    """The network as fast as the plain cut of `ratio`, fine-tuned as that one is.

    Raises:
        Unavailable: the runtime is missing.
        ValueError: no network between the narrowest and the whole one takes that time.
    """
    plain, uncut, schedules = slim_stage(job, "slim", ratio), uncut_stage(job), job.scale.schedules
    settings = {"rule": "exact", "criterion": own_cut(job).criterion, "align": ALIGN, "seed": job.seed}
    settings |= {"from": uncut.key}
    settings |= {"as_fast_as": plain.key, "runtime": RUNTIME, "batch": SINGLE}
    settings |= {"distil_weight": schedules.tune_distil_weight, "calibration": schedules.calibration}
    extra = distilled(job, schedules.tune_distil_weight, bf16=schedules.tune.bf16)
    name = f"{VARIANT}{round(100 * ratio)}"
    recipe = Recipe(name=name, train=schedules.tune, settings=settings, extra=extra, parents=(uncut,))
    path = stage_of(job, recipe).folder / "plan.json"
    title = f"{job.model} as fast as {ratio:.0%}"
    return train_stage(job, recipe, lambda: _cut(job, _plan(job, (plain, uncut), path), uncut.net()), title)


def _cut(job: Job, plan: Plan, net: Any) -> nn.Module:
    return apply(plan, net.to(job.device), net.example(), calibration(job))


def _plan(job: Job, stages: tuple[Stage, Stage], path: Path) -> Plan:
    """The plan at `path`, chosen now if there is none."""
    if path.exists():
        return Plan.load(path)
    plain, uncut = stages
    net: Any = uncut.net()
    target, cut = _plain_ms(net, plain.net()), own_cut(job)
    how: dict[str, Any] = {"criterion": cut.criterion, "labelled": labelled(job, cut), "align": ALIGN, "seed": job.seed}
    plan = slim(net, net.example(), target_ms=target, runtime=RUNTIME, batch=SINGLE, **how)[1]
    say(
        f"{job.model}: {target:.3f} ms wanted, {plan.achieved:.3f} ms found, {plan.removed:.0%} of the channels removed"
    )
    plan.save(path)
    return plan


def _plain_ms(net: Any, plain: nn.Module) -> float:
    """Time of the plain cut, in turns with the whole network."""
    with tempfile.TemporaryDirectory() as folder:
        stopwatch = RuntimeStopwatch(net, net.example(), Path(folder), runtime=RUNTIME, batch=SINGLE)
        return stopwatch.share(plain) * stopwatch.whole_ms
