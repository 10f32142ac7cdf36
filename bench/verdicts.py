"""Is a new record worse than an old one of the same cell? Accuracy, cost and latency, each with its reason.

Pure. Cost is exact. Accuracy and latency are worse only when their whole 95 % interval lies beyond the tolerance, so
noise alone does not fail; what was timed elsewhere, otherwise or on a busy machine is "not comparable", never a pass.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.measure.stats import Difference, independent_difference, mcnemar, paired_difference
from bench.pages.columns import FORMATS
from bench.pages.values import correct
from bench.records import Cell, Record
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


def compare(old: Record, new: Record | None, limits: Limits) -> Verdict:
    """The verdict on `new`; None, a cell that was not measured again, fails.

    Raises:
        ValueError: a record contradicts itself (see `bench.pages.values.correct`).
    """
    if new is None:
        return Verdict(cell=old.cell, checks=(Check(name="record", outcome=FAIL, reason="missing in NEW"),))
    costs = (old.result["cost"], new.result["cost"])
    checks = [accuracy_check(old, new, limits), exact_check(MACS, *(cost["macs"] for cost in costs))]
    checks.append(exact_check(PARAMS, *(cost["params"] for cost in costs)))
    checks += [latency_check(key, old, new, limits) for key in sorted(old.result["latency"], key=_batch)]
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
    if new > old:
        return Check(name=name, outcome=FAIL, figure=change, reason=f"{change}, no increase allowed")
    return Check(name=name, outcome=PASS, figure=change if new < old else f"{new:,}")


def latency_check(key: str, old: Record, new: Record, limits: Limits) -> Check:
    """Median latency, new over old, by the kept samples of both."""
    name, before, after = latency_name(key), old.result["latency"][key], new.result["latency"].get(key)
    if after is None:
        return Check(name=name, outcome=FAIL, reason="timed in OLD, missing in NEW")
    found = independent_ratio(np.array(after["samples_ms"], float), np.array(before["samples_ms"], float))
    figure = _factor(found)
    if doubts := [*_other_settings(before, after), *_elsewhere(old, new), *_noisy(before, after)]:
        return Check(name=name, outcome=UNCLEAR, figure=figure, reason=f"{figure}, {'; '.join(doubts)}")
    worse = found.interval[0] > 1 + limits.latency
    reason = f"{figure}, {1 + limits.latency:.2f}x allowed" if worse else ""
    return Check(name=name, outcome=FAIL if worse else PASS, figure=figure, reason=reason)


def untimed_before(old: Record, new: Record) -> list[str]:
    """Names of latencies that only `new` has: nothing to hold them against."""
    return [
        latency_name(key) for key in sorted(new.result["latency"].keys() - old.result["latency"].keys(), key=_batch)
    ]


def environment_changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """What differs between the environments of two records, as "versions.torch 2.12.0 -> 2.13.0"."""
    ours, theirs = dict(_leaves(old)), dict(_leaves(new))
    names = sorted((ours.keys() | theirs.keys()) - {MOVES_NO_FIGURE})
    return [f"{name} {ours.get(name)} -> {theirs.get(name)}" for name in names if ours.get(name) != theirs.get(name)]


def _other_settings(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    return [f"{name} {before[name]} -> {after[name]}" for name in SETTINGS if before[name] != after[name]]


def _elsewhere(old: Record, new: Record) -> list[str]:
    changes = environment_changes(old.environment, new.environment)
    if not changes:
        return []
    more = len(changes) - SHOWN_CHANGES
    return [f"another environment ({', '.join(changes[:SHOWN_CHANGES])}{f', {more} more' if more > 0 else ''})"]


def _noisy(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    told = {"OLD": before, "NEW": after}
    return [f"{side} is noisy (cv {100 * one['cv']:.1f} %)" for side, one in told.items() if one["noisy"]]


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
