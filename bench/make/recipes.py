"""The trainings before a cut: the unpruned network, and its gammas under a penalty, each a cached stage.

All cuts of a network share them, and the unpruned one also teaches whatever comes after it.
"""

import sys
from collections.abc import Callable
from typing import Any

import torch

from bench.make.pretraining import pretrain_stage, start_settings, started
from bench.make.stages import Job, Recipe, Stage, Term, train_stage
from compress.slimming.finetune import distillation
from compress.slimming.sparsity import Proximal, by_macs, by_width, mean_gamma, penalised
from compress.training import processes
from compress.training.loop import autocast
from compress.training.schedule import TrainConfig, learning_rate
from fermodels.nets.vgg import Output
from fermodels.training.losses import restrain_loss
from fermodels.training.views import Batch

RAMP, COOL = 0.2, 0.2


def say(text: str) -> None:
    """A line for the person who waits; standard output is for results. Of several processes the first one speaks."""
    if processes.rank() == 0:
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


def sparse_stage(job: Job, weights: str = "width") -> Stage:
    """The dense network under a proximal L1 penalty on its gammas, distilled from itself (Liu et al. 2017).

    Args:
        weights: one of `WEIGHTS`, by which layers feel the penalty.
    """
    dense, schedules = dense_stage(job), job.scale.schedules
    train = schedules.sparse
    settings = {
        "from": dense.key,
        "penalty": "proximal",
        "travel": schedules.travel,
        "ramp": RAMP,
        "cool": COOL,
        "keep_scale": True,
        "weights": f"by {weights}",
    }
    settings |= {"distil_weight": schedules.distil_weight}

    def penalty(net: Any) -> Proximal:
        made = _proximal(net, job, weights)
        say(f"{job.model}: {made.travel(_rates(job, train), train.momentum).sentence(mean_gamma(net, net.example()))}")
        return made

    recipe = Recipe(
        name="sparse" if weights == "width" else f"sparse-{weights}",
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


WEIGHTS: dict[str, Callable[[Any], list[float]]] = {
    "width": lambda net: by_width(penalised(net, net.example())),
    "macs": lambda net: by_macs(net, net.example()),
}
"""How much of the penalty each layer of a network feels, at most 1."""


def _proximal(net: Any, job: Job, weights: str) -> Proximal:
    """The penalty whose budget is `Schedules.travel` times the mean |gamma| of `net`."""
    gammas, train = penalised(net, net.example()), job.scale.schedules.sparse
    unit = Proximal(gammas, 1.0, ramp=RAMP, cool=COOL).travel(_rates(job, train), train.momentum).distance
    strength = job.scale.schedules.travel * mean_gamma(net, net.example()) / unit
    return Proximal(gammas, strength, ramp=RAMP, cool=COOL, keep_scale=True, weights=WEIGHTS[weights](net))


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
