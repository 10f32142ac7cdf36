"""`compress.fit`: the training loop for any network and any loader, with the usual loss, a teacher and a penalty.

    history = compress.fit(net, loader, epochs=10, lr=0.05, penalty=Proximal(penalised(net, example), 1e-3))

`compress.training.loop` is the loop itself: it takes any objective, and has no opinion on losses.
"""

from collections.abc import Callable, Iterable, Mapping, Sized
from dataclasses import fields
from pathlib import Path
from typing import Any

from torch import Tensor, nn
from torch.utils.data import DistributedSampler

from compress.calling import Output, first_tensor
from compress.inputs import inputs_from, placement
from compress.slimming.finetune import distillation
from compress.training import processes
from compress.training.loop import Batch, Batches, Monitor, Penalty
from compress.training.loop import fit as loop
from compress.training.losses import cross_entropy, scalar
from compress.training.progress import EpochBar, Silent
from compress.training.schedule import TrainConfig
from compress.training.state import History

Loss = Callable[[Any, Any], Tensor]
"""(what the network returns, targets) -> a scalar."""


def fit(  # noqa: PLR0913 - what users type: every keyword has a default
    net: nn.Module,
    batches: Batches | Iterable[Batch],
    *,
    epochs: int,
    lr: float = 0.05,
    loss: Loss | None = None,
    penalty: Penalty | None = None,
    teacher: nn.Module | None = None,
    output: Output = first_tensor,
    monitor: Monitor | None = None,
    state: Path | str | None = None,
    progress: bool = True,
    batch_norm: str = "local",
    **settings: Any,
) -> History:
    """Trains `net` in place and leaves it in evaluation mode: dense, sparse (`penalty`), or fine-tuned (`teacher`).

    Args:
        batches: (inputs, targets) again and again: a DataLoader, a list, or an object with `epoch(number)` and a
            length. Inputs are a tensor, or a tuple of tensors, one for each argument of the network.
        epochs, lr, settings: of `TrainConfig`, like momentum=0.9, schedule="cosine", weight_decay=5e-4, ema=0.0,
            optimizer="sgd", accumulate=1, seed=0; bf16 is off.
        loss: `loss(what the network returns, targets)`; `cross_entropy` of the logits when None.
        penalty: `Proximal` or `SubGradient` of `compress.slimming.sparsity`.
        teacher: a network whose answers `net` is pulled to, beside the loss (`distillation`).
        output: from what a network returns to its logits; the first tensor in it.
        monitor: `monitor(net) -> {"validation": score, ...}` after every epoch; the weights of the best epoch stay.
        state: file written after every epoch; when it exists, training continues from it.
        progress: a line for every epoch, on a terminal a live one, on standard error.
        batch_norm: under torchrun, statistics of each process's own rows ("local", also on a CPU) or of all rows
            ("synchronised", on CUDA devices).

    A program that `torchrun` starts trains with all its processes: give each the same batches, of which it takes its
    rows, or a DataLoader with a `DistributedSampler`. The first process measures (`monitor` runs in all, its answer
    counts), writes and tells.

    Returns:
        losses, seconds and measures of every epoch, and which one was chosen.

    Raises:
        ValueError: a setting, a loader or a state file that cannot be used; the sentence says why and how to mend it.
        FloatingPointError: a loss became NaN or infinite.
        ConnectionError: another process of several is gone.

    >>> net = torch.nn.Sequential(torch.nn.Conv2d(3, 16, 3), torch.nn.BatchNorm2d(16), torch.nn.Flatten(),
    ...     torch.nn.Linear(576, 2))
    >>> batches = [(torch.randn(8, 3, 8, 8), torch.randint(0, 2, (8,))) for _ in range(4)]
    >>> history = fit(net, batches, epochs=2, lr=0.01, progress=False)
    >>> [entry["images"] for entry in history.epochs]
    [32, 32]
    """
    processes.join()
    config = _config(epochs=epochs, lr=lr, **settings)
    _check(net, penalty, {"loss": loss, "output": output, "monitor": monitor})
    if not any(parameter.requires_grad for parameter in net.parameters()):
        raise ValueError("no parameter of this network is trained: set requires_grad_(True) on what shall learn")
    chosen, _, history = loop(
        net,
        batches if isinstance(batches, Batches) else _Loader(batches, net),
        _objective(loss, teacher, output, config),
        config,
        penalty=penalty,
        monitor=monitor,
        state=None if state is None else Path(state),
        bar=EpochBar("fit") if progress else Silent(),
        batch_norm=batch_norm,
        about=f"{_told(penalty)}, teacher: {teacher is not None}",
    )
    net.load_state_dict(chosen.state_dict())
    net.eval()
    return history


