"""Invented records of whole networks, beside `fake_records`: consistent in themselves, measured by nobody."""

import zlib
from dataclasses import replace

import numpy as np
from fake_records import CLASSES, fake_record, latency_of, truth

from bench.make.networks import NETWORKS
from bench.measure.accuracy import score
from bench.measure.calibration import thousandths
from bench.records import Cell, Record
from bench.tables.networks.dense import THRESHOLDS, cells
from bench.tables.networks.page import MODELS
from compress.files import plain

SHARES = {"local": 0.42, "global": 0.6, "global-attention": 0.63, "mrf-no-bn": 0.18, "mrf": 0.69, "vggnet": 0.66}
SYNTHETIC = {"0.0": 1.0} | {str(level): 0.9 for level in THRESHOLDS.values() if level}
"""Shares of landmarks that pass where confidence is 0 or 1."""
ESTIMATED = {str(level): 1 - level**2 for level in THRESHOLDS.values()}
MAPS = {"before": [[0.5] * 7] * 7, "right": [[0.9] * 7, *[[0.1] * 7] * 6], "points": [[0.5, 0.25]] * 31}
"""All answers are right: "wrong" is left out."""
ALL = tuple(dict.fromkeys((*MODELS, "vggnet", "resnet50", *THRESHOLDS)))


def answered(labels: np.ndarray, share: float, name: str) -> dict:
    """A score near `share`: networks of any kind miss mostly the same images."""
    hardness, random = np.random.RandomState(1).random(len(labels)), np.random.RandomState(zlib.crc32(name.encode()))
    right = hardness + random.normal(0, 0.05, len(labels)) < share
    wrong = (labels + random.randint(1, 7, len(labels))) % 7
    return plain(score(np.where(right, labels, wrong), labels, CLASSES))


def network_record(cell: Cell, n: int = 200, passing: dict[str, float] | None = None) -> Record:
    """One record; `passing` as in `bench.tables.networks.dense.passing`."""
    base = fake_record(replace(cell, model="mrf"), n)
    labels, share = truth(n), SHARES.get(cell.model, 0.67) + 0.004 * cell.seed
    random = np.random.RandomState(zlib.crc32(cell.id.encode()))
    own = {name: answered(labels, share, f"{cell.id}{name}") for name in ("val_selected", "last", "best_on_test")}
    states = {
        name: {"nll": 1.2, "confidence": thousandths(random.uniform(low, 1, n))}
        for name, low in (("as_trained", 0.3), ("scaled", 0.2))
    }
    level = NETWORKS[cell.model].changes.get("confidence", 0.5)
    timed = latency_of(replace(cell, model="mrf"), 1)
    if cell.model != "mrf":
        timed["ratios"] = {"mrf": {"ratio": 0.5, "interval": [0.49, 0.51]}}
    result = base.result | {
        "accuracy": base.result["accuracy"] | own | {"leak_free": None},
        "calibration": {"temperature": 1.4, **states},
        "occluder": {"name": "patch", "share": 0.2, "accuracy": answered(labels, share - 0.1, f"{cell.id}occluded")},
        "mask": {"confidence": level, "passing": passing},
        "attention": {"all": 60.0, "right": 62.5, "wrong": 55.25, "mask": 36.0} if "mrf" in cell.model else None,
        "attention_maps": MAPS if "mrf" in cell.model else None,
        "latency": {"1": timed} if cell.seed == 0 else {},
    }
    return replace(base, cell=cell, result=result)


def network_records(
    models: tuple[str, ...] = ALL, seeds: int = 1, passing: dict[str, float] | None = None, scale: str = "cpu"
) -> dict[Cell, Record]:
    """Records of `models` on an invented data set."""
    return {cell: network_record(cell, passing=passing) for cell in cells("invented", scale, seeds, models)}
