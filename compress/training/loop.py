"""fit(): the one training loop. Dense, sparse and fine-tuning differ in the loss terms and the penalty they hand in.

A run is a pure function of (weights, batches, objective, config): every epoch reseeds from (seed, epoch), and the state
is written atomically after every epoch, so a killed run continues and ends with the same weights.
"""

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from copy import deepcopy
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from compress.files import atomic_path, digest
from compress.training.progress import EpochBar, Silent
from compress.training.schedule import TrainConfig, learning_rate, optimizer_for

Batch = Sequence[Any]
"""(inputs, targets, ...): inputs are one tensor or a tuple of them, and the network is called with them. What else is
there is the objective's affair."""


@runtime_checkable
class Batches(Protocol):
    """Training batches of an epoch, the same for the same epoch. `__len__` is the number of batches."""

    def __len__(self) -> int: ...

    def epoch(self, epoch: int) -> Iterable[Batch]: ...


@runtime_checkable
class Penalty(Protocol):
    """What acts on weights around the optimiser's step (sparsity). `progress` runs from 0 to 1 over the training."""

    def before_step(self, lr: float, progress: float) -> None: ...

    def after_step(self, lr: float, progress: float) -> None: ...


Objective = Callable[[Any, Any], dict[str, Tensor]]
"""(output of the network, batch) -> loss terms by name; their sum is minimised and each is logged."""
Monitor = Callable[[nn.Module], dict[str, float]]
"""Measured after every epoch; "validation" (higher is better) chooses the epoch."""


@dataclass
class History:
    """What happened: one entry per epoch, and which one was chosen."""

    epochs: list[dict[str, Any]]
    images_per_s: float = 0.0
    chosen_epoch: int = -1


class _Run:
    """The changing state of one `fit`: weights, optimiser, average, history, next epoch; saved and restored whole."""

    def __init__(self, net: nn.Module, batches: Batches, config: TrainConfig, state: Path | None) -> None:
        self.net, self.config, self.state = net, config, state
        self.optimizer = optimizer_for(net, config)
        self.average = deepcopy(net).requires_grad_(False) if config.ema else None
        self.history = History([])
        self.best: dict[str, Tensor] = {}
        self.next_epoch = 0
        self.steps_per_epoch = math.ceil(len(batches) / config.accumulate)
        self.key = digest([asdict(config), [list(p.shape) for p in net.parameters()]])

    @property
    def measured(self) -> nn.Module:
        return self.average or self.net

    def restore(self) -> None:
        if self.state is None or not self.state.exists():
            return
        try:
            saved = torch.load(self.state, weights_only=True)
        except Exception as error:  # whatever torch says of a damaged file, the mend is the same
            raise ValueError(f"{self.state} cannot be read ({error}); delete it to train from the start") from error
        if saved["key"] != self.key:
            raise ValueError(f"{self.state} belongs to another configuration or network; delete it to train anew")
        self.net.load_state_dict(saved["net"])
        self.optimizer.load_state_dict(saved["optimizer"])
        if self.average is not None:
            self.average.load_state_dict(saved["average"])
        self.history, self.best, self.next_epoch = History(**saved["history"]), saved["best"], saved["next_epoch"]

    def save(self) -> None:
        if self.state is None:
            return
        saved = {"key": self.key, "net": self.net.state_dict(), "optimizer": self.optimizer.state_dict()}
        saved["average"] = None if self.average is None else self.average.state_dict()
        saved |= {"history": asdict(self.history), "best": self.best, "next_epoch": self.next_epoch}
        with atomic_path(self.state) as temporary:
            torch.save(saved, temporary)

    def keep_best(self, entry: dict[str, Any]) -> None:
        """Ties go to the later epoch: it has been trained longer."""
        scores = [e.get("validation") for e in self.history.epochs]
        score = entry.get("validation")
        if score is None or all(s is None or score >= s for s in scores):
            self.best = {k: v.detach().cpu().clone() for k, v in self.measured.state_dict().items()}
            self.history.chosen_epoch = entry["epoch"]


def fit(  # noqa: PLR0913 - what, on what, towards what, how; the rest are optional services
    net: nn.Module,
    batches: Batches,
    objective: Objective,
    config: TrainConfig,
    *,
    penalty: Penalty | None = None,
    monitor: Monitor | None = None,
    state: Path | None = None,
    bar: EpochBar | Silent | None = None,
) -> tuple[nn.Module, nn.Module, History]:
    """Trains `net` in place.

    Args:
        objective: loss terms by name from the network's output and the batch.
        penalty: acts on the weights before and after every optimiser step.
        monitor: measured after every epoch; the epoch with the best "validation" is chosen.
        state: file written after every epoch; when it exists, training continues from it.
    Returns:
        (chosen, last, history): networks of the chosen and of the last epoch, in eval mode.
    Raises:
        ValueError: `state` belongs to another configuration.
        FloatingPointError: a loss term became NaN or infinite; the sentence names it.
    """
    run, bar = _Run(net, batches, config, state), bar or Silent()
    run.restore()
    with _searching():
        _train(run, batches, objective, penalty, monitor, bar)
    last = deepcopy(run.measured)
    chosen = deepcopy(last)
    chosen.load_state_dict(run.best)
    return chosen.eval(), last.eval(), run.history


