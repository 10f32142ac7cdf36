"""fit(): the one training loop. Dense, sparse and fine-tuning differ in the loss terms and the penalty they hand in.

A run is a pure function of (weights, batches, objective, config): every epoch reseeds from (seed, epoch), and the state
is written atomically after every epoch, so a killed run continues and ends with the same weights. Started by torchrun,
every process takes its rows of the same batches, and a run continues with any number of processes.
"""

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from contextlib import AbstractContextManager, nullcontext
from copy import deepcopy
from functools import partial
from itertools import islice
from numbers import Real
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from compress.calling import inputs_of
from compress.files import must_be_writable
from compress.training import processes
from compress.training.progress import EpochBar, Silent
from compress.training.schedule import TrainConfig, learning_rate
from compress.training.state import History, Run

Batch = Sequence[Any]
"""(inputs, targets, ...): inputs are one tensor or a tuple of them, and the network is called with them. What else is
there is the objective's affair."""


@runtime_checkable
class Batches(Protocol):
    """Training batches of an epoch, the same for the same epoch. `__len__` is the number of batches.

    Of several processes all get the same batches, and the loop takes each one's rows; unless the attribute `shared` is
    true: then `epoch` gives this process's rows alone.
    """

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
    batch_norm: str = "local",
    about: str = "",
) -> tuple[nn.Module, nn.Module, History]:
    """Trains `net` in place.

    Args:
        objective: loss terms by name from the network's output and the batch.
        penalty: acts on the weights before and after every optimiser step.
        monitor: measured after every epoch; the epoch with the best "validation" is chosen.
        state: file written after every epoch; when it exists, training continues from it.
        batch_norm: of several processes, one of `processes.BATCH_NORMS`.
        about: what else tells this training from others; a state file with another text is refused.
    Returns:
        (chosen, last, history): networks of the chosen and of the last epoch, in eval mode; one object where the last
        epoch was chosen, and `net` itself for the last one unless `config.ema` averages.
    Raises:
        ValueError: `state` is damaged, belongs to another configuration or cannot be written; batches of another form.
        FloatingPointError: a loss term became NaN or infinite; the sentence names it.
        ConnectionError: another process of several is gone.
    """
    if state is not None:
        processes.from_first(lambda: must_be_writable(state))
    run, bar = Run(net, batches, config, state, about), bar or Silent()
    run.restore()
    run.agree()
    with _searching(), processes.watched(), processes.parallel(net, batch_norm) as run.trained:
        _train(run, batches, objective, penalty, monitor, bar if processes.rank() == 0 else Silent())
    chosen = last = run.measured.eval()
    if run.history.chosen_epoch != len(run.history.epochs) - 1:
        chosen = deepcopy(last)
        chosen.load_state_dict(run.best)
    return chosen, last, run.history


