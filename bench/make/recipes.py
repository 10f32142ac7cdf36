"""The trainings of a job: dense, sparse from it, and every cut fine-tuned from the sparse one, each a cached stage.

Ratios share the sparse stage, and both share the dense one, which also teaches the sparse stage.
"""

import sys
from pathlib import Path
from typing import Any

import torch
from torch import nn

from bench import records
from bench.make.pretraining import pretrain_stage, start_settings, started
from bench.make.stages import Job, Recipe, Stage, Term, predicted, train_stage
from bench.measure import accuracy
from compress.files import write_atomic
from compress.slimming.finetune import distillation
from compress.slimming.plan import Plan
from compress.slimming.sparsity import Proximal, by_width, mean_gamma, penalised
from compress.slimming.surgery import slim
from compress.training.loop import autocast
from compress.training.schedule import TrainConfig, learning_rate
from fermodels.nets.vgg import Output
from fermodels.training.losses import restrain_loss
from fermodels.training.views import Batch

ALIGN = 8
"""Kept widths are multiples of this: what CPU and GPU kernels step at."""
CUTS = ("slim", "short", "random")
"""Variants that are cuts. "short" is the slim network fine-tuned as its random control: the two are comparable."""
RAMP, COOL = 0.2, 0.2


def say(text: str) -> None:
    """A line for the person who waits; standard output is for results."""
    print(text, file=sys.stderr, flush=True)


def dense_stage(job: Job) -> Stage:
    """The unpruned network, trained without any sparsity; from its pretrained encoder where it has one."""
    network, first = job.network, pretrain_stage(job)
    settings = start_settings(job, first)
    settings |= {"restrain": network.restrain} if network.restrain else {}
    extra = {"restrain": _restrain(network.restrain)} if network.restrain else {}
    parents = () if first is None else (first,)
    recipe = Recipe(name="dense", train=job.scale.schedules.dense, settings=settings, extra=extra, parents=parents)
    return train_stage(job, recipe, lambda: started(job, first), f"{job.model} dense")


def _restrain(weight: float) -> Term:
    """lambda times the restrain loss (paper 2, eq 8, 10)."""
    return lambda output, batch: weight * restrain_loss(output, batch.labels)


def sparse_stage(job: Job) -> Stage:
    """The dense network under a proximal L1 penalty on its gammas, distilled from itself (Liu et al. 2017).

    Raises:
        ValueError: the scale has none.
    """
    dense, schedules = dense_stage(job), job.scale.schedules
    if schedules.sparse is None:
        raise ValueError(f"scale {job.scale.name} has no sparse stage: its cuts are made in the dense network")
    train = schedules.sparse
    settings = {
        "from": dense.key,
        "penalty": "proximal",
        "travel": schedules.travel,
        "ramp": RAMP,
        "cool": COOL,
        "keep_scale": True,
        "weights": "by width",
    }
    settings |= {"distil_weight": schedules.distil_weight}

    def penalty(net: Any) -> Proximal:
        made = _proximal(net, job, train)
        say(f"{job.model}: {made.travel(_rates(job, train), train.momentum).sentence(mean_gamma(net, net.example()))}")
        return made

    recipe = Recipe(
        name="sparse",
        train=train,
        settings=settings,
        penalty=penalty,
        extra=distilled(job, schedules.distil_weight, bf16=train.bf16),
        choose_last=True,
        parents=(dense,),
    )
    return train_stage(job, recipe, dense.net, f"{job.model} sparse")


