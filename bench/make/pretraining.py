"""Contrastive pretraining as a cached stage, keyed like every other one: its encoder is what paper 2's networks start
from.

Faces are the train split of the job's own data set without labels, and of other sets where some are named; those whose
pixels occur in any of their test splits are left out and counted. The two kinds of views differ in the occluding
rectangle alone: "plain" is SimCLR, Table 2's baseline.
"""

import hashlib
import json
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

import fermodels
from bench.make import watching
from bench.make.networks import contrastive
from bench.make.stages import OUTCOME, STATE, Job, Stage, fingerprint_of, stage_by_key, trained_on
from compress.files import digest, plain, write_atomic
from compress.training import processes
from fermodels import checkpoint
from fermodels.data.unlabelled import pool_of
from fermodels.nets.pretrained import load_encoder, load_torchvision
from fermodels.training.contrast import PretrainConfig, claims, pretrain, probed
from fermodels.training.contrast_views import AugmentConfig, simclr

VIEWS: dict[str, Callable[[AugmentConfig], AugmentConfig]] = {"occluded": lambda config: config, "plain": simclr}
"""Name of a pretraining -> its views from the default ones."""


def pretrain_config(job: Job) -> PretrainConfig:
    """How the encoder that the job's network starts from is pretrained."""
    augment = VIEWS[job.network.pretraining](AugmentConfig(size=job.scale.geometry.size))
    return PretrainConfig(train=replace(job.scale.schedules.pretrain, seed=job.seed), augment=augment)


def pretrain_stage(job: Job) -> Stage | None:
    """The finished pretraining behind the job's network, made if it is not cached; None for one from scratch."""
    if not job.network.pretraining:
        return None
    config, settings = pretrain_config(job), contrastive(job.scale)
    what = {"stage": "pretraining", "config": plain(config), "architecture": plain(settings), "data": job.fingerprint}
    what |= {"unlabelled": [fingerprint_of(data) for data in job.unlabelled]} if job.unlabelled else {}
    stage = stage_by_key(job.runs, "contrastive", job.network.pretraining, digest(what))
    return stage.once(lambda: _make(job, stage, config, what), together=True)


def _make(job: Job, stage: Stage, config: PretrainConfig, what: dict[str, object]) -> None:
    state, sets = stage.folder / STATE, {data.name: data for data in (job.data, *job.unlabelled)}
    faces, tests = (
        {name: np.asarray(data.splits[one].images) for name, data in sets.items()} for one in ("train", "test")
    )
    pool = pool_of(faces, tests, job.data)
    torch.manual_seed(job.seed)
    net = fermodels.build("contrastive", **contrastive(job.scale))
    bar = watching.bar(f"{job.network.pretraining} pretraining")
    before = probed(net, pool, config, job.device)
    services = {"device": job.device, "state": state, "bar": bar, "batch_norm": job.batch_norm}
    net, history = pretrain(net, pool, config, **services)
    told = {"untrained": before, "faces": len(pool.kept), "dropped": pool.dropped, "notes": list(pool.notes)}
    on = trained_on(job.device, job.batch_norm)

    def finish() -> None:
        checkpoint.save(net, stage.folder / "chosen", claims(pool, config) | {"pretraining": told})
        outcome = {"described": what, "history": asdict(history) | told | {"trained_on": on}}
        write_atomic(stage.folder / OUTCOME, json.dumps(plain(outcome), indent=1) + "\n")
        state.unlink(missing_ok=True)

    processes.from_first(finish)


def start_settings(job: Job, first: Stage | None) -> dict[str, Any]:
    """What decides where the job's unpruned network starts, besides its seed: part of the key of its stage."""
    file = _imagenet(job)
    if first is not None:
        return {"pretraining": first.key}
    return {} if file is None else {"imagenet": hashlib.sha256(file.read_bytes()).hexdigest()}


def started(job: Job, first: Stage | None) -> nn.Module:
    """The job's unpruned network with its seed's weights, with the encoder of `first` or the ImageNet file in it.

    Raises:
        ValueError: an ImageNet file that does not fit; scales below full width have no room for one.
    """
    net: Any = job.fresh()
    file = _imagenet(job)
    if first is not None:
        load_encoder(net, first.folder / "chosen")
    elif file is not None:
        report = load_torchvision(net.trunks["face"], file)
        print(f"{job.model} starts from {file.name}: {report.sentence}", file=sys.stderr, flush=True)
    return net


def _imagenet(job: Job) -> Path | None:
    """The file that the job's network starts from."""
    return job.imagenet if job.network.imagenet else None