def _train(
    run: Run,
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
        losses, images = _epoch(run, _own(batches, epoch), objective, penalty, bar)
        run.agree()
        seconds = time.perf_counter() - start
        entry: dict[str, Any] = {"epoch": epoch, "lr": run.optimizer.param_groups[0]["lr"], "losses": losses}
        entry |= {"seconds": round(seconds, 2), "images": images, "validation": None}
        entry |= _measures(monitor(run.measured)) if monitor else {}
        entry = processes.from_first(partial(dict, entry))
        run.keep_best(entry)
        run.history.epochs.append(entry)
        run.next_epoch = epoch + 1
        total = sum(e["seconds"] for e in run.history.epochs)
        run.history.images_per_s = round(sum(e["images"] for e in run.history.epochs) / max(total, 1e-9), 1)
        processes.from_first(run.save)
        bar.done(entry)


def _measures(said: Any) -> dict[str, Any]:
    """What a monitor said.

    Raises:
        ValueError: it is no dictionary, or "validation" in it is no number.
    """
    if not isinstance(said, dict) or not isinstance(said.get("validation", 0.0), (Real, Tensor)):
        raise ValueError(f'monitor gives {said!r}: give a dictionary of numbers, like {{"validation": 0.9}}')
    return said


def _own(batches: Batches, epoch: int) -> Iterator[tuple[Batch, int]]:
    """This process's rows of every batch, and how many of them count.

    A batch without `processes.enough` rows is computed whole by all and counts for the first one.

    Raises:
        ValueError: processes have different numbers of batches.
    """
    if len(set(counts := processes.gathered(len(batches)))) > 1:
        raise ValueError(f"processes have {counts} batches: give each as many, as a DistributedSampler does")
    shared = processes.world() == 1 or getattr(batches, "shared", False)
    for batch in batches.epoch(epoch):
        size = size_of(batch)
        if shared:
            yield batch, size
        elif not processes.enough(size):
            yield batch, 0 if processes.rank() else size
        else:
            rows = processes.own_rows(size)
            yield [_cut(part, rows, size) for part in batch], len(range(size)[rows])


def _cut(part: Any, rows: slice, size: int) -> Any:
    """`rows` of what has a row for each of `size` examples."""
    if isinstance(part, tuple):
        return tuple(_cut(each, rows, size) for each in part)
    return part[rows] if isinstance(part, (Tensor, list)) and len(part) == size else part


def _searching() -> AbstractContextManager[Any]:
    """cuDNN tries its algorithms once for every shape: batches of an epoch have two. Nothing where no GPU is."""
    return torch.backends.cudnn.flags(enabled=True, benchmark=True) if torch.cuda.is_available() else nullcontext()


def _epoch(
    run: Run,
    batches: Iterable[tuple[Batch, int]],
    objective: Objective,
    penalty: Penalty | None,
    bar: EpochBar | Silent,
) -> tuple[dict[str, float], int]:
    """One pass over the batches, each with its count of images.

    Returns the mean of every loss term, weighted by images, and the number of images.
    """
    seed = run.config.seed * 1_000_003 + run.next_epoch
    torch.manual_seed(seed)  # dropout repeats after a resume
    run.net.train()
    sums: dict[str, Tensor] = {}
    images, step = 0, run.next_epoch * run.steps_per_epoch
    for number, group in enumerate(_grouped(batches, run.config.accumulate)):
        lr = learning_rate(run.config, step + number, run.config.epochs * run.steps_per_epoch)
        progress = (step + number) / (run.config.epochs * run.steps_per_epoch)
        for settings in run.optimizer.param_groups:
            settings["lr"] = lr
        run.optimizer.zero_grad(set_to_none=True)
        total = int(processes.summed(torch.tensor(sum(count for _, count in group))))
        for last, (batch, count) in enumerate(group, 1 - len(group)):
            share = count * processes.world() / total
            place = (number + 1) * run.config.accumulate + last
            with processes.own_chance(seed * 1_000_003 + place), run.averaging(last == 0):
                terms = _backward(run, batch, objective, share)
            for name, term in terms.items():
                sums[name] = sums.get(name, torch.zeros((), device=term.device)) + term.detach() * count
        _step(run, penalty, lr, progress)
        images += total
        bar.advance(len(group), images, lr)
    means = {name: (processes.summed(value) / images).item() for name, value in sums.items()}
    if bad := [name for name, value in means.items() if not math.isfinite(value)]:
        raise FloatingPointError(
            f"epoch {run.next_epoch}: loss {bad} is not finite; lower lr={run.config.lr} or turn bf16 off"
        )
    return means, images


def _backward(run: Run, batch: Batch, objective: Objective, share: float) -> dict[str, Tensor]:
    inputs = inputs_of(batch[0])
    with autocast(inputs[0].device.type, run.config.bf16):
        output = run.trained(*inputs)
    terms = objective(output, batch)
    sum(terms.values(), torch.zeros((), device=inputs[0].device)).mul(share).backward()
    return terms


def _step(run: Run, penalty: Penalty | None, lr: float, progress: float) -> None:
    if penalty is not None:
        penalty.before_step(lr, progress)
    run.optimizer.step()
    if penalty is not None:
        penalty.after_step(lr, progress)
    run.follow()


def size_of(batch: Batch) -> int:
    """Examples in a batch: one target each.

    Raises:
        ValueError: the batch is of another form.
    """
    if not isinstance(batch, Sequence) or len(batch) < 2:
        raise ValueError(
            f"a batch is a {type(batch).__name__}: (inputs, targets) are needed, as a DataLoader gives them"
        )
    if not isinstance(batch[1], Sized):
        raise ValueError(f"targets are a {type(batch[1]).__name__}: give one for each example, like a tensor (b,)")
    if not len(batch[1]):
        raise ValueError("a batch holds no example: leave it out")
    return len(batch[1])


def autocast(device: str, bf16: bool) -> AbstractContextManager[Any]:
    """bf16 autocast on `device` ("cpu" or "cuda"), or nothing where it is not asked for or would not be faster."""
    return torch.autocast(device, torch.bfloat16) if bf16 and has_bf16(device) else nullcontext()


def has_bf16(device: str) -> bool:
    """Whether `device` computes in bf16. Processors without AVX-512 only imitate it, ten times slower than float32."""
    return device != "cpu" or bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def _grouped(batches: Iterable[tuple[Batch, int]], size: int) -> Iterator[list[tuple[Batch, int]]]:
    given = iter(batches)
    while group := list(islice(given, size)):
        yield group
