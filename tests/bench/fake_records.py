"""Invented records for the rendering tests: consistent in themselves, measured by nobody.

Accuracies fall and times shrink by simple rules of the ratio; predictions are drawn from a generator seeded by the
cell's name, so the same call gives the same records everywhere
(`RandomState`: the one generator of numpy whose stream never changes).
"""

import zlib

import numpy as np

from bench.measure.stats import wilson
from bench.records import Cell, Record
from bench.tables.ratios.definitions import RATIO_TABLES, cells

CLASSES = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")
WHOLE_PARAMS = {"mrf": 2_000_000, "vggnet": 950_000}
WHOLE_MACS = {"mrf": 160_000_000, "vggnet": 62_000_000}
WHOLE_MS = {"mrf": 12.0, "vggnet": 5.0}
GROUPS = {
    "mrf": [f"trunks.{trunk}.blocks.{i}.conv" for trunk in ("face", "local") for i in range(13)],
    "vggnet": [f"trunks.face.blocks.{i}.conv" for i in range(13)],
}
WIDTHS = (16, 16, 32, 32, 64, 64, 64, 128, 128, 128, 128, 128, 128)


def truth(n: int) -> np.ndarray:
    shares = (0.13, 0.02, 0.14, 0.25, 0.17, 0.12, 0.17)
    return np.random.RandomState(0).choice(7, n, p=shares)


def scored(labels: np.ndarray, share: float, name: str) -> dict:
    """An accuracy near `share`: networks of the same kind miss mostly the same images."""
    hardness = np.random.RandomState(1).random(len(labels))
    rng = np.random.RandomState(zlib.crc32(name.encode()))
    right = hardness + rng.normal(0, 0.05, len(labels)) < share
    predictions = np.where(right, labels, (labels + rng.randint(1, 7, len(labels))) % 7)
    confusion = np.zeros((7, 7), int)
    np.add.at(confusion, (labels, predictions), 1)
    recall = confusion.diagonal() / confusion.sum(1)
    precision = confusion.diagonal() / confusion.sum(0)
    correct, n = int((labels == predictions).sum()), len(labels)
    return {
        "n": n,
        "correct": correct,
        "overall": correct / n,
        "interval": list(wilson(correct, n)),
        "class_mean": float(recall.mean()),
        "macro_f1": float((2 * recall * precision / (recall + precision)).mean()),
        "majority": float(np.bincount(labels).max() / n),
        "recall": dict(zip(CLASSES, map(float, recall), strict=True)),
        "confusion": confusion.tolist(),
        "predictions": "".join(map(str, predictions)),
    }


def expected_share(cell: Cell) -> float:
    base = {"mrf": 0.69, "vggnet": 0.68}[cell.model] + 0.004 * cell.seed
    loss = {"dense": 0.0, "sparse": 0.004, "slim": 0.05 * cell.ratio**4, "random": 0.11 * cell.ratio**2}
    loss["short"] = 1.4 * loss["slim"]
    return base - loss[cell.variant]


def kept_widths(before: dict[str, int], cell: Cell) -> dict[str, int]:
    """Widths that keep the budget exactly; the criterion cuts late layers more, the control all alike."""
    keep = round(sum(before.values()) * (1 - cell.ratio))
    leans = [1.0 if cell.variant == "random" else 0.5 + 1.0 * (i % 13) / 12 for i in range(len(before))]
    after = {
        name: max(2, round(width * max(0.05, 1 - cell.ratio * lean)))
        for (name, width), lean in zip(before.items(), leans, strict=True)
    }
    while (gap := keep - sum(after.values())) != 0:
        name = max(after, key=lambda one: (before[one] - after[one]) if gap > 0 else after[one])
        after[name] += 1 if gap > 0 else -1
    return after