def _train(
    run: _Run,
    batches: Batches,
    objective: Objective,
    penalty: Penalty | None,
    monitor: Monitor | None,
    bar: EpochBar | Silent,
) -> None:
    """The epochs that are left; the state is saved after each."""
    config = run.config
    while run.next_epoch < config.epochs:
        epoch, start = run.next_epoch, time.perf_counter()
        bar.start(epoch, config.epochs, len(batches))
        losses, images = _epoch(run, batches.epoch(epoch), objective, penalty, bar)
        seconds = time.perf_counter() - start
        entry: dict[str, Any] = {"epoch": epoch, "lr": run.optimizer.param_groups[0]["lr"], "losses": losses}
        entry |= {"seconds": round(seconds, 2), "images": images, "validation": None}
        entry |= monitor(run.measured) if monitor else {}
        run.keep_best(entry)
        run.history.epochs.append(entry)
        run.next_epoch = epoch + 1
        total = sum(e["seconds"] for e in run.history.epochs)
        run.history.images_per_s = round(sum(e["images"] for e in run.history.epochs) / max(total, 1e-9), 1)
        run.save()
        bar.done(entry)


def _searching() -> AbstractContextManager[Any]:
    """cuDNN tries its algorithms once for every shape: batches of an epoch have two. Nothing where no GPU is."""
    return torch.backends.cudnn.flags(enabled=True, benchmark=True) if torch.cuda.is_available() else nullcontext()


def _epoch(
    run: _Run, batches: Iterable[Batch], objective: Objective, penalty: Penalty | None, bar: EpochBar | Silent
) -> tuple[dict[str, float], int]:
    """One pass over the batches; mean of every loss term (weighted by images) and the number of images."""
    torch.manual_seed(run.config.seed * 1_000_003 + run.next_epoch)  # dropout repeats after a resume
    run.net.train()
    sums: dict[str, Tensor] = {}
    images, step = 0, run.next_epoch * run.steps_per_epoch
    for number, group in enumerate(_grouped(batches, run.config.accumulate)):
        lr = learning_rate(run.config, step + number, run.config.epochs * run.steps_per_epoch)
        progress = (step + number) / (run.config.epochs * run.steps_per_epoch)
        for settings in run.optimizer.param_groups:
            settings["lr"] = lr
        run.optimizer.zero_grad(set_to_none=True)
        total = sum(size_of(batch) for batch in group)
        for batch in group:
            terms = _backward(run, batch, objective, size_of(batch) / total)
            for name, term in terms.items():
                sums[name] = sums.get(name, torch.zeros((), device=term.device)) + term.detach() * size_of(batch)
        _step(run, penalty, lr, progress)
        images += total
        bar.advance(len(group), images, lr)
    means = {name: (value / images).item() for name, value in sums.items()}
    if bad := [name for name, value in means.items() if not math.isfinite(value)]:
        raise FloatingPointError(
            f"epoch {run.next_epoch}: loss {bad} is not finite; lower lr={run.config.lr} or turn bf16 off"
        )
    return means, images


def _backward(run: _Run, batch: Batch, objective: Objective, share: float) -> dict[str, Tensor]:
    inputs = inputs_of(batch)
    with autocast(inputs[0].device.type, run.config.bf16):
        output = run.net(*inputs)
    terms = objective(output, batch)
    torch.stack(list(terms.values())).sum().mul(share).backward()
    return terms


def _step(run: _Run, penalty: Penalty | None, lr: float, progress: float) -> None:
    if penalty is not None:
        penalty.before_step(lr, progress)
    run.optimizer.step()
    if penalty is not None:
        penalty.after_step(lr, progress)
    if run.average is not None:
        with torch.no_grad():
            pairs = zip(run.average.state_dict().values(), run.net.state_dict().values(), strict=True)
            for mean, value in pairs:
                if mean.is_floating_point():
                    mean.lerp_(value, 1 - run.config.ema)
                else:
                    mean.copy_(value)


def inputs_of(batch: Batch) -> tuple[Tensor, ...]:
    """What the network is called with."""
    return (batch[0],) if isinstance(batch[0], Tensor) else tuple(batch[0])


def size_of(batch: Batch) -> int:
    """Examples in a batch: one target each."""
    return len(batch[1])


def autocast(device: str, bf16: bool) -> AbstractContextManager[Any]:
    """bf16 autocast on `device` ("cpu" or "cuda"), or nothing."""
    return torch.autocast(device, torch.bfloat16) if bf16 else nullcontext()


def _grouped(batches: Iterable[Batch], size: int) -> Iterator[list[Batch]]:
    group: list[Batch] = []
    for batch in batches:
        group.append(batch)
        if len(group) == size:
            yield group
            group = []
    if group:
        yield group
