"""The slim networks of a job: every method of `bench.make.methods`, each step that trains a cached stage.

A cut is no stage of its own: it is made again wherever it is needed, and its plan lies beside the stage that recovers.
"""

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from bench import records
from bench.make.methods import RANDOM, RECIPES, Cut, Fresh, Penalise, Recover, methods
from bench.make.recipes import dense_stage, distilled, sparse_stage
from bench.make.references import registered
from bench.make.scale import Schedules
from bench.make.stage import CUT, PLAN, Stage
from bench.make.stages import Job, Recipe, predicted, train_stage
from bench.measure import accuracy
from compress.files import write_atomic
from compress.slimming.plan import Plan
from compress.slimming.select import Floor
from compress.slimming.surgery import slim
from compress.training.schedule import TrainConfig, stretched
from fermodels.nets.registry import rebuild

ALIGN = 8
"""Kept widths are multiples of this: what CPU and GPU kernels step at."""
CUTS = ("slim", "short", "random")
"""Variants of Table 5 that are cuts. "slim": the scale's own recipe. "short": the same, fine-tuned as the random
control is: the two are comparable."""
FORWARD = 1 / 3
"""Of a training step: what asking a teacher costs."""
USUAL_FLOOR, LOW_FLOOR, EASY = Floor(), Floor(channels=8, share=0.05), 0.8
"""What every layer keeps at least; the lower one beyond a ratio of `EASY`, where the usual one leaves no room."""


@dataclass(frozen=True, kw_only=True)
class Recovery:
    """How a cut network is trained on."""

    train: TrainConfig
    distil_weight: float


@dataclass(frozen=True, kw_only=True)
class Goal:
    """One cut of one network, to be recovered."""

    uncut: Stage
    cut: Cut
    ratio: float
    """Share of the channels of `uncut` to remove."""
    like: Stage | None = None
    """The network whose MACs are met, instead of the ratio."""
    floor: Floor = USUAL_FLOOR

    def settings(self, job: Job) -> dict[str, Any]:
        """All that decides the cut, but for the network it is made in."""
        asked = {"rule": "exact", "criterion": self.cut.criterion, "align": ALIGN, "ratio": self.ratio}
        asked |= {} if self.floor == USUAL_FLOOR else {"floor": asdict(self.floor)}
        return asked | {"seed": job.seed} | ({} if self.like is None else {"macs_of": self.like.key})

    def target(self) -> dict[str, float]:
        """What `compress.slim` is asked for."""
        if self.like is None:
            return {"ratio": self.ratio}
        plan = plan_of(self.like)
        assert plan is not None, "it was cut"
        return {"macs_share": plan.macs_after / plan.macs_before}


def uncut_stage(job: Job) -> Stage:
    """What the scale's own recipe cuts: the network under the penalty, or the unpruned one."""
    return sparse_stage(job) if RECIPES[job.scale.schedules.recipe].penalised else dense_stage(job)


def own_cut(job: Job) -> Cut:
    """The last cut of the scale's own recipe."""
    return [step for step in RECIPES[job.scale.schedules.recipe].steps if isinstance(step, Cut)][-1]


def slim_stage(job: Job, variant: str, ratio: float) -> Stage:
    """A cut of Table 5, one of `CUTS`, fine-tuned; `plan.json` and what each step of the cut did lie beside it.

    Where a scale fine-tunes what ships no longer than the controls, "slim" and "short" are one stage.
    """
    schedules = job.scale.schedules
    if variant == "slim":
        return method_stage(job, schedules.recipe, ratio)
    named = RANDOM if variant == "random" else schedules.recipe
    control = Recovery(train=schedules.control, distil_weight=schedules.control_distil_weight)
    return _followed(job, named, ratio, control)


def method_stage(job: Job, name: str, ratio: float) -> Stage:
    """The network of the method `name` (`bench.make.methods.methods`) at `ratio`, every step of it made or cached."""
    schedules = job.scale.schedules
    return _followed(job, name, ratio, Recovery(train=schedules.tune, distil_weight=schedules.tune_distil_weight))


def _followed(job: Job, name: str, ratio: float, recovery: Recovery) -> Stage:
    """The last stage of the method's steps."""
    stage, cut = dense_stage(job), None
    for step in methods(job.scale.schedules.recipe)[name].steps:
        if isinstance(step, Penalise):
            stage = sparse_stage(job, step.weights)
        elif isinstance(step, Cut):
            cut = step
        elif isinstance(step, Fresh):
            stage = _fresh(job, step, method_stage(job, step.of, ratio), f"{name}{round(100 * ratio)}")
        elif isinstance(step, Recover):
            assert cut is not None, f"{name} recovers before it cuts"
            how = replace(recovery, train=stretched(recovery.train, step.length))
            own = {job.scale.schedules.recipe: "slim", RANDOM: "random"}.get(name, name)
            part = "" if cut.part == 1 else f" of {cut.part:.0%}"
            stage = _recovered(job, _goal(job, stage, cut, ratio), how, f"{own}{round(100 * ratio)}{part}")
    return stage


def _goal(job: Job, uncut: Stage, cut: Cut, ratio: float) -> Goal:
    """The cut after which the share removed since the beginning is `ratio`, or a part of it."""
    before, wanted = plan_of(uncut), cut.part * ratio
    like = method_stage(job, job.scale.schedules.recipe, ratio) if cut.same_macs else None
    left = 1.0 if before is None else 1 - before.removed
    floor = USUAL_FLOOR if ratio <= EASY else LOW_FLOOR
    return Goal(uncut=uncut, cut=cut, like=like, floor=floor, ratio=wanted if left == 1 else 1 - (1 - wanted) / left)