def plan_of(cell: Cell) -> dict | None:
    if cell.variant in ("dense", "sparse"):
        return None
    before = {
        name: width for name, width in zip(GROUPS[cell.model], WIDTHS * (len(GROUPS[cell.model]) // 13), strict=True)
    }
    after = kept_widths(before, cell)
    return {
        "rule": "exact",
        "criterion": "random" if cell.variant == "random" else "gamma",
        "align": 8,
        "requested": cell.ratio,
        "achieved": 1 - sum(after.values()) / sum(before.values()),
        "channels_before": sum(before.values()),
        "channels_after": sum(after.values()),
        "widths_before": before,
        "widths_after": after,
        "params_before": WHOLE_PARAMS[cell.model],
        "params_after": cost_of(cell)["params"],
        "macs_before": WHOLE_MACS[cell.model],
        "macs_after": cost_of(cell)["macs"],
    }


def cost_of(cell: Cell) -> dict:
    params = WHOLE_PARAMS[cell.model] * (1 - cell.ratio) ** 1.6
    macs = WHOLE_MACS[cell.model] * (1 - cell.ratio) ** (0.9 if cell.variant == "slim" else 1.7)
    weights = 4 * int(params)
    return {"params": int(params), "macs": int(macs), "uncounted": {"aten::softmax": 2}, "weights_bytes": weights}


def latency_of(cell: Cell, batch: int) -> dict:
    shrink = (1 - cell.ratio) ** 0.6
    p50 = WHOLE_MS[cell.model] * shrink * batch**0.9
    whole, (low, high) = cell.variant == "dense", (0.92, 1.08) if cell.ratio == 0.8 else (0.97, 1.02)
    if cell.ratio == 0.7 and batch == 1:  # a ratio slower than a lower one, to be flagged
        p50, shrink = p50 * 1.4, shrink * 1.4
    return {
        "batch": batch,
        "p50_ms": p50,
        "p90_ms": p50 * 1.08,
        "p95_ms": p50 * 1.1,
        "p99_ms": p50 * 1.3,
        "n": 120,
        "cv": 0.031 if cell.ratio == 0.8 else 0.012,
        "samples_ms": [p50, p50 * 1.01],
        "images_per_s": 1000 * batch / p50,
        "threads": 2,
        "runtime": "torch-eager",
        "precision": "fp32",
        "ratios": {} if whole else {"unpruned": {"ratio": shrink, "interval": [shrink * low, shrink * high]}},
        "noisy": cell.ratio == 0.8,
        "load": {},
    }


def history(epochs: int, start: float, end: float) -> dict:
    rise = [end - (end - start) * 0.7**i for i in range(1, epochs + 1)]
    steps = [
        {"epoch": i, "lr": 0.05, "seconds": 30.0, "losses": {"ce": 1.0 / (i + 1)}, "validation": share}
        for i, share in enumerate(rise)
    ]
    place = {"device": "cpu", "threads": 1, "torch": "2.13.0+cpu"}
    return {"epochs": steps, "images_per_s": 900.0, "chosen_epoch": epochs - 1, "trained_on": place}


def gammas_of(cell: Cell) -> dict | None:
    if cell.variant == "random":
        return None
    rng = np.random.RandomState(zlib.crc32(cell.id.encode()))
    edges = np.linspace(0, 1.5, 31)
    counts = {}
    for name, width in zip(GROUPS[cell.model], WIDTHS * (len(GROUPS[cell.model]) // 13), strict=True):
        values = np.abs(rng.normal(0.9, 0.15, width))
        if cell.variant != "dense":
            values = np.where(rng.random(width) < 0.62, 0.0, values * 0.5)
        counts[name] = np.histogram(values, edges)[0].tolist()
    return {"edges": edges.tolist(), "counts": counts}


def after_cut_of(cell: Cell, labels: np.ndarray, share: float) -> dict | None:
    if cell.variant in ("dense", "sparse"):
        return None
    factors = {"cut": 0.3, "absorbed": 0.9, "recalibrated": 0.97}
    return {name: scored(labels, share * factor**cell.ratio, f"{cell.id}{name}") for name, factor in factors.items()}


def config_of(cell: Cell) -> dict:
    stage = {"optimizer": "sgd", "lr": 0.05, "schedule": "cosine", "batch": 128}
    return {
        "key": f"{zlib.crc32(cell.id.encode()):08x}",
        "stage": {"train": {**stage, "seed": cell.seed}, "data": "feed"},
        "scale": {"name": cell.scale, "size": 56} | dict.fromkeys(("dense", "sparse", "tune", "control"), stage),
        "evaluation": {"crop": "single centre crop", "flip": False},
    }


def fake_record(cell: Cell, n: int = 600) -> Record:
    labels, share = truth(n), expected_share(cell)
    stages = {"dense": history(20, 0.3, share), "sparse": history(20, 0.5, share), "tune": history(6, 0.6, share)}
    stages |= {"control": history(2, 0.6, share)}
    tuned = "tune" if cell.variant == "slim" else "control"
    led_here = {"dense": ["dense"], "sparse": ["dense", "sparse"]}.get(cell.variant, ["dense", "sparse", tuned])
    leak_free = scored(labels[: n - 40], share - 0.005, f"{cell.id}leak")
    result = {
        "plan": plan_of(cell),
        "cost": cost_of(cell),
        "accuracy": {
            "val_selected": scored(labels, share, cell.id),
            "last": scored(labels, share - 0.002, f"{cell.id}last"),
            "best_on_test": scored(labels, share + 0.004, f"{cell.id}best"),
            "validation": scored(labels, share + 0.002, f"{cell.id}validation"),
            "leak_free": leak_free,
            "flip": None,
        },
        "after_cut": after_cut_of(cell, labels, share),
        "latency": {str(batch): latency_of(cell, batch) for batch in (1, 32)},
        "training": {"stages": {name: stages[name] for name in led_here}},
        "gammas": gammas_of(cell),
        "data": {
            "name": cell.data,
            "classes": list(CLASSES),
            "counts": {"train": 4800, "validation": n, "test": n},
            "notes": ["invented for a test of the rendering", "50 % & more_of it is fake"],
            "truth": "".join(map(str, labels)),
            "licence": "none: invented",
        },
    }
    return Record(
        cell=cell,
        config=config_of(cell),
        result=result,
        environment={"cpu": {"model": "Imaginary CPU"}, "threads": 2, "versions": {"torch": "9.9.9"}},
        commit="0123456789abcdef0123456789abcdef01234567",
        dirty=False,
        created=f"2026-11-22T10:00:{cell.seed:02d}Z",
    )


def fake_records(scale: str = "cpu", seeds: int = 1, n: int = 600) -> dict[Cell, Record]:
    """A whole Table 5 of invented records."""
    return {cell: fake_record(cell, n) for cell in cells(RATIO_TABLES["table5"], "invented", scale, seeds)}
