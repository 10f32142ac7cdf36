"""The changing state of a training, and the file it is kept in: a killed run goes on from its last finished epoch."""

import math
from collections.abc import Sized
from contextlib import AbstractContextManager, nullcontext
from copy import deepcopy
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from compress.files import atomic_path, digest
from compress.training import processes
from compress.training.schedule import TrainConfig, optimizer_for


@dataclass
class History:
    """What happened: one entry per epoch, and which one was chosen."""

    epochs: list[dict[str, Any]]
    images_per_s: float = 0.0
    chosen_epoch: int = -1


class Run:
    """The changing state of one `fit`: weights, optimiser, average, history, next epoch; saved and restored whole."""

    def __init__(
        self, net: nn.Module, batches: Sized, config: TrainConfig, state: Path | None, about: str = ""
    ) -> None:
        self.net, self.config, self.state = net, config, state
        self.trained = net
        """What is called in training: `net`, wrapped where several processes train it."""
        self.optimizer = optimizer_for(net, config)
        self.average = deepcopy(net).requires_grad_(False) if config.ema else None
        self.averaged = _pairs(self.average, net) if self.average is not None else []
        self.history = History([])
        self.best: dict[str, Tensor] = {}
        self.next_epoch = 0
        self.steps_per_epoch = math.ceil(len(batches) / config.accumulate)
        self.about = about
        self.key = digest([asdict(config), [list(p.shape) for p in net.parameters()]])

    @property
    def measured(self) -> nn.Module:
        return self.average or self.net

    def agree(self) -> None:
        """Every process has the tensors of the first one: running statistics are of each one's own rows."""
        for net in (self.net, self.average):
            if net is not None:
                processes.same_tensors(net)

    def averaging(self, now: bool) -> AbstractContextManager[None]:
        """Inside the block gradients are averaged over the processes, or left for a later backward pass."""
        if now or not isinstance(self.trained, nn.parallel.DistributedDataParallel):
            return nullcontext()
        return self.trained.no_sync()

    def restore(self) -> None:
        """Goes on where the state file stopped, if there is one.

        Raises:
            ValueError: the file cannot be read, is no state, or belongs to another training; it is named.
        """
        saved = processes.from_first(self._read)
        if saved is not None:
            try:
                self._take(saved)
            except Exception as error:  # a state of other parts fails in many ways
                raise self._damaged(error) from error

    def _read(self) -> dict[str, Any] | None:
        if self.state is None or not self.state.exists():
            return None
        try:
            saved = torch.load(self.state, weights_only=True, map_location="cpu")
            same = saved["key"] == self.key and saved.get("about", self.about) == self.about
        except Exception as error:  # of zipfile, of pickle and of PyTorch: they share no base class
            raise self._damaged(error) from error
        if not same:
            raise ValueError(
                f"{self.state} belongs to another configuration, network, penalty or teacher; delete it to train anew, "
                "or give state= another file"
            )
        return saved

    def _damaged(self, error: Exception) -> ValueError:
        """Whatever torch says of a damaged or foreign file, the mend is the same."""
        reason = f"{type(error).__name__}: {next(iter(str(error).splitlines()), 'no reason')}"
        return ValueError(
            f"{self.state} cannot be read as the state of a training ({reason}); "
            "delete it to train from the start, or give state= another file"
        )

    def _take(self, saved: dict[str, Any]) -> None:
        history, best, next_epoch = History(**saved["history"]), saved["best"], int(saved["next_epoch"])
        self.net.load_state_dict(saved["net"])
        self.optimizer.load_state_dict(saved["optimizer"])
        if self.average is not None:
            self.average.load_state_dict(saved["average"])
        self.history, self.best, self.next_epoch = history, best, next_epoch

    def save(self) -> None:
        if self.state is None:
            return
        saved = {
            "key": self.key,
            "about": self.about,
            "net": self.net.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }
        saved["average"] = None if self.average is None else self.average.state_dict()
        saved |= {"history": asdict(self.history), "best": self.best, "next_epoch": self.next_epoch}
        with atomic_path(self.state) as temporary:
            torch.save(saved, temporary)

    @torch.no_grad()
    def follow(self) -> None:
        """The moving average takes one step towards the network."""
        for mean, value in self.averaged:
            if mean.is_floating_point():
                mean.lerp_(value, 1 - self.config.ema)
            else:
                mean.copy_(value)

    def keep_best(self, entry: dict[str, Any]) -> None:
        """Ties go to the later epoch: it has been trained longer. NaN is worse than any score."""
        scores = [e.get("validation") for e in self.history.epochs]
        score = entry.get("validation")
        if score is None or all(s is None or math.isnan(s) or score >= s for s in scores):
            self.best = {k: v.detach().cpu().clone() for k, v in self.measured.state_dict().items()}
            self.history.chosen_epoch = entry["epoch"]


def _pairs(average: nn.Module, net: nn.Module) -> list[tuple[Tensor, Tensor]]:
    """Every tensor of the average beside that of the network, which the optimiser changes in place."""
    return list(zip(average.state_dict().values(), net.state_dict().values(), strict=True))
