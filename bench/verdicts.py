"""Is a new record worse than an old one of the same cell? Accuracy, cost and latency, each with its reason.

Pure. Cost is exact. Accuracy and latency are worse only when their whole 95 % interval lies beyond the tolerance, so
noise alone does not fail. Of latencies two figures are judged: the median, whose interval is as wide as the noise of
the two sessions, and its paired factors to other networks (`ratios`), which the noise of a session does not touch. What
was timed elsewhere or otherwise is "not comparable", never a pass. A figure that is no number fails.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.measure.stats import Difference, independent_difference, mcnemar, paired_difference
from bench.pages.columns import FORMATS
from bench.pages.values import correct
from bench.records import Cell, Record
from bench.schema import Latency
from bench.schema import Ratio as PairedRatio
from compress.timing.stats import Ratio, independent_ratio

PASS, UNCLEAR, FAIL = "pass", "not comparable", "fail"
OUTCOMES = (PASS, UNCLEAR, FAIL)
"""From good to bad."""
ACCURACY, MACS, PARAMS = "accuracy", "MACs", "parameters"
MOVES_NO_FIGURE = "ram_gib"
"""The one entry of a record's environment that may differ between two comparable latencies."""
SETTINGS = ("batch", "threads", "runtime", "precision")
"""What two latencies must share, beside the environment."""
SHOWN_CHANGES = 2
SECTIONS = ("accuracy", "cost", "data", "latency")
"""Parts of a result that are judged."""
P90 = 1.2816
"""Standard deviations from the median to the 90th percentile, where values are normal."""
SURE = 1.96
"""Standard deviations to either end of a 95 % interval."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How much worse is still a pass."""

    latency: float = 0.05
    """Relative increase of the median latency."""
    accuracy: float = 0.5
    """Loss of accuracy, percentage points."""

    def __post_init__(self) -> None:
        for name in ("latency", "accuracy"):
            if not 0 <= (value := getattr(self, name)) < float("inf"):
                raise ValueError(f"{name} tolerance {value}: give a number that is not negative, such as 0.05")


