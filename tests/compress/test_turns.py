"""Turns: warm-up, every subject's runs and seconds, a turn's first run dropped, pairs of turns, repeats when noisy."""

import gc
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from fake_samples import samples

from compress.timing.stats import drift_of_others
from compress.timing.turns import Samples, WarmUp, calmest, measure_turns


class Shop:
    """A clock that only work moves, and subjects whose durations are known."""

    def __init__(self, *, unrest: float = 1.0) -> None:
        """Args: unrest: how many times as long the first run after another subject's takes."""
        self.now_ns, self.last, self.unrest = 0, "", unrest
        self.calls: list[str] = []

    def clock(self) -> int:
        return self.now_ns

    def subject(self, name: str, *ms: float):
        """Takes ms[i] in its i-th run; the last duration stays."""
        left = list(ms)

        def work() -> None:
            self.calls.append(name)
            own = left.pop(0) if len(left) > 1 else left[0]
            self.now_ns += round(1e6 * own * (1 if self.last == name else self.unrest))
            self.last = name

        return work


def measured(shop: Shop, *, min_runs: int = 10, min_seconds: float = 0.0, warmup: WarmUp | None = None, **ms: float):
    subjects = {name: shop.subject(name, each) for name, each in ms.items()}
    calm = warmup or WarmUp(window=2, max_runs=6, max_seconds=1e9)
    return measure_turns(
        subjects, min_runs=min_runs, min_seconds=min_seconds, turn_ms=20.0, warmup=calm, clock=shop.clock
    )


def test_a_turn_lasts_as_long_for_a_fast_subject_as_for_a_slow_one_and_its_first_run_is_not_kept() -> None:
    found = measured(Shop(unrest=5), fast=1.0, slow=10.0)
    assert (found["fast"].per_turn, found["slow"].per_turn) == (20, 2)
    assert set(found["fast"].ms) == {1.0} and set(found["slow"].ms) == {10.0}
    assert found["fast"].medians_ms.tolist() == [1.0] * len(found["slow"].medians_ms)


def test_a_run_that_outlasts_the_turn_is_a_turn_of_its_own_and_none_is_dropped() -> None:
    shop = Shop()
    found = measured(shop, slow=30.0, slower=200.0)
    assert {one.per_turn for one in found.values()} == {1}
    assert shop.calls[-20:] == ["slow", "slower"] * 10
    assert len(found["slow"].ms) == len(found["slower"].ms) == 10


def test_all_have_their_runs_and_seconds() -> None:
    found = measured(Shop(unrest=5), min_runs=50, min_seconds=0.3, a=1.0, b=4.0, c=100.0)
    for one in found.values():
        assert len(one.ms) >= 50 and one.ms.sum() >= 300
    assert len({len(one.medians_ms) for one in found.values()}) == 1, "pairs need the same number of turns"


def test_ratios_are_those_of_paired_turns() -> None:
    found = measured(Shop(unrest=5), a=2.0, b=8.0)
    pair = found["a"].ratio_to(found["b"])
    assert pair.ratio == pytest.approx(0.25) and pair.interval == pytest.approx((0.25, 0.25))


def test_subjects_stay_together_within_a_turn() -> None:
    shop = Shop(unrest=5)
    found = measured(shop, a=5.0, b=5.0)
    turns = "".join(shop.calls)[-2 * (found["a"].per_turn + 1) :]
    assert turns == "a" * 5 + "b" * 5
    assert np.all(found["a"].ms == 5.0)


def test_a_cold_start_is_not_kept() -> None:
    shop = Shop()
    cold = [40.0 / (1 + i) for i in range(20)]
    work = {"a": shop.subject("a", *cold, 1.0), "b": shop.subject("b", 3.0)}
    found = measure_turns(work, min_runs=10, min_seconds=0.0, clock=shop.clock)["a"]
    assert found.stable and found.warmup_runs > 20
    assert set(found.ms) == {1.0}


def test_a_subject_that_never_settles_stops_the_warm_up_at_its_cap() -> None:
    shop = Shop()
    work = {"a": shop.subject("a", *[1.1**i for i in range(60)]), "b": shop.subject("b", 1.0)}
    capped = WarmUp(max_runs=30, max_seconds=1e9)
    by_runs = measure_turns(work, min_runs=2, min_seconds=0.0, warmup=capped, clock=shop.clock)
    assert (by_runs["a"].warmup_runs, by_runs["a"].stable, by_runs["b"].stable) == (31, False, True)
    by_time = measured(Shop(), min_runs=2, warmup=WarmUp(max_seconds=0.4), a=100.0)["a"]
    assert (by_time.warmup_runs, by_time.stable) == (5, False)


