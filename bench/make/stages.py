"""One trained network, cached by the hash of everything that led to it: train, choose on validation, measure once.

A stage is a folder in the cache: `state.pt` while it trains (resumable at every epoch), then the chosen network as a
checkpoint and `outcome.json`. It is done when `outcome.json` exists; deleting the folder repeats it. Whoever makes it
holds its lock, so that two runs in one cache never train the same stage: the second waits and takes what is there.
"""

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

import fermodels
from bench.make import watching
from bench.make.networks import NETWORKS, Network
from bench.make.scale import Scale
from bench.make.stage import OUTCOME, STATE, Stage, stage_by_key
from bench.measure import accuracy
from compress.files import digest, plain, write_atomic
from compress.timing.machine import commit
from compress.training import processes
from compress.training.loop import History, Penalty, autocast, fit, has_bf16
from compress.training.schedule import TrainConfig
from fermodels import checkpoint
from fermodels.data.base import Dataset, Split
from fermodels.nets.vgg import Output
from fermodels.training.losses import cross_entropy, mask_loss
from fermodels.training.views import FIVE_CROPS, Batch, ViewConfig, Views

TRAINING = 1
"""Version of the training code: raised by hand when a change of it moves results, so that nothing trained before is
taken for the same; 1 stands in no key."""
EVALUATION_BATCH = 256
CROPS = {"centre": FIVE_CROPS[:1], "five": FIVE_CROPS}
"""Where the face view is cut at evaluation: the single centre crop, or the paper's centre and corners, averaged."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """One network on one data set at one scale with one seed: what all its cells share."""

    data: Dataset
    scale: Scale
    model: str
    """Name in `bench.make.networks.NETWORKS`, or in `fermodels.handcrafted.FEATURES`, which trains no network."""
    seed: int
    runs: Path
    """Cache of stages; safe to delete."""
    device: str = "cpu"
    crops: str = "centre"
    """One of `CROPS`."""
    imagenet: Path | None = None
    """torchvision's file of weights that a network with `bench.make.networks.Network.imagenet` starts from."""
    unlabelled: tuple[Dataset, ...] = ()
    """More faces for contrastive pretraining: their train splits, labels unused."""
    batch_norm: str = "local"
    """Of several processes, one of `compress.training.processes.BATCH_NORMS`."""

    @property
    def network(self) -> Network:
        return NETWORKS[self.model]

    @property
    def preprocessing(self) -> ViewConfig:
        return self.scale.preprocessing

    @cached_property
    def architecture(self) -> dict[str, Any]:
        """Settings of the unpruned network for `fermodels.build`."""
        return self.network.architecture(self.scale, len(self.data.classes))

    @cached_property
    def fingerprint(self) -> str:
        """`fingerprint_of` the data set."""
        return fingerprint_of(self.data)

    def views(self, split: str) -> Views:
        return self.views_of(self.data.splits[split])

    def views_of(self, split: Split) -> Views:
        """Views of any faces, cut as those of the job's own."""
        inputs = fermodels.MODELS[self.network.model][0].inputs  # type: ignore[attr-defined]
        return Views(split, self.preprocessing, inputs, self.device)

    def fresh(self) -> nn.Module:
        """The unpruned network with its seed's initial weights."""
        torch.manual_seed(self.seed)
        return self.network.build(self.scale, len(self.data.classes))


def fingerprint_of(data: Dataset) -> str:
    """Digest of the pixels and labels of all splits: another file under the same name is another data set."""
    parts = [[np.asarray(split.labels).tobytes().hex(), _crc(split.images)] for split in data.splits.values()]
    return digest([data.name, data.classes, parts])


def _crc(images: np.ndarray) -> int:
    from zlib import crc32

    value = 0
    for start in range(0, len(images), 1024):
        value = crc32(images[start : start + 1024].tobytes(), value)
    return value


class EpochBatches:
    """Training batches of a split, as `fit` wants them."""

    def __init__(self, views: Views, batch: int, seed: int, **changes: Any) -> None:
        """`changes`: what `Views.training` may do to a face, by name."""
        self.views, self.batch, self.seed, self.changes = views, batch, seed, changes
        self.shared = True

    def __len__(self) -> int:
        return math.ceil(len(self.views) / self.batch)

    def epoch(self, epoch: int) -> Any:
        return self.views.training(self.batch, seed=self.seed, epoch=epoch, **self.changes)


