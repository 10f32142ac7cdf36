"""Contrastive pretraining: two views of every face, without labels, through the one training loop (paper 2, eq 1).

A batch holds the first views of its faces, then the second ones; both go through the network together, so that its
batch norms see one distribution. What it learns is watched by a `Probe` where a data set has labels.

>>> net, history = pretrain(fermodels.build("contrastive", size=56, stem_halvings=1), pool, config)
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from compress.training import processes
from compress.training.loop import History, fit
from compress.training.progress import EpochBar, Silent
from compress.training.schedule import TrainConfig
from fermodels.data.unlabelled import Pool
from fermodels.nets.vgg import Output
from fermodels.training.contrast_views import AugmentConfig, augmented
from fermodels.training.losses import nt_xent
from fermodels.training.probe import Probe
from fermodels.training.views import Batch, ViewConfig, on_device


@dataclass(frozen=True, kw_only=True)
class PretrainConfig:
    """Everything that decides a pretraining, beside the network and the faces."""

    train: TrainConfig
    augment: AugmentConfig
    temperature: float = 0.1
    """tau of eq 1 (docs/papers.md, 2.1)."""
    probe_every: int = 5
    """Epochs between two probes; the last epoch has one. 0: never."""

    def __post_init__(self) -> None:
        if self.train.batch < 2 or self.train.accumulate != 1:
            raise ValueError(
                f"batch={self.train.batch}, accumulate={self.train.accumulate}: a face is told from the others of its "
                "batch, so batch is at least 2 and accumulate 1"
            )
        if self.temperature <= 0 or self.probe_every < 0:
            raise ValueError(
                f"temperature={self.temperature}, probe_every={self.probe_every}: above 0, and 0 (never) or more"
            )


class Pairs:
    """Both views of every face of a pool, in batches, as `fit` wants them: a pure function of seed and epoch."""

    def __init__(self, pool: Pool, config: PretrainConfig, device: str = "cpu") -> None:
        self.images = on_device(pool.images, device)
        self.kept = torch.from_numpy(pool.kept).to(device)
        self.config = config
        self.begun = -1
        """The epoch that was begun last."""
        self.shared = True
        if len(self.kept) < 2:
            raise ValueError(
                f"{len(self.kept)} faces: contrastive pretraining tells a face from others, give two or more"
            )

    def __len__(self) -> int:
        whole, rest = divmod(len(self.kept), self.config.train.batch)
        return whole + (rest > 1)

    def epoch(self, epoch: int) -> Iterator[Batch]:
        """Shuffled batches; `views` is one tensor (2 b, 3, s, s), `labels` the b faces' positions among the images.

        Of several processes each gets its faces of every batch; a batch with fewer than two for each is left out.
        """
        self.begun, seed = epoch, self.config.train.seed
        order = torch.randperm(len(self.kept), generator=torch.Generator().manual_seed(seed * 1_000_003 + epoch))
        for some in order.to(self.kept.device).split(self.config.train.batch):
            if not processes.enough(len(some)):
                continue  # a face alone has no other to be told from
            index = self.kept[some[processes.own_rows(len(some))]]
            place = {"seed": seed, "epoch": epoch}
            views = [augmented(self.images, index, self.config.augment, **place, view=view) for view in (0, 1)]
            yield Batch((torch.cat(views),), index, torch.empty(len(index), 1, 0, 0, device=index.device))


def pretrain(  # noqa: PLR0913 - what, on what, how; the rest are services of the loop
    net: nn.Module,
    pool: Pool,
    config: PretrainConfig,
    *,
    device: str = "cpu",
    state: Path | None = None,
    bar: EpochBar | Silent | None = None,
    batch_norm: str = "local",
) -> tuple[nn.Module, History]:
    """Trains `net` ("contrastive") in place on the faces of `pool`.

    Args:
        state: as in `fit`: written after every epoch, continued from when it exists.
        batch_norm: as in `fit`.
    Returns:
        (the network after its last epoch, in evaluation mode; the history, with "knn" and "linear" where probed).
    Raises:
        ValueError: fewer than two faces, or `state` belongs to another network or configuration.
        FloatingPointError: the loss became NaN or infinite.
    """
    pairs = Pairs(pool, config, device)
    net = net.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    probe = _probe(pool, config, device)

    def objective(output: Output, batch: Batch) -> dict[str, Tensor]:
        return {"nt_xent": nt_xent(*output.logits[0].chunk(2), temperature=config.temperature)}

    def monitor(net: nn.Module) -> dict[str, float]:
        return probe(net) if probe is not None and _due(pairs.begun + 1, config) else {}

    services = {"monitor": monitor, "state": state, "bar": bar, "batch_norm": batch_norm}
    _, last, history = fit(net, pairs, objective, config.train, **services)
    return last, history


def claims(pool: Pool, config: PretrainConfig) -> dict[str, Any]:
    """What the checkpoint of an encoder claims (`checkpoint.CLAIMS`): no classes and no accuracy."""
    names = ", ".join(one.name for one in pool.found)
    about = {"classes": None, "accuracy": None, "data": names, "split": "train, without labels", "n": len(pool.kept)}
    return about | {"preprocessing": views_of(config), "stored": pool.images.shape[1]}


def probed(net: nn.Module, pool: Pool, config: PretrainConfig, device: str = "cpu") -> dict[str, float]:
    """What `net` knows now, for comparison: "knn" and "linear", or nothing where nothing is probed."""
    probe = _probe(pool, config, device)
    return probe(net.to(device)) if probe is not None and config.probe_every else {}


def _probe(pool: Pool, config: PretrainConfig, device: str) -> Probe | None:
    return None if pool.labelled is None else Probe.of(pool.labelled, views_of(config), device)


def views_of(config: PretrainConfig) -> ViewConfig:
    """The preprocessing under which the pretrained encoder sees faces as it did in its views."""
    augment = config.augment
    return ViewConfig(size=augment.size, local_size=augment.size // 2, mean=augment.mean, std=augment.std)


def _due(done: int, config: PretrainConfig) -> bool:
    return config.probe_every > 0 and (done % config.probe_every == 0 or done == config.train.epochs)
