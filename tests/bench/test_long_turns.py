"""Long turns: every subject gets its runs and seconds, a turn's first run is dropped, pairs are medians of turns."""

import numpy as np
import pytest

from bench.long_turns import measure_turns
from bench.turns import WarmUp

CALM = WarmUp(window=2, max_runs=6, max_seconds=1e9)


class Shop:
    """A clock that only work moves; the first run after somebody else's is slower, as threads come to rest."""

    def __init__(self) -> None:
        self.now_ns, self.last = 0, ""
        self.calls: list[str] = []

    def clock(self) -> int:
        return self.now_ns

    def subject(self, name: str, ms: float):
        def work() -> None:
            self.calls.append(name)
            self.now_ns += round(1e6 * (ms if self.last == name else 5 * ms))
            self.last = name

        return work


def measured(min_runs: int = 10, min_seconds: float = 0.0, **ms: float):
    shop = Shop()
    subjects = {name: shop.subject(name, each) for name, each in ms.items()}
    return shop, measure_turns(
        subjects, min_runs=min_runs, min_seconds=min_seconds, turn_ms=20.0, warmup=CALM, clock=shop.clock
    )


def test_a_turn_lasts_as_long_for_a_fast_subject_as_for_a_slow_one_and_its_first_run_is_not_kept() -> None:
    _, found = measured(fast=1.0, slow=10.0)
    assert (found["fast"].per_turn, found["slow"].per_turn) == (20, 2)
    assert set(found["fast"].samples.ms) == {1.0} and set(found["slow"].samples.ms) == {10.0}
    assert found["fast"].medians_ms.tolist() == [1.0] * len(found["slow"].medians_ms)


def test_all_have_their_runs_and_seconds() -> None:
    _, found = measured(min_runs=50, min_seconds=0.3, a=1.0, b=4.0, c=100.0)
    for turns in found.values():
        assert len(turns.samples.ms) >= 50 and turns.samples.ms.sum() >= 300
    assert len({len(turns.medians_ms) for turns in found.values()}) == 1, "pairs need the same number of turns"


def test_ratios_are_those_of_paired_turns() -> None:
    _, found = measured(a=2.0, b=8.0)
    pair = found["a"].ratio_to(found["b"])
    assert pair.ratio == pytest.approx(0.25) and pair.interval == pytest.approx((0.25, 0.25))


def test_subjects_stay_together_within_a_turn() -> None:
    shop, found = measured(a=5.0, b=5.0)
    turns = "".join(shop.calls)[-2 * (found["a"].per_turn + 1) :]
    assert turns == "a" * 5 + "b" * 5
    assert np.all(found["a"].samples.ms == 5.0)


def test_nothing_to_measure_is_a_sentence() -> None:
    with pytest.raises(ValueError, match="at least one subject"):
        measure_turns({})
