"""From records to the numbers of a row: every value of `bench.pages.columns.VALUES` that a record can give.

Accuracies leave here in percent, differences in points, times in milliseconds; a value that a record does not hold is
absent, never zero. Differences are recomputed from the stored predictions, so no table can disagree with its records.
"""

import numpy as np
from jaxtyping import Bool

from bench.measure.stats import mcnemar, paired_difference
from bench.pages.columns import recall_key
from bench.pages.noise import doubt, spread_of
from bench.records import Record
from bench.schema import BATCHES, Accuracy

Values = dict[str, float]


def correct(record: Record) -> Bool[np.ndarray, " n"]:
    """Which test images the network of `record` names rightly.

    Raises:
        ValueError: predictions and truth of the record have different lengths.
    """
    truth = record.result["data"]["truth"]
    predictions = record.result["accuracy"]["val_selected"]["predictions"]
    if len(truth) != len(predictions):
        raise ValueError(
            f"record {record.cell.id} has {len(predictions)} predictions for {len(truth)} test labels; "
            "delete it and run bench.report again"
        )
    return np.frombuffer(predictions.encode(), np.uint8) == np.frombuffer(truth.encode(), np.uint8)


def _same_test(record: Record, other: Record) -> None:
    if record.result["data"]["truth"] != other.result["data"]["truth"]:
        raise ValueError(
            f"records {record.cell.id} and {other.cell.id} were measured on different test splits; "
            "delete the older one and run bench.report again"
        )


def difference_values(record: Record, other: Record, prefix: str, p_key: str) -> Values:
    """`record` minus `other` in points on the same images, with its paired interval and McNemar's p."""
    _same_test(record, other)
    ours, theirs = correct(record), correct(other)
    difference = paired_difference(ours, theirs)
    return {
        f"{prefix}_points": float(difference.points),
        f"{prefix}_lo": float(difference.lo),
        f"{prefix}_hi": float(difference.hi),
        p_key: float(mcnemar(ours, theirs).p),
    }


def _percent(found: Accuracy | None, key: str) -> Values:
    return {key: 100 * found["overall"]} if found else {}


def _accuracy(record: Record) -> Values:
    accuracy = record.result["accuracy"]
    chosen, leak_free = accuracy["val_selected"], accuracy.get("leak_free")
    values = {
        "accuracy_percent": 100 * chosen["overall"],
        "accuracy_lo": 100 * chosen["interval"][0],
        "accuracy_hi": 100 * chosen["interval"][1],
        "class_mean_percent": 100 * chosen["class_mean"],
        "macro_f1_percent": 100 * chosen["macro_f1"],
        "majority_percent": 100 * chosen["majority"],
        "test_n": chosen["n"],
    }
    for name, recall in chosen["recall"].items():
        values[recall_key(name)] = 100 * recall
    for key in ("flip", "last", "best_on_test", "validation"):
        values |= _percent(accuracy.get(key), f"{key}_percent")
    if leak_free:
        low, high = leak_free["interval"]
        values |= _percent(leak_free, "leak_free_percent")
        values |= {"leak_free_lo": 100 * low, "leak_free_hi": 100 * high, "leak_free_n": leak_free["n"]}
    return values


def _after_cut(record: Record) -> Values:
    stages = record.result.get("after_cut") or {}
    values: Values = {}
    for key in ("cut", "absorbed", "recalibrated"):
        values |= _percent(stages.get(key), f"{key}_percent")
    return values


def _cost(record: Record, dense: Record | None) -> Values:
    cost, plan = record.result["cost"], record.result.get("plan")
    values: Values = {"params": cost["params"], "macs": cost["macs"], "weights_bytes": cost["weights_bytes"]}
    if dense is not None and record.cell.variant in ("slim", "short", "random"):
        whole = dense.result["cost"]
        values["params_removed_percent"] = 100 * (1 - cost["params"] / whole["params"])
        values["macs_removed_percent"] = 100 * (1 - cost["macs"] / whole["macs"])
        values["macs_factor"] = whole["macs"] / cost["macs"]
    if plan:
        values["achieved_percent"] = 100 * plan["achieved"]
        values["collapsed_layers"] = len(plan.get("collapsed", ()))
    return values


def _latency(record: Record) -> Values:
    values: Values = {}
    for batch in BATCHES:
        timed = (record.result.get("latency") or {}).get(str(batch))
        if not timed:
            continue
        values |= {
            f"p50_ms_b{batch}": timed["p50_ms"],
            f"p90_ms_b{batch}": timed["p90_ms"],
            f"noisy_b{batch}": float(bool(doubt(timed))),
            f"images_per_s_b{batch}": timed["images_per_s"],
        }
        if spread := spread_of(timed):
            values[f"spread_percent_b{batch}"] = 100 * spread
        if pair := next(iter(timed["ratios"].values()), None):
            low, high = pair["interval"]
            values[f"speedup_b{batch}"] = 1 / pair["ratio"]
            values[f"speedup_b{batch}_lo"], values[f"speedup_b{batch}_hi"] = 1 / high, 1 / low
    return values


def values_of(record: Record, *, dense: Record | None, short: Record | None, random: Record | None) -> Values:
    """Every value of one cell that its record, the unpruned one and the two of the control (same seed) give.

    Raises:
        ValueError: the records do not share a test split, or one is inconsistent.
    """
    values = {"requested_percent": 100 * record.cell.ratio, **_accuracy(record), **_after_cut(record)}
    values |= _cost(record, dense) | _latency(record)
    if dense is not None and record.cell != dense.cell:
        values |= difference_values(record, dense, "difference", "mcnemar_p")
    return values | _control(dense, short, random)


def _control(dense: Record | None, short: Record | None, random: Record | None) -> Values:
    values = {} if short is None else _percent(short.result["accuracy"]["val_selected"], "short_percent")
    if random is None:
        return values
    values |= _percent(random.result["accuracy"]["val_selected"], "control_percent")
    if short is not None:
        values |= difference_values(short, random, "control_gap", "control_p")
    if dense is not None:
        fewer = 1 - random.result["cost"]["macs"] / dense.result["cost"]["macs"]
        values["control_macs_removed_percent"] = 100 * fewer
    return values