Term = Callable[[Output, Batch], Tensor]


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What distinguishes one training from another, beside the network it starts from."""

    name: str
    train: TrainConfig
    settings: dict[str, Any]
    """All further settings that change the outcome (penalty, distillation, origin): part of the cache key."""
    penalty: Callable[[nn.Module], Penalty] | None = None
    """Made for the network at the start of the stage."""
    extra: dict[str, Term] | None = None
    """Further loss terms by name."""
    choose_last: bool = False
    """Take the last epoch, not the best on validation: a sparse stage is not done before its end."""
    parents: Sequence[Stage] = ()
    """What it starts from; the keys of parents stand among `settings`."""


def described(job: Job, recipe: Recipe) -> dict[str, Any]:
    """Everything that decides the outcome of a stage: its digest names the stage."""
    what = {
        "stage": recipe.name,
        "train": replace(recipe.train, seed=job.seed).described(),
        "settings": recipe.settings,
    }
    what |= {"model": job.network.model, "architecture": job.architecture, "views": asdict(job.preprocessing)}
    what |= {"data": job.fingerprint, "mask_weight": job.scale.schedules.mask_weight}
    what |= {"mask_target": job.scale.schedules.mask_target} if "attention_width" in job.architecture else {}
    what |= {"erasing": job.network.erasing} if job.network.erasing else {}
    what |= {"training": TRAINING} if TRAINING > 1 else {}
    what |= {"augmentation": asdict(job.scale.schedules.augmentation)} if job.scale.schedules.augmentation else {}
    return what | ({} if job.crops == "centre" else {"crops": job.crops})


def stage_of(job: Job, recipe: Recipe) -> Stage:
    """Where the stage of `recipe` lies, finished or not."""
    return stage_by_key(job.runs, job.model, recipe.name, digest(described(job, recipe)))


def train_stage(job: Job, recipe: Recipe, start: Callable[[], nn.Module], title: str) -> Stage:
    """The stage of `recipe`: from the cache when it is finished there, else trained, resumed where it stopped."""
    stage = stage_of(job, recipe)
    return stage.once(lambda: _train(job, recipe, stage, start, title), together=True)


def _train(job: Job, recipe: Recipe, stage: Stage, start: Callable[[], nn.Module], title: str) -> None:
    net = processes.from_first(lambda: start().cpu())  # a cut, too, is the same in all processes
    net = net.to(job.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    train, state = replace(recipe.train, seed=job.seed), stage.folder / STATE
    chosen, last, history = fit(
        net,
        EpochBatches(
            job.views("train"),
            train.batch,
            job.seed,
            erasing=job.network.erasing,
            augmentation=job.scale.schedules.augmentation,
        ),
        _objective(job, train, recipe.extra or {}),
        train,
        penalty=recipe.penalty(net) if recipe.penalty else None,
        monitor=_monitor(job, watch_test=train.epochs > 1),
        state=state,
        bar=watching.bar(title),
        batch_norm=job.batch_norm,
    )
    parents = {name: trained for parent in recipe.parents for name, trained in parent.lineage.items()}
    told = {"described": described(job, recipe), "parents": parents}
    trained = (last if recipe.choose_last else chosen, last, history)
    found, on = _final_predictions(job, trained), trained_on(job.device, job.batch_norm)
    processes.from_first(lambda: _finish(job, stage, told | {"trained_on": on}, trained, found))


def _objective(job: Job, train: TrainConfig, extra: dict[str, Term]) -> Callable[[Output, Batch], dict[str, Tensor]]:
    def objective(output: Output, batch: Batch) -> dict[str, Tensor]:
        terms = {"cross_entropy": cross_entropy(output, batch.labels, smoothing=train.label_smoothing)}
        if output.attention is not None and job.scale.schedules.mask_weight:
            terms["mask"] = job.scale.schedules.mask_weight * mask_loss(
                output.attention, batch.mask, target=job.scale.schedules.mask_target
            )
        return terms | {name: term(output, batch) for name, term in extra.items()}

    return objective


def _monitor(job: Job, *, watch_test: bool) -> Callable[[nn.Module], dict[str, Any]]:
    """Validation chooses the epoch; test predictions are kept for the best_on_test column and choose nothing."""
    views = {split: job.views(split) for split in (("validation", "test") if watch_test else ("validation",))}

    def monitor(net: nn.Module) -> dict[str, Any]:
        with autocast(job.device, True):
            found = {split: predicted(net, view) for split, view in views.items()}
        right = (found["validation"] == views["validation"].labels.cpu().numpy()).mean()
        watched = {"test_predictions": accuracy.digits(found["test"])} if watch_test else {}
        return {"validation": float(right)} | watched

    return monitor


def predicted(net: nn.Module, views: Views, crops: str = "centre") -> np.ndarray:
    """Most probable class of every face, (n,) int64; probabilities are averaged over the `crops`."""
    return class_probabilities(net, views, crops).argmax(1)


def class_probabilities(net: nn.Module, views: Views, crops: str = "centre", *, flip: bool = False) -> np.ndarray:
    """Probabilities of every face, (n, classes) float32, the mean over the `crops`; of several processes each has its
    share to compute."""
    split = processes.enough(len(views))
    rows = processes.own_rows(len(views)) if split else slice(None)
    batches = (views.evaluation(EVALUATION_BATCH, crop=crop, flip=flip, rows=rows) for crop in CROPS[crops])
    own = np.mean([accuracy.predict(net, (batch.views for batch in each)) for each in batches], axis=0)
    return np.concatenate(processes.gathered(own)) if split else own


def _finish(
    job: Job,
    stage: Stage,
    told: dict[str, Any],
    trained: tuple[nn.Module, nn.Module, History],
    found: dict[str, np.ndarray],
) -> None:
    (chosen, _, history), on = trained, told.pop("trained_on")
    score = accuracy.score(found["val_selected"], np.asarray(job.data.test.labels), job.data.classes)
    about = {"classes": job.data.classes, "preprocessing": job.preprocessing, "data": job.data.name, "split": "test"}
    about |= {"stored": job.scale.geometry.stored, "regions": "fixed" if job.data.train.landmarks is None else "given"}
    about |= {"n": score.n, "accuracy": {k: v for k, v in plain(score).items() if k != "predictions"}}
    checkpoint.save(chosen, stage.folder / "chosen", about)
    for entry in history.epochs:
        entry.pop("test_predictions", None)
    outcome = told | {"history": asdict(history) | {"trained_on": on}}
    outcome |= {"predictions": {name: accuracy.digits(value) for name, value in found.items()}}
    write_atomic(stage.folder / OUTCOME, json.dumps(plain(outcome), indent=1) + "\n")


def trained_on(device: str, batch_norm: str = "local") -> dict[str, Any]:
    """What moves a training's last digits and its images per second; a record's environment is of its measurement."""
    sha, dirty = commit()
    machine = {"device": device, "threads": torch.get_num_threads(), "torch": str(torch.__version__)}
    machine |= {"has_bf16": has_bf16(device)}
    machine |= {"processes": processes.world(), "batch_norm": batch_norm} if processes.world() > 1 else {}
    return machine | {"commit": f"{sha} and changes" if dirty else sha}


def _final_predictions(job: Job, trained: tuple[nn.Module, nn.Module, History]) -> dict[str, np.ndarray]:
    """Predictions in float32: the chosen network (plain, and averaged with the mirrored view), the last, the best."""
    chosen, last, history = trained
    test = job.views("test")
    plain_view = class_probabilities(chosen, test, job.crops)
    same = history.chosen_epoch == len(history.epochs) - 1 or chosen is last
    found = {
        "validation": predicted(chosen, job.views("validation"), job.crops),
        "val_selected": plain_view.argmax(1),
        "last": plain_view.argmax(1) if same else predicted(last, test, job.crops),
    }
    if job.scale.measurement.mirrored:
        found["flip"] = (plain_view + class_probabilities(chosen, test, job.crops, flip=True)).argmax(1)
    measured = [found["val_selected"], found["last"]]
    return found | {"best_on_test": _best_on_test(history, np.asarray(job.data.test.labels), measured)}


def _best_on_test(history: History, truth: np.ndarray, measured: list[np.ndarray]) -> np.ndarray:
    """Predictions of the epoch that papers would publish: the best on the test split, for comparison with them only.

    Epochs are watched under bf16; the `measured` float32 predictions compete too, so that the best is never below them.
    """
    watched = [entry["test_predictions"] for entry in history.epochs if "test_predictions" in entry]
    epochs = measured + [accuracy.from_digits(text) for text in watched]
    return max(epochs, key=lambda predictions: (predictions == truth).mean())
