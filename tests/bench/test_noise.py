"""Times that need a warning: wide factors, restless milliseconds without one, and nothing else."""

import csv
import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fake_records import fake_records

from bench import records
from bench.pages.noise import doubt, doubts, noise, spread_line, spread_of
from bench.records import Cell, Record

ROOT = Path(__file__).parents[2]
CELL = Cell(table="table5", data="invented", scale="cpu", model="mrf", variant="slim", ratio=0.6, seed=0)


def told(spread: float = 0.0, half: float | None = None, per_turn: int = 3, **more) -> dict:
    """A latency of 100 turns whose robust spread is `spread`, one run of every turn interrupted for a second."""
    turns = 10 * (1 + spread * np.random.default_rng(0).standard_normal(1000))
    runs = np.repeat(turns, per_turn).reshape(-1, per_turn)
    runs[:, 0] += 1000 if per_turn > 2 else 0
    ratios = {} if half is None else {"unpruned": {"ratio": 0.5, "interval": [0.5 - half / 2, 0.5 + half / 2]}}
    return {"samples_ms": runs.ravel().tolist(), "per_turn": per_turn, "ratios": ratios, "noisy": True} | more


def record(**latencies: dict) -> Record:
    given = fake_records()[CELL]
    return replace(given, result=given.result | {"latency": latencies})


@pytest.mark.parametrize("per_turn", [1, 3])
@pytest.mark.parametrize("spread", [0.02, 0.1])
def test_the_spread_is_that_of_the_turns_and_not_of_interrupted_runs(spread, per_turn):
    assert spread_of(told(spread, per_turn=per_turn)) == pytest.approx(spread, rel=0.1)


@pytest.mark.parametrize(("half", "said"), [(0.049, ""), (0.051, "a speed-up is uncertain by 5.1 %")])
def test_a_factor_is_judged_by_its_interval_whatever_the_milliseconds_do(half, said):
    assert doubt(told(0.3, half)) == said


def test_the_widest_of_several_factors_counts_and_others_may_be_given():
    pairs = {name: {"ratio": 1.0, "interval": [1 - half, 1 + half]} for name, half in (("a", 0.01), ("b", 0.2))}
    assert doubt(told(ratios=pairs)) == "a speed-up is uncertain by 20.0 %"
    assert doubt(told(ratios=pairs), [(2.0, 1.98, 2.02)]) == ""


def test_milliseconds_without_a_factor_are_judged_by_their_turns():
    assert doubt(told(0.02)) == ""
    assert doubt(told(0.1)).startswith("turns differ by ")


def test_without_factor_and_samples_the_record_is_believed():
    bare = {"ratios": {}, "noisy": True}
    assert doubt(bare).startswith("noisy when it was measured") and not doubt(bare | {"noisy": False})
    assert spread_line([record(**{"1": bare})]) == ""


def test_a_row_has_one_remark_and_a_page_a_line_for_every_time():
    restless = record(**{"1": told(0.1), "8": told(0.1, 0.01), "32": told(half=0.06)})
    (said,) = noise([restless])
    assert said.startswith("noisy timing: batch 1, turns differ by ") and "; batch 32, a speed-up is uncertain" in said
    assert "batch 8" not in said
    lines = doubts([restless], {"mrf": "MRF"}, {"slim": "plain"})
    assert [line.split(": ")[0] for line in lines] == ["MRF, plain, 60 %, batch 1", "MRF, plain, 60 %, batch 32"]
    assert noise([record(**{"1": told(0.1, 0.01)})]) == []
    assert (
        spread_line([restless])
        == f"; turns differ by 0 to {100 * spread_of(told(0.1)):.0f} % (robust standard deviation)"
    )


def test_a_flag_says_something_on_the_published_table():
    """The unpruned networks have no factor and turned restlessly; every factor is known within 5 %."""
    root = ROOT / "reports"
    found = records.load_all(root / "records", table="table5", data="fer2013", scale="cpu")
    rows = csv.DictReader(io.StringIO((root / "tables/fer2013-cpu/table5.csv").read_text()))
    flagged = {(row["model"], row["variant"]) for row in rows if "1.0" in (row["noisy_b1"], row["noisy_b32"])}
    assert flagged == {("mrf", "dense"), ("vggnet", "dense")}
    assert all(told["noisy"] for one in found.values() for told in (one.result.get("latency") or {}).values())
