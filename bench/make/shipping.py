"""The last two trainings of the network that ships: recovery from the cut on soft targets, then on firmer ones, among
faces as bad cameras show them."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor, nn
from torch.nn import functional

from bench.make.cuts import ALIGN
from bench.make.recipes import dense_stage, say
from bench.make.stages import EpochBatches, Job, predicted
from bench.measure import accuracy
from compress import slim
from compress.slimming.finetune import distillation
from compress.slimming.plan import Plan
from compress.training.loop import autocast, fit
from compress.training.progress import EpochBar
from compress.training.schedule import TrainConfig
from fermodels.data.base import Dataset, Split
from fermodels.data.likeness import grey
from fermodels.nets.vgg import Output
from fermodels.training.augmentation import Augmentation
from fermodels.training.views import Batch, Views

RATIO = 0.5
RECOVER = TrainConfig(epochs=24, batch=128, lr=0.05, nesterov=True, warmup_epochs=0.5, ema=0.998)
SETTLE = TrainConfig(epochs=36, batch=128, lr=0.05, nesterov=True, warmup_epochs=0.5, ema=0.998)
TEMPERATURE, DISTIL = 3.0, 0.5
BALANCE = 0.5
"""0: a label counts as often as it occurs; 1: all count alike (logit adjustment, Menon et al. 2021)."""
FIRM = 0.5
"""Weight of the label beside the soft target while the network settles."""
TURNED = 20.0
"""Degrees by which half of the faces are turned at most while the network settles."""
COARSE, BLURRED = (0.15, 0.6), (0.01, 0.04)
"""How a bad camera shows a face: through so many pixels, blurred by so much, both as shares of its side."""
SCORED_LABELLED = 2048
"""Training faces that Taylor scores are measured on."""
Measure = Callable[[nn.Module], dict[str, float]]


@dataclass(frozen=True, kw_only=True)
class Faces:
    """Training faces of both sets, grey, with their targets."""

    split: Split
    targets: Float32[np.ndarray, "n classes"]
    told: dict[str, int]
    """What was left out and what was added, for the model card."""


class SoftBatches(EpochBatches):
    """Training batches whose targets are distributions."""

    def __init__(
        self, views: Views, targets: np.ndarray, batch: int, seed: int, worse: bool = False, **changes: Any
    ) -> None:
        """`worse`: a quarter of the faces are `seen_badly`."""
        super().__init__(views, batch, seed, **changes)
        views.labels = torch.arange(len(views))
        self.targets, self.worse = torch.from_numpy(targets), worse

    def epoch(self, epoch: int) -> Iterator[Batch]:
        random = torch.Generator().manual_seed(self.seed * 1_000_003 + epoch)
        for batch in super().epoch(epoch):
            views = tuple(seen_badly(view, random) for view in batch.views) if self.worse else batch.views
            yield batch._replace(views=views, labels=self.targets[batch.labels])


def seen_badly(faces: Float32[Tensor, "b c s s"], random: torch.Generator) -> Float32[Tensor, "b c s s"]:
    """The faces of a shuffled batch, the first eighth through few pixels, the next eighth blurred."""
    faces, side, part = faces.clone(), faces.shape[-1], len(faces) // 16
    for number, (low, high) in enumerate((COARSE, COARSE, BLURRED, BLURRED)):
        own = slice(number * part, (number + 1) * part)
        much = (low + (high - low) * torch.rand((), generator=random).item()) * side
        if part:
            faces[own] = _blurred(faces[own], much) if number > 1 else _coarse(faces[own], round(much))
    return faces


def _coarse(faces: Tensor, pixels: int) -> Tensor:
    few = functional.interpolate(faces, (pixels, pixels), mode="area")
    return functional.interpolate(few, faces.shape[-2:], mode="bilinear")


def _blurred(faces: Tensor, sigma: float) -> Tensor:
    reach = math.ceil(3 * sigma)
    steps = torch.arange(-reach, reach + 1, device=faces.device)
    weights = torch.softmax(-(steps**2) / (2 * sigma**2), 0)
    kernel = (weights[:, None] * weights).expand(faces.shape[1], 1, -1, -1)
    return functional.conv2d(functional.pad(faces, (reach,) * 4, "replicate"), kernel, groups=faces.shape[1])


def recovered(job: Job, faces: Faces, photographs: Dataset, state: Path) -> tuple[nn.Module, Plan]:
    """The dense network cut and trained on, and the plan of the cut."""
    dense = dense_stage(job).net()
    views = job.views_of(faces.split)
    labelled = [(batch.views, batch.labels) for batch in job.views("train").spread(SCORED_LABELLED)]
    small, plan = slim(
        dense,
        dense.example(),  # type: ignore[call-overload]
        ratio=RATIO,
        criterion="taylor",
        align=ALIGN,
        labelled=labelled,
        calibrate=[one for one, _ in labelled],
    )
    say(f"cut to {1 - plan.removed:.0%} of the channels, {plan.params_after:,} parameters, {plan.macs_after:,} MACs")
    teacher = dense.to(memory_format=torch.channels_last).requires_grad_(False)  # type: ignore[call-overload]
    pull = distillation(teacher, temperature=TEMPERATURE, weight=DISTIL)

    def objective(output: Output, batch: Batch) -> dict[str, Tensor]:
        logits = output.logits[0].float()
        with autocast(job.device, RECOVER.bf16):
            distilled = pull(output, batch.views)
        return {"cross_entropy": functional.cross_entropy(logits, batch.labels), "distillation": distilled}

    batches = SoftBatches(views, faces.targets, RECOVER.batch, job.seed, augmentation=job.scale.schedules.augmentation)
    small = small.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    chosen, _, _ = fit(
        small, batches, objective, RECOVER, monitor=monitor_of(job, photographs), state=state, bar=EpochBar("shipped")
    )
    return locked_to_grey(chosen), plan


def settled(job: Job, net: nn.Module, faces: Faces, photographs: Dataset, state: Path) -> nn.Module:
    """`net`, trained on among faces that are seen badly, its targets nearer to the labels, rare ones counting more."""
    classes = len(job.data.classes)
    counts = np.bincount(np.asarray(faces.split.labels), minlength=classes)
    prior = torch.from_numpy(np.log(np.maximum(counts, 1) / counts.sum())).float()

    def objective(output: Output, batch: Batch) -> dict[str, Tensor]:
        logits = output.logits[0].float()
        return {"cross_entropy": functional.cross_entropy(logits + BALANCE * prior.to(logits.device), batch.labels)}

    targets = np.eye(classes, dtype=np.float32)[np.asarray(faces.split.labels)]
    targets = FIRM * targets + (1 - FIRM) * faces.targets
    changes = {"augmentation": Augmentation(rotation=TURNED), "worse": True}
    batches = SoftBatches(job.views_of(faces.split), targets, SETTLE.batch, job.seed, **changes)
    net = net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    how: dict[str, Any] = {"monitor": monitor_of(job, photographs), "state": state, "bar": EpochBar("settled")}
    return locked_to_grey(fit(net, batches, objective, SETTLE, **how)[0])


def monitor_of(job: Job, photographs: Dataset) -> Measure:
    """What decides on the epoch, on validation: FER2013's accuracy and class mean, and the accuracy on photographs.

    The photographs' class mean does not: it hangs on ten sad faces.
    """
    held, truth = photographs_of(photographs, "validation", job.data.classes)
    sets = (job.views("validation"), np.asarray(job.data.validation.labels)), (job.views_of(held), truth)

    def monitor(net: nn.Module) -> dict[str, float]:
        with autocast(job.device, True):
            answers = [predicted(net, view) for view, _ in sets]
        own, theirs = (accuracy.score(a, y, job.data.classes) for a, (_, y) in zip(answers, sets, strict=True))
        shares = {"own": own.overall, "own_class_mean": own.class_mean, "photographs": theirs.overall}
        told = {"photographs_class_mean": theirs.class_mean, "validation": sum(shares.values()) / len(shares)}
        return shares | told

    return monitor


def grey_only(split: Split) -> Split:
    """`split` as grey pictures."""
    return replace(split, images=np.rint(grey(np.asarray(split.images)))[..., None].astype(np.uint8), landmarks=None)


def locked_to_grey(net: nn.Module) -> nn.Module:
    """`net`, changed in place: a colour picture gives what its luminance does, a grey one what it gave before."""
    first = next(module for module in net.modules() if isinstance(module, nn.Conv2d))
    with torch.no_grad():
        total = first.weight.sum(1, keepdim=True)
        first.weight.copy_(total * torch.tensor((0.299, 0.587, 0.114)).view(1, 3, 1, 1))
    return net


def photographs_of(photographs: Dataset, split: str, classes: Sequence[str]) -> tuple[Split, np.ndarray]:
    """Grey faces of a split and their labels in the order of `classes`."""
    into = np.array([classes.index(name) for name in photographs.classes])
    own = photographs.splits[split]
    return grey_only(own), into[np.asarray(own.labels)]