@dataclass(frozen=True, kw_only=True)
class Check:
    """One figure of one cell."""

    name: str
    outcome: str
    """One of `OUTCOMES`."""
    figure: str = "-"
    """What was found, for a column of the table."""
    reason: str = ""
    """Why it did not pass."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """All checks of one cell: it is as bad as the worst of them."""

    cell: Cell
    checks: tuple[Check, ...]

    @property
    def outcome(self) -> str:
        return max((check.outcome for check in self.checks), key=OUTCOMES.index)

    @property
    def reason(self) -> str:
        """Every check that did not pass, or what a pass rests on."""
        wrong = [f"{check.name}: {check.reason}" for check in self.checks if check.outcome != PASS]
        return "; ".join(wrong) or f"{', '.join(check.name for check in self.checks)} within tolerance"


def latency_name(key: str) -> str:
    """Name of the check of one entry of `result["latency"]`."""
    return f"p50, batch {key}"


def factor_name(reference: str, key: str) -> str:
    """Name of the check of one entry of `result["latency"][key]["ratios"]`."""
    return f"factor to {reference}, batch {key}"


def compare(old: Record, new: Record | None, limits: Limits) -> Verdict:
    """The verdict on `new`; None, a cell that was not measured again, fails.

    Raises:
        ValueError: a record contradicts itself (see `bench.pages.values.correct`), or NEW lacks what OLD has.
    """
    if new is None:
        return Verdict(cell=old.cell, checks=(Check(name="record", outcome=FAIL, reason="missing in NEW"),))
    ours, theirs = old.result, new.result
    if absent := [name for name in SECTIONS if name in ours and name not in theirs]:
        raise ValueError(f"{old.cell.id} has no {', '.join(absent)} in NEW: measure it again, or correct the record")
    checks = [accuracy_check(old, new, limits)] if {"accuracy", "data"} <= ours.keys() else []
    for name, key in ((MACS, "macs"), (PARAMS, "params")):
        if key in ours.get("cost", {}):
            if key not in theirs["cost"]:
                raise ValueError(f"{old.cell.id} has no {key} in NEW: measure it again, or correct the record")
            checks.append(exact_check(name, ours["cost"][key], theirs["cost"][key]))
    for key in sorted(ours.get("latency", {}), key=_batch):
        checks += latency_checks(key, old, new, limits)
    return Verdict(cell=old.cell, checks=tuple(checks))


def accuracy_check(old: Record, new: Record, limits: Limits) -> Check:
    """New minus old on the test split: paired where the splits are the same, said so where they are not."""
    before, after = correct(old), correct(new)
    if old.result["data"]["truth"] == new.result["data"]["truth"]:
        found, how = paired_difference(after, before), ""
        told = f"McNemar p {FORMATS['probability'](mcnemar(after, before).p)}"
    else:
        found, how = independent_difference(after, before), " unpaired"
        told = "unpaired, the test splits differ"
    figure = _points(found) + how
    worse = found.hi < -limits.accuracy
    reason = f"{_points(found)} points ({told}), {limits.accuracy:g} allowed" if worse else ""
    return Check(name=ACCURACY, outcome=FAIL if worse else PASS, figure=figure, reason=reason)


def exact_check(name: str, old: int, new: int) -> Check:
    """A count may fall but not rise."""
    change = f"{old:,} -> {new:,}"
    if not new <= old:
        return Check(name=name, outcome=FAIL, figure=change, reason=f"{change}, no increase allowed")
    return Check(name=name, outcome=PASS, figure=change if new < old else f"{new:,}")


def latency_checks(key: str, old: Record, new: Record, limits: Limits) -> Iterator[Check]:
    """Median latency, and its factors to the networks that took turns with it, new over old."""
    before, after = old.result["latency"][key], new.result["latency"].get(key)
    if after is None:
        yield Check(name=latency_name(key), outcome=FAIL, reason="timed in OLD, missing in NEW")
        return
    doubts = [*_other_settings(before, after), *_elsewhere(old, new)]
    noisy = " noisy" if before["noisy"] or after["noisy"] else ""
    yield _judged(latency_name(key), _medians(before, after), noisy, doubts, limits)
    for reference, ratio in before["ratios"].items():
        name, other = factor_name(reference, key), after["ratios"].get(reference)
        if other is None:
            yield Check(name=name, outcome=FAIL, reason="in OLD, missing in NEW")
        else:
            yield _judged(name, _quotient(other, ratio), "", doubts, limits)


def _judged(name: str, found: Ratio, told: str, doubts: list[str], limits: Limits) -> Check:
    figure = _factor(found) + told
    if doubts:
        return Check(name=name, outcome=UNCLEAR, figure=figure, reason=f"{figure}, {'; '.join(doubts)}")
    worse = not found.interval[0] <= 1 + limits.latency
    reason = f"{figure}, {1 + limits.latency:.2f}x allowed" if worse else ""
    return Check(name=name, outcome=FAIL if worse else PASS, figure=figure, reason=reason)


def _medians(before: Latency, after: Latency) -> Ratio:
    """Median over median; beside the noise within the sessions, what a noisy one may differ from the next."""
    if "samples_ms" in before and "samples_ms" in after:
        found = independent_ratio(np.array(after["samples_ms"], float), np.array(before["samples_ms"], float))
    else:
        ratio = after["p50_ms"] / before["p50_ms"]
        found = Ratio(ratio=ratio, interval=(ratio, ratio))
    spreads = [(one["p90_ms"] / one["p50_ms"] - 1) / P90 for one in (before, after) if one["noisy"]]
    wide = math.exp(SURE * math.hypot(*spreads))
    return Ratio(ratio=found.ratio, interval=(found.interval[0] / wide, found.interval[1] * wide))


def _quotient(new: PairedRatio, old: PairedRatio) -> Ratio:
    """New over old of two ratios with intervals: on the logarithmic scale independent errors add in squares."""
    ratio, (lo, hi), (old_lo, old_hi) = new["ratio"] / old["ratio"], new["interval"], old["interval"]
    down = math.hypot(math.log(new["ratio"] / lo), math.log(old_hi / old["ratio"]))
    up = math.hypot(math.log(hi / new["ratio"]), math.log(old["ratio"] / old_lo))
    return Ratio(ratio=ratio, interval=(ratio * math.exp(-down), ratio * math.exp(up)))


def untimed_before(old: Record, new: Record) -> list[str]:
    """Names of latencies that only `new` has: nothing to hold them against."""
    ours, theirs = (record.result.get("latency", {}) for record in (old, new))
    return [latency_name(key) for key in sorted(theirs.keys() - ours.keys(), key=_batch)]


def environment_changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """What differs between the environments of two records, as "versions.torch 2.12.0 -> 2.13.0"."""
    ours, theirs = dict(_leaves(old)), dict(_leaves(new))
    names = sorted((ours.keys() | theirs.keys()) - {MOVES_NO_FIGURE})
    return [f"{name} {ours.get(name)} -> {theirs.get(name)}" for name in names if ours.get(name) != theirs.get(name)]


def _other_settings(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    return [
        f"{name} {before.get(name)} -> {after.get(name)}" for name in SETTINGS if before.get(name) != after.get(name)
    ]


def _elsewhere(old: Record, new: Record) -> list[str]:
    changes = environment_changes(old.timing["environment"], new.timing["environment"])
    if not changes:
        return []
    more = len(changes) - SHOWN_CHANGES
    return [f"another environment ({', '.join(changes[:SHOWN_CHANGES])}{f', {more} more' if more > 0 else ''})"]


def _leaves(tree: Mapping[str, Any], above: str = "") -> list[tuple[str, Any]]:
    """(dotted name, value) of everything in nested objects."""
    found: list[tuple[str, Any]] = []
    for name, value in tree.items():
        found += _leaves(value, f"{above}{name}.") if isinstance(value, Mapping) else [(f"{above}{name}", value)]
    return found


def _batch(key: str) -> tuple[int, str]:
    return (int(key) if key.isdigit() else 0, key)


def _points(found: Difference) -> str:
    points, lo, hi = (FORMATS["points"](value) for value in (found.points, found.lo, found.hi))
    return f"{points} [{lo}, {hi}]"


def _factor(found: Ratio) -> str:
    ratio, lo, hi = (f"{value:.3f}" for value in (found.ratio, *found.interval))
    return f"{ratio}x [{lo}, {hi}]"