def _recovered(job: Job, goal: Goal, how: Recovery, name: str) -> Stage:
    """`goal`, fine-tuned: beside the network `plan.json` of all cuts so far, and `cut.json` of what this one did."""
    settings = goal.settings(job) | {"from": goal.uncut.key, "distil_weight": how.distil_weight}
    settings |= {"calibration": job.scale.schedules.calibration}
    extra = distilled(job, how.distil_weight, bf16=how.train.bf16)
    recipe = Recipe(name=name, train=how.train, settings=settings, extra=extra, parents=(goal.uncut,))
    stage = train_stage(job, recipe, lambda: cut_network(job, goal)[0], f"{job.model} {name} %")

    def told() -> None:
        plan, first = _cut_measured(job, goal, stage.folder / CUT), plan_of(goal.uncut)
        (plan if first is None else plan.after(first)).save(stage.folder / PLAN)

    return stage.once(told, PLAN)


def _fresh(job: Job, step: Fresh, like: Stage, name: str) -> Stage:
    """The widths of `like` with fresh weights, trained as the unpruned network is, for another number of epochs."""
    schedules, plan = job.scale.schedules, plan_of(like)
    assert plan is not None, f"{step.of} cuts nothing"
    epochs = {
        "dense": schedules.dense.epochs,
        "epochs": schedules.dense.epochs + schedules.tune.epochs,
        "compute": round(spent(schedules, plan) / plan.macs_after),
    }
    train = stretched(schedules.dense, epochs[step.length] / schedules.dense.epochs)
    recipe = Recipe(name=name, train=train, settings={"widths_of": like.key}, parents=(like,))

    def start() -> nn.Module:
        widths = {trunk: layers.widths for trunk, layers in like.net().trunks.items()}  # type: ignore[operator,union-attr]
        torch.manual_seed(job.seed)
        return rebuild(job.fresh(), widths)

    stage = train_stage(job, recipe, start, f"{job.model} {name} %")
    return stage.once(lambda: plan.save(stage.folder / PLAN), PLAN)


def spent(schedules: Schedules, plan: Plan) -> float:
    """What training and recovering cost for one image of the training set, in forward MACs of an image.

    A step of training is counted as one forward pass, whatever the network: only its ratio to other networks' matters.
    A teacher is asked forward only, which is a third of a step.
    """
    teacher = FORWARD * plan.macs_before if schedules.tune_distil_weight else 0.0
    return schedules.dense.epochs * plan.macs_before + schedules.tune.epochs * (plan.macs_after + teacher)


def plan_of(stage: Stage) -> Plan | None:
    """What was removed from the unpruned network up to this stage; None where nothing was."""
    return stage.plan if (stage.folder / PLAN).exists() else None


def cut_network(job: Job, goal: Goal, **care: Any) -> tuple[nn.Module, Plan]:
    """The network of `goal` before it is trained on, and its plan; `care`: other settings of `compress.slim`."""
    if "calibrate" not in care:
        care["calibrate"] = calibration(job)
    care["labelled"] = labelled(job, goal.cut)
    net: Any = goal.uncut.net().to(job.device)
    how = {name: value for name, value in goal.settings(job).items() if name in ("rule", "criterion", "align", "seed")}
    with registered():
        small, plan = slim(net, net.example(), **goal.target(), floor=goal.floor, **how, **care)
    return small.to(memory_format=torch.channels_last), plan  # type: ignore[call-overload]


def calibration(job: Job) -> list[tuple[torch.Tensor, ...]]:
    """Views of training faces at the centre crop, spread over the whole split."""
    return [batch.views for batch in job.views("train").spread(job.scale.schedules.calibration)]


def labelled(job: Job, cut: Cut) -> list[tuple[tuple[torch.Tensor, ...], torch.Tensor]] | None:
    """The faces of `calibration` with their labels where the criterion of `cut` looks at the loss, else None."""
    if cut.criterion != "taylor":
        return None
    return [(batch.views, batch.labels) for batch in job.views("train").spread(job.scale.schedules.calibration)]


def _cut_measured(job: Job, goal: Goal, path: Path) -> Plan:
    """The plan; and in `path` the validation predictions right after the cut.

    Three times: the bare cut, then with beta absorbed, then with batch norms recalibrated too.
    """
    steps = {"cut": {"absorb": False, "calibrate": None}, "absorbed": {"calibrate": None}, "recalibrated": {}}
    validation = job.views("validation")
    made = {name: cut_network(job, goal, **care) for name, care in steps.items()}
    after = {name: accuracy.digits(predicted(small, validation)) for name, (small, _) in made.items()}
    write_atomic(path, records.dumps(after))
    return made["recalibrated"][1]


def after_cut(job: Job, stage: Stage) -> dict[str, accuracy.Accuracy] | None:
    """Validation accuracy right after the last cut, step by step; None where nothing was cut in this stage."""
    if not (stage.folder / CUT).exists():
        return None
    truth = np.asarray(job.data.validation.labels)
    told = stage.after_cut.items()
    return {name: accuracy.score(accuracy.from_digits(text), truth, job.data.classes) for name, text in told}