def _check(net: Any, penalty: Any, functions: Mapping[str, Any]) -> None:
    """Raises ValueError for what is of another kind than a training needs."""
    if not isinstance(net, nn.Module):
        raise ValueError(f"net is a {type(net).__name__}: give a torch.nn.Module")
    for name, given in functions.items():
        if given is not None and not callable(given):
            raise ValueError(f"{name}={given!r}: give a function")
    if penalty is None:
        return
    if not isinstance(penalty, Penalty):
        raise ValueError(f"penalty={penalty!r}: give one, like Proximal(penalised(net, example), 1e-3)")
    own = {id(weight) for weight in net.parameters()}
    gammas = getattr(penalty, "gammas", None)
    if gammas is not None and not (gammas and all(id(gamma) in own for gamma in gammas)):
        raise ValueError(
            "penalty= acts on no weight, or on another network's: give penalised(net, example) of this one"
        )


class _Loader:
    """A loader as the loop wants it: batches on the device of the network."""

    def __init__(self, batches: Any, net: nn.Module) -> None:
        if not isinstance(batches, Iterable) or not isinstance(batches, Sized) or isinstance(batches, (str, dict)):
            raise ValueError(f"batches is a {type(batches).__name__}: give a DataLoader with a length, or a list")
        if not len(batches):
            raise ValueError("batches is empty: give at least one batch (inputs, targets)")
        self.batches, self.net = batches, net
        sampler = getattr(batches, "sampler", None)
        self.sampler = sampler if isinstance(sampler, DistributedSampler) else None
        self.shared = self.sampler is not None

    def __len__(self) -> int:
        return len(self.batches)

    def epoch(self, epoch: int) -> Iterable[Batch]:
        """The batches; a DataLoader that shuffles does it by PyTorch's seed, which the loop sets for every epoch."""
        device = placement(self.net)[0]
        if self.sampler is not None:
            self.sampler.set_epoch(epoch)
        for batch in self.batches:
            if not isinstance(batch, (tuple, list)) or len(batch) < 2:
                raise ValueError(f"a batch is a {type(batch).__name__}: give (inputs, targets), as a DataLoader does")
            targets = batch[1].to(device) if isinstance(batch[1], Tensor) else batch[1]
            yield (inputs_from(batch[0], self.net), targets, *batch[2:])


def _told(penalty: Penalty | None) -> str:
    """`penalty` by its name and its numbers."""
    known = getattr(penalty, "__dict__", {})
    numbers = {name: value for name, value in known.items() if isinstance(value, (bool, int, float))}
    return f"penalty: {type(penalty).__name__} {sorted(numbers.items())}"


def _config(**settings: Any) -> TrainConfig:
    known = [field.name for field in fields(TrainConfig)]
    if strange := settings.keys() - set(known):
        raise ValueError(f"{', '.join(sorted(strange))}: no setting of a training; they are {', '.join(known)}")
    off: dict[str, Any] = {"bf16": False}
    return TrainConfig(**off | settings)


def _objective(
    loss: Loss | None, teacher: nn.Module | None, output: Output, config: TrainConfig
) -> Callable[[Any, Batch], dict[str, Tensor]]:
    """The loss, and beside it the teacher's pull."""
    pull = None if teacher is None else distillation(teacher, output=output)

    def objective(answer: Any, batch: Batch) -> dict[str, Tensor]:
        own = scalar(loss(answer, batch[1])) if loss else _usual(output(answer), batch[1], config)
        terms = {"loss": own}
        return terms if pull is None else terms | {"distillation": pull(answer, batch[0])}

    return objective


def _usual(logits: Tensor, targets: Any, config: TrainConfig) -> Tensor:
    if not isinstance(targets, Tensor):
        raise ValueError(f"targets are a {type(targets).__name__}: give tensors, or loss=lambda answer, targets: ...")
    return cross_entropy(logits, targets, smoothing=config.label_smoothing)
