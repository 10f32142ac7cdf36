"""The gate's judgement: what is worse fails, what is equal passes, noise does not fail, doubt is never a pass."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
from fake_records import fake_record

from bench.records import Cell, Record
from bench.verdicts import (
    ACCURACY,
    FAIL,
    MACS,
    PARAMS,
    PASS,
    UNCLEAR,
    Limits,
    Verdict,
    accuracy_check,
    compare,
    environment_changes,
    latency_checks,
    untimed_before,
)

CELL = Cell(table="table5", data="invented", scale="cpu", model="mrf", variant="slim", ratio=0.6, seed=0)
OLD = fake_record(CELL)
TRIALS = 200


def timed(ms: np.ndarray, key: str = "1", **changes: Any) -> Record:
    """OLD with these samples at that batch."""
    latency = OLD.result["latency"] | {key: OLD.result["latency"][key] | {"samples_ms": ms.tolist()} | changes}
    return replace(OLD, result=OLD.result | {"latency": latency})


def costing(**cost: int) -> Record:
    return replace(OLD, result=OLD.result | {"cost": OLD.result["cost"] | cost})


def answering(right: np.ndarray, truth: np.ndarray) -> Record:
    """OLD with predictions that are right where `right` says so."""
    predictions = np.where(right, truth, (truth + 1) % 7)
    chosen = OLD.result["accuracy"]["val_selected"] | {"predictions": "".join(map(str, predictions))}
    accuracy = OLD.result["accuracy"] | {"val_selected": chosen}
    data = OLD.result["data"] | {"truth": "".join(map(str, truth))}
    return replace(OLD, result=OLD.result | {"accuracy": accuracy, "data": data})


def outcomes(verdict: Verdict) -> dict[str, str]:
    return {check.name: check.outcome for check in verdict.checks}


def test_a_record_passes_against_itself_by_all_its_figures() -> None:
    verdict = compare(OLD, OLD, Limits(latency=0.0, accuracy=0.0))
    assert verdict.outcome == PASS
    timed_by = {f"{name}, batch {batch}" for name in ("p50", "factor to unpruned") for batch in (1, 32)}
    assert set(outcomes(verdict)) == {ACCURACY, MACS, PARAMS, *timed_by}
    assert "within tolerance" in verdict.reason


@pytest.mark.parametrize(
    ("new", "name"),
    [
        (timed(np.full(100, 1.2 * OLD.result["latency"]["1"]["p50_ms"])), "p50, batch 1"),
        (timed(np.full(100, 1.2 * OLD.result["latency"]["32"]["p50_ms"]), "32"), "p50, batch 32"),
        (costing(macs=OLD.result["cost"]["macs"] + 1), MACS),
        (costing(params=OLD.result["cost"]["params"] + 1), PARAMS),
    ],
)
def test_what_is_slower_or_larger_fails_by_that_figure_alone(new: Record, name: str) -> None:
    verdict = compare(OLD, new, Limits())
    assert verdict.outcome == FAIL
    assert [check for check, outcome in outcomes(verdict).items() if outcome != PASS] == [name]
    assert verdict.reason.startswith(f"{name}: ")
    assert compare(new, OLD, Limits()).outcome == PASS, "the way back is an improvement"


def test_a_loss_of_accuracy_fails_and_a_gain_passes() -> None:
    truth = np.random.default_rng(0).integers(0, 7, 1000)
    good, bad = (answering(np.arange(1000) >= wrong, truth) for wrong in (300, 340))
    lost = accuracy_check(good, bad, Limits())
    assert (lost.outcome, accuracy_check(bad, good, Limits()).outcome) == (FAIL, PASS)
    assert "-4.00" in lost.reason  # 40 of 1000 images, all in one direction
    assert "McNemar p <0.001" in lost.reason  # 2 * 2^-40
    # the same two scores on different images say nothing yet: the sd of their difference is 2 points
    elsewhere = accuracy_check(answering(np.arange(1000) >= 300, (truth + 1) % 7), bad, Limits())
    assert elsewhere.outcome == PASS
    assert elsewhere.figure.endswith("unpaired")
    far = accuracy_check(good, answering(np.arange(1000) >= 400, (truth + 1) % 7), Limits())
    assert far.outcome == FAIL
    assert "unpaired" in far.reason


def test_the_tolerance_moves_the_line() -> None:
    slow = timed(np.full(100, 1.2 * OLD.result["latency"]["1"]["p50_ms"]))
    assert compare(OLD, slow, Limits(latency=0.3)).outcome == PASS
    truth = np.random.default_rng(0).integers(0, 7, 1000)
    good, bad = (answering(np.arange(1000) >= wrong, truth) for wrong in (300, 340))
    assert accuracy_check(good, bad, Limits(accuracy=6.0)).outcome == PASS


@pytest.mark.parametrize("bursts", [False, True])
def test_noise_alone_raises_no_alarm_even_without_a_tolerance(bursts: bool) -> None:
    alarms = [
        next(latency_checks("1", timed(noise(rng, bursts)), timed(noise(rng, bursts)), Limits(latency=0.0))).outcome
        == FAIL
        for rng in map(np.random.default_rng, range(TRIALS))
    ]
    assert sum(alarms) < 0.05 * TRIALS


def test_a_slow_down_of_ten_percent_is_caught_through_five_percent_of_noise() -> None:
    caught = [
        next(latency_checks("1", timed(noise(rng)), timed(1.1 * noise(rng)), Limits())).outcome == FAIL
        for rng in map(np.random.default_rng, range(TRIALS))
    ]
    assert sum(caught) >= 0.9 * TRIALS


def noise(rng: np.random.Generator, bursts: bool = False) -> np.ndarray:
    """100 runs (the fewest that a record holds) of 10 ms, coefficient of variation 5 %, alike for three or for one."""
    return 10 * (np.repeat(rng.normal(1, 0.05, 34), 3)[:100] if bursts else rng.normal(1, 0.05, 100))


@pytest.mark.parametrize("paired", [True, False])
def test_two_equally_good_networks_raise_no_alarm(paired: bool) -> None:
    alarms = 0
    for rng in map(np.random.default_rng, range(TRIALS)):
        truth = rng.integers(0, 7, 400)
        other = truth if paired else rng.permutation(truth)
        old, new = answering(rng.random(400) < 0.65, truth), answering(rng.random(400) < 0.65, other)
        alarms += accuracy_check(old, new, Limits(accuracy=0.0)).outcome == FAIL
    assert alarms < 0.05 * TRIALS


SLOW = np.full(100, 2 * np.median(OLD.result["latency"]["1"]["samples_ms"]))
ELSEWHERE = replace(timed(SLOW), environment=OLD.environment | {"cpu": {"model": "Another CPU"}})


@pytest.mark.parametrize(
    ("new", "said"),
    [
        (ELSEWHERE, "another environment (cpu.model Imaginary CPU -> Another CPU)"),
        (timed(SLOW, threads=7), "threads 2 -> 7"),
        (timed(SLOW, precision="int8"), "precision fp32 -> int8"),
        (timed(SLOW, runtime="openvino"), "runtime torch-eager -> openvino"),
    ],
)
def test_what_was_timed_otherwise_is_neither_passed_nor_failed(new: Record, said: str) -> None:
    verdict = compare(OLD, new, Limits())
    assert verdict.outcome == UNCLEAR
    assert said in verdict.reason
    assert "2.000x" in verdict.reason, "the figure is told all the same"


@pytest.mark.parametrize(("factor", "outcome"), [(1.0, PASS), (1.4, PASS), (2.5, FAIL)])
def test_a_noisy_median_fails_only_beyond_what_the_noise_explains(factor: float, outcome: str) -> None:
    times = np.array(OLD.result["latency"]["1"]["samples_ms"])
    p50 = float(np.median(times))
    noisy = {"noisy": True, "p50_ms": p50, "p90_ms": 1.2563 * p50}  # 20 %: exp(1.96 * sqrt(2) * 0.2) = 1.74
    found, *_ = latency_checks("1", timed(times, **noisy), timed(factor * times, **noisy), Limits())
    assert (found.outcome, found.figure.endswith(" noisy")) == (outcome, True)


def paired(ratio: float, half: float, **changes: Any) -> Record:
    """OLD, noisy, with this ratio to the unpruned network and an interval of `half` to either side."""
    ratios = {"unpruned": {"ratio": ratio, "interval": (ratio * (1 - half), ratio * (1 + half))}}
    return timed(np.array(OLD.result["latency"]["1"]["samples_ms"]), noisy=True, ratios=ratios, **changes)


@pytest.mark.parametrize(
    ("ratio", "half", "outcome"), [(0.5, 0.02, PASS), (0.56, 0.02, FAIL), (0.56, 0.2, PASS), (0.4, 0.02, PASS)]
)
def test_the_paired_factor_is_judged_through_noise_by_its_interval(ratio: float, half: float, outcome: str) -> None:
    assert outcomes(compare(paired(0.5, half), paired(ratio, half), Limits()))["factor to unpruned, batch 1"] == outcome


def test_a_figure_that_is_no_number_fails() -> None:
    nan = float("nan")
    assert outcomes(compare(OLD, costing(macs=nan), Limits()))[MACS] == FAIL
    assert outcomes(compare(costing(params=nan), OLD, Limits()))[PARAMS] == FAIL
    assert outcomes(compare(OLD, timed(np.full(100, nan)), Limits()))["p50, batch 1"] == FAIL
    assert outcomes(compare(OLD, paired(nan, 0.1), Limits()))["factor to unpruned, batch 1"] == FAIL


def test_doubt_about_the_time_hides_no_regression_of_another_figure() -> None:
    worse = replace(ELSEWHERE, result=ELSEWHERE.result | {"cost": costing(macs=10**12).result["cost"]})
    verdict = compare(OLD, worse, Limits())
    assert verdict.outcome == FAIL
    assert "MACs" in verdict.reason
    assert "another environment" in verdict.reason


def test_memory_moves_no_latency_and_many_changes_are_counted() -> None:
    old = {"cpu": {"model": "a", "cores": 2}, "ram_gib": 23.5, "versions": {"torch": "1"}, "gpu": None}
    assert environment_changes(old, old | {"ram_gib": 24.0}) == []
    new = {"cpu": {"model": "b", "cores": 4}, "ram_gib": 1.0, "versions": {"torch": "1", "onnx": "2"}, "gpu": None}
    assert environment_changes(old, new) == ["cpu.cores 2 -> 4", "cpu.model a -> b", "versions.onnx None -> 2"]
    moved = compare(replace(OLD, environment=old), replace(OLD, environment=new), Limits())
    assert "1 more" in moved.reason


def test_what_was_not_measured_again_fails() -> None:
    gone = compare(OLD, None, Limits())
    assert (gone.outcome, gone.reason) == (FAIL, "record: missing in NEW")
    untimed = replace(OLD, result=OLD.result | {"latency": {"1": OLD.result["latency"]["1"]}})
    half = compare(OLD, untimed, Limits())
    assert (half.outcome, half.reason) == (FAIL, "p50, batch 32: timed in OLD, missing in NEW")
    assert compare(untimed, OLD, Limits()).outcome == PASS
    assert untimed_before(untimed, OLD) == ["p50, batch 32"]


@pytest.mark.parametrize("limits", [partial(Limits, latency=-0.1), partial(Limits, accuracy=float("nan"))])
def test_a_tolerance_below_zero_is_refused(limits: Callable[[], Limits]) -> None:
    with pytest.raises(ValueError, match="not negative"):
        limits()