def test_a_first_run_that_compiles_neither_ends_the_warm_up_nor_makes_turns_of_one_run() -> None:
    shop = Shop()
    work = {"compiled": shop.subject("compiled", 60_000.0, 9.0, 2.0), "plain": shop.subject("plain", 2.0)}
    found = measure_turns(work, min_runs=50, min_seconds=0.0, turn_ms=20.0, clock=shop.clock)
    assert {one.per_turn for one in found.values()} == {10} and found["compiled"].stable
    assert set(found["compiled"].ms) == {2.0}


def test_no_garbage_is_collected_while_timing_and_collection_comes_back() -> None:
    seen: list[bool] = []
    measure_turns({"a": lambda: seen.append(gc.isenabled())}, min_runs=3, min_seconds=0.0)
    assert len(seen) > 3
    assert not any(seen)
    assert gc.isenabled()

    def fail() -> None:
        raise RuntimeError("broken subject")

    with pytest.raises(RuntimeError, match="broken"):
        measure_turns({"a": fail})
    assert gc.isenabled()


def test_progress_rises_to_one_between_rounds() -> None:
    shop = Shop()
    told: list[float] = []
    work = {"a": shop.subject("a", 30.0), "b": shop.subject("b", 50.0)}
    measure_turns(work, min_runs=4, min_seconds=0.15, clock=shop.clock, progress=told.append)
    assert told[-1] == 1.0
    assert all(earlier < later for earlier, later in pairwise(told))


def test_nothing_to_measure_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one subject"):
        measure_turns({})
    with pytest.raises(ValueError, match="two runs"):
        measure_turns({"a": lambda: None}, min_runs=1)


def attempt(**cvs: float) -> dict[str, Samples]:
    """One measurement whose subjects have these coefficients of variation (n - 1) and a mean of 10 ms."""
    waves = {name: 10 * (1 + cv * np.tile([1.0, -1.0], 50) * (99 / 100) ** 0.5) for name, cv in cvs.items()}
    return {name: samples(wave) for name, wave in waves.items()}


@pytest.mark.parametrize(
    ("made", "attempts", "kept"),
    [
        ([{"a": 0.01, "b": 0.01}, {"a": 0.0, "b": 0.0}], 1, 0),  # calm at once: never repeated
        ([{"a": 0.01, "b": 0.3}, {"a": 0.02, "b": 0.02}], 2, 1),  # noisy, then calm
        ([{"a": 0.3, "b": 0.3}, {"a": 0.01, "b": 0.4}, {"a": 0.2, "b": 0.2}], 3, 1),  # the fewest noisy
        ([{"a": 0.3, "b": 0.3}, {"a": 0.1, "b": 0.2}, {"a": 0.1, "b": 0.25}], 3, 1),  # then the smallest spread
    ],
)
def test_a_noisy_measurement_is_repeated_and_the_calmest_kept(
    made: list[dict[str, float]], attempts: int, kept: int
) -> None:
    left = iter(made)
    found = calmest(lambda: attempt(**next(left)), 3)
    assert {name: one.cv for name, one in found.items()} == pytest.approx(made[kept])
    assert {one.attempts for one in found.values()} == {attempts}


def test_an_attempt_is_chosen_for_calm_and_not_for_speed() -> None:
    fast = {"a": replace(attempt(a=0.2)["a"], ms=attempt(a=0.2)["a"].ms / 2)}
    left = iter([fast, attempt(a=0.1)])
    assert calmest(lambda: next(left), 2)["a"].ms.mean() == pytest.approx(10.0)
    with pytest.raises(ValueError, match="at least one"):
        calmest(lambda: attempt(a=0.0), 0)


def test_one_interrupted_run_and_what_slows_all_alike_are_no_noise() -> None:
    shop = Shop()
    slow = [1.0] * 60 + [500.0] + [1.0] * 60
    found = measure_turns({"a": shop.subject("a", *slow, 1.0)}, min_runs=200, min_seconds=0.0, clock=shop.clock)["a"]
    assert found.cv > 1 and not found.noisy and found.spread == 0
    drift = np.repeat(np.linspace(1.0, 3.0, 50), 2)
    together = drift_of_others(np.stack([10 * drift, 20 * drift]))
    for ms, other in zip((10 * drift, 20 * drift), together, strict=True):
        assert samples(ms).noisy and not replace(samples(ms), drift=other).noisy
    restless = 10 * drift * np.tile([0.9, 1.1], 50)
    own, _ = drift_of_others(np.stack([restless, 20 * drift]))
    assert replace(samples(restless), drift=own).spread == pytest.approx(1.4826 * 0.1, rel=0.05)
