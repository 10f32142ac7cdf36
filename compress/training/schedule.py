"""Settings of a training, and what follows from them alone: the learning rate of every step, the optimiser.

Separate from the loop, because the travel budget of the sparsity penalties is computed from the same schedule.
"""

import math
from dataclasses import asdict, dataclass, fields, replace
from numbers import Real
from typing import Any

import torch
from torch import nn

OPTIMIZERS = ("sgd", "adam")
SCHEDULES = ("cosine", "step", "constant")


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """Settings of one call of `fit`."""

    epochs: int
    batch: int = 128
    """Images per forward pass."""
    accumulate: int = 1
    """Forward passes per optimiser step; the effective batch is `batch * accumulate`."""
    optimizer: str = "sgd"
    lr: float = 0.05
    momentum: float = 0.9
    """SGD's momentum, Adam's beta1."""
    nesterov: bool = False
    """SGD with Nesterov's momentum."""
    weight_decay: float = 5e-4
    """Applied to convolution and linear weights; never to batch norm and biases."""
    schedule: str = "cosine"
    """Per step: "cosine" to 0, "step" (x `step_factor` every `step_epochs` epochs), or "constant"."""
    warmup_epochs: float = 0.0
    step_epochs: int = 20
    step_factor: float = 0.1
    label_smoothing: float = 0.0
    ema: float = 0.0
    """Decay per step of an exponential moving average of the weights, which is then what is validated; 0: off."""
    bf16: bool = True
    """Forward under bf16 autocast, on devices that compute in it."""
    seed: int = 0

    def __post_init__(self) -> None:
        for each in fields(self):
            value = getattr(self, each.name)
            if each.type in (int, float) and not (isinstance(value, Real) and math.isfinite(value)):
                raise ValueError(f"{each.name}={value!r}: give a finite number")
        for name, allowed in (("optimizer", OPTIMIZERS), ("schedule", SCHEDULES)):
            if getattr(self, name) not in allowed:
                raise ValueError(f'{name}="{getattr(self, name)}": allowed are {", ".join(allowed)}')
        for name in ("epochs", "batch", "accumulate", "step_epochs"):
            if not isinstance(getattr(self, name), int) or getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)}: a whole number, at least 1")
        if not 0 < self.lr < math.inf or not 0 <= self.momentum < 1 or not 0 <= self.weight_decay < math.inf:
            told = f"lr={self.lr}, momentum={self.momentum}, weight_decay={self.weight_decay}"
            raise ValueError(f"{told}: above 0; from 0 to below 1; 0 or more")
        if not 0 <= self.ema < 1 or not 0 <= self.label_smoothing < 1 or self.warmup_epochs < 0:
            told = f"ema={self.ema}, label_smoothing={self.label_smoothing}, warmup_epochs={self.warmup_epochs}"
            raise ValueError(f"{told}: from 0 to below 1; likewise; 0 or more")

    def described(self) -> dict[str, Any]:
        """Every setting by name; one that older trainings did not have is left out where it is off."""
        return {name: value for name, value in asdict(self).items() if value or name != "nesterov"}


def stretched(config: TrainConfig, length: float) -> TrainConfig:
    """The same schedule over `length` times as many epochs, at least one; its warm-up is stretched with it."""
    if length == 1:
        return config
    epochs = max(1, round(length * config.epochs))
    return replace(config, epochs=epochs, warmup_epochs=config.warmup_epochs * epochs / config.epochs)


def learning_rate(config: TrainConfig, step: int, steps: int) -> float:
    """The learning rate of step 0 .. `steps` - 1 (`steps` optimiser steps in all epochs)."""
    warmup = round(config.warmup_epochs * steps / config.epochs)
    if step < warmup:
        return config.lr * (step + 1) / warmup
    if config.schedule == "cosine":
        return config.lr * 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))
    epoch = step * config.epochs // steps
    return config.lr * (config.step_factor ** (epoch // config.step_epochs) if config.schedule == "step" else 1.0)


def optimizer_for(net: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    """SGD or Adam; one-dimensional parameters (batch norm, biases) are free of weight decay.

    Decay on gammas would act as a second, unstated penalty beside the sparsity term (slimming).
    """
    decayed = [p for p in net.parameters() if p.ndim > 1]
    free = [p for p in net.parameters() if p.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": config.weight_decay}, {"params": free, "weight_decay": 0.0}]
    fused = True if all(p.is_cuda for p in net.parameters()) else None  # one kernel launch instead of a hundred
    if config.optimizer == "adam":
        return torch.optim.Adam(groups, lr=config.lr, betas=(config.momentum, 0.999), fused=fused)
    return torch.optim.SGD(groups, lr=config.lr, momentum=config.momentum, nesterov=config.nesterov, fused=fused)