def _rates(job: Job, train: TrainConfig) -> list[float]:
    steps = train.epochs * -(-len(job.data.train) // (train.batch * train.accumulate))
    return [learning_rate(train, step, steps) for step in range(steps)]


def _proximal(net: Any, job: Job, train: TrainConfig) -> Proximal:
    """The penalty whose budget is `Schedules.travel` times the mean |gamma| of `net`."""
    gammas = penalised(net, net.example())
    unit = Proximal(gammas, 1.0, ramp=RAMP, cool=COOL).travel(_rates(job, train), train.momentum).distance
    strength = job.scale.schedules.travel * mean_gamma(net, net.example()) / unit
    return Proximal(gammas, strength, ramp=RAMP, cool=COOL, keep_scale=True, weights=by_width(gammas))


def distilled(job: Job, weight: float, *, bf16: bool) -> dict[str, Any]:
    """The term that pulls a network towards the dense one's answers, or nothing at weight 0."""
    if not weight:
        return {}
    teacher = dense_stage(job).net().to(job.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    term = distillation(teacher.requires_grad_(False), weight=weight)

    def pull(output: Output, batch: Batch) -> torch.Tensor:
        with autocast(job.device, bf16):  # else the teacher alone takes as long as the whole step of a slim student
            return term(output, batch.views)

    return {"distillation": pull}


def tune_settings(job: Job, variant: str, ratio: float) -> dict[str, Any]:
    """What decides a cut, beside the network it is made in."""
    criterion = "random" if variant == "random" else job.scale.schedules.criterion
    return {"rule": "exact", "criterion": criterion, "align": ALIGN, "ratio": ratio, "seed": job.seed}


def uncut_stage(job: Job) -> Stage:
    """What is cut: the sparse network, or the dense one where the scale has no sparse stage."""
    return dense_stage(job) if job.scale.schedules.sparse is None else sparse_stage(job)


def slim_stage(job: Job, variant: str, ratio: float) -> Stage:
    """The uncut network cut to `ratio` and fine-tuned; the plan and what each step of the cut did lie beside it.

    Where a scale fine-tunes what ships no longer than the controls, "slim" and "short" are one stage.
    """
    uncut, cut, schedules = uncut_stage(job), tune_settings(job, variant, ratio), job.scale.schedules
    train, weight = (
        (schedules.tune, schedules.tune_distil_weight)
        if variant == "slim"
        else (schedules.control, schedules.control_distil_weight)
    )
    settings = cut | {"from": uncut.key, "distil_weight": weight, "calibration": schedules.calibration}
    title = f"{job.model} {variant} {ratio:.0%}"
    name = "random" if variant == "random" else "slim"
    extra = distilled(job, weight, bf16=train.bf16)
    recipe = Recipe(name=f"{name}{round(100 * ratio)}", train=train, settings=settings, extra=extra, parents=(uncut,))
    stage = train_stage(job, recipe, lambda: _cut(job, uncut.net(), cut)[0], title)
    return stage.once(lambda: _write_plan(job, uncut.net(), cut, stage.folder), "plan.json")


def _cut(job: Job, net: Any, cut: dict[str, Any], **care: Any) -> tuple[nn.Module, Plan]:
    if "calibrate" not in care:
        care["calibrate"] = calibration(job)
    if cut["criterion"] == "taylor":
        faces = job.views("train").spread(job.scale.schedules.calibration)
        care["labelled"] = [(batch.views, batch.labels) for batch in faces]
    slim_net, plan = slim(net.to(job.device), net.example(), **cut, **care)
    return slim_net.to(memory_format=torch.channels_last), plan  # type: ignore[call-overload]


def calibration(job: Job) -> list[tuple[torch.Tensor, ...]]:
    """Views of training faces at the centre crop, spread over the whole split."""
    return [batch.views for batch in job.views("train").spread(job.scale.schedules.calibration)]


def _write_plan(job: Job, net: nn.Module, cut: dict[str, Any], folder: Path) -> None:
    """The plan, and beside it the validation predictions right after the cut (not for the random control).

    Three times: the bare cut, then with beta absorbed, then with batch norms recalibrated too.
    """
    steps = {"cut": {"absorb": False, "calibrate": None}, "absorbed": {"calibrate": None}, "recalibrated": {}}
    if cut["criterion"] == "random":
        plan = _cut(job, net, cut, calibrate=None)[1]
    else:
        validation = job.views("validation")
        made = {name: _cut(job, net, cut, **care) for name, care in steps.items()}
        after = {name: accuracy.digits(predicted(slim_net, validation)) for name, (slim_net, _) in made.items()}
        write_atomic(folder / "cut.json", records.dumps(after))
        plan = made["recalibrated"][1]
    write_atomic(folder / "plan.json", plan.to_json())
