"""The networks that the latency suite times, as artefacts of every runtime, each made once.

A ratio's network is the one behind a committed record where its finished stage lies in the cache; otherwise it has
random weights and a random cut, at scale quick. That is enough for a time, which does not depend on the weights, and
says nothing about accuracy.
"""

from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import torch
from torch import nn

import fermodels
from bench import records
from bench.make.networks import NETWORKS
from bench.make.scales import QUICK, scale_for
from bench.make.stages import Stage, stage_by_key
from bench.records import Cell, Record
from compress.cost import macs, params
from compress.exporting.quantize import quantise
from compress.runtimes import RUNTIMES, Session, Unavailable
from compress.slimming.surgery import slim
from compress.timing.footprint import Built, built
from fermodels import checkpoint
from fermodels.predict.artefacts import FaceArtefacts, artefacts_of

ROOT = Path(__file__).parents[2] / "reports"
MODEL = "mrf"
RECORDED = {"table": "table5", "data": "fer2013", "scale": "cpu", "model": MODEL, "seed": 0}
"""Whose records name the trained networks."""
CALIBRATION = 32
"""Random images that give INT8 its ranges: right for a time, wrong for an answer."""


@dataclass(frozen=True, kw_only=True)
class SuiteNetwork:
    """What is timed at one ratio."""

    net: nn.Module
    about: dict[str, Any]
    """What its checkpoint says: at least `preprocessing` and `stored`."""
    record: Record | None
    """Of the trained network; None for random weights."""

    @cached_property
    def facts(self) -> dict[str, Any]:
        """`macs` of one image, `params`, and `record`, the path of its record below reports/records or None."""
        record = None if self.record is None else self.record.cell.path.with_suffix("").as_posix()
        return {"macs": macs(self.net, self.net.example()), "params": params(self.net), "record": record}  # type: ignore[operator]

    def accuracy(self, precision: str) -> float | None:
        """Share of the test split named rightly, 0 to 1; None where no record measured it (records are fp32)."""
        if self.record is None or precision != "fp32":
            return None
        return self.record.result["accuracy"]["val_selected"]["overall"]


@dataclass(frozen=True, kw_only=True)
class Opened:
    """A session and what it runs."""

    session: Session
    network: SuiteNetwork
    built: Built


def recorded(ratio: float, root: Path = ROOT) -> tuple[Record, Stage] | None:
    """The record of the network cut by `ratio` and its finished stage; None where one of them is not there."""
    cell = Cell(**RECORDED, variant="slim" if ratio else "dense", ratio=ratio)  # type: ignore[arg-type]
    if not (root / "records" / cell.path).is_file():
        return None
    record = records.load(root / "records" / cell.path)
    stage = stage_by_key(root / "runs", MODEL, record.config["stage"]["stage"], record.config["key"])
    return (record, stage) if stage.done else None


def network(ratio: float, root: Path = ROOT) -> SuiteNetwork:
    """The trained network behind the record of `ratio`, or one with random weights."""
    if found := recorded(ratio, root):
        record, stage = found
        net, about = checkpoint.load(stage.folder / "chosen")
        stored = scale_for(record.cell.scale, record.cell.data).geometry.stored
        return SuiteNetwork(net=net, about=about | {"stored": stored}, record=record)
    net = random_dense()
    if ratio:
        net = slim(net, net.example(), ratio=ratio, criterion="random")[0]  # type: ignore[operator]
    unknown = dict.fromkeys(checkpoint.CLAIMS) | {"classes": fermodels.EXPRESSIONS}
    known = {"preprocessing": QUICK.preprocessing, "stored": QUICK.geometry.stored}
    return SuiteNetwork(net=net, about=unknown | known, record=None)


@cache
def random_dense() -> nn.Module:
    """The unpruned network of scale quick with random weights, the same in every process."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return NETWORKS[MODEL].build(QUICK)


class SuiteNetworks:
    """The networks of the suite with all they become, below one folder; what a runtime lacks is remembered."""

    def __init__(self, folder: Path, root: Path = ROOT) -> None:
        self.folder, self.root = folder, root
        self.networks: dict[float, SuiteNetwork] = {}
        self.artefacts: dict[float, FaceArtefacts] = {}
        self.missing: dict[str, Unavailable] = {}
        self.built: dict[tuple[str, str, float], Built] = {}

    def open(self, ratio: float, runtime: str, precision: str) -> Opened:
        """A session of `runtime` on the network cut by `ratio`.

        Raises:
            Unavailable: the runtime's library, driver or device is missing.
        """
        if runtime in self.missing:  # before an export that nobody would read
            raise self.missing[runtime]
        try:
            made = self._built(ratio, runtime, precision)
            session = RUNTIMES[runtime].open(made.artefact, precision=precision)
        except Unavailable as missing:
            self.missing[runtime] = missing
            raise
        return Opened(session=session, network=self.networks[ratio], built=made)

    def _built(self, ratio: float, runtime: str, precision: str) -> Built:
        key = (runtime, precision, ratio)
        if key not in self.built:
            self.built[key] = built(RUNTIMES[runtime], self._source(ratio, precision), precision=precision)
        return self.built[key]

    def _source(self, ratio: float, precision: str) -> Path:
        """The ONNX file to build from."""
        if ratio not in self.networks:
            self.networks[ratio] = network(ratio, self.root)
            folder = self.folder / f"{round(100 * ratio):02d}"
            checkpoint.save(self.networks[ratio].net, folder / "given", self.networks[ratio].about)
            self.artefacts[ratio] = artefacts_of(folder / "given", folder, keep=True)
        made = self.artefacts[ratio]
        return self._int8(made) if precision == "int8" else made.files.onnx(precision)

    def _int8(self, made: FaceArtefacts) -> Path:
        path = made.folder / "int8.onnx"
        if not path.exists():
            views = [view.numpy() for view in made.deployed.example(CALIBRATION)]
            feed = dict(zip(made.deployed.inputs, views, strict=True))
            quantise(made.files.onnx("fp32"), path, [feed], method="minmax")
        return path
