"""A record's times may be younger than the rest of it: then it names the commit and machine of both."""

from dataclasses import replace

import pytest
from fake_records import fake_records

from bench import records
from bench.measure.together import with_latency, with_times
from bench.pages.captions import code_line, machine_line
from bench.pages.record_page import origin as told_of
from bench.records import Record
from bench.verdicts import UNCLEAR, Limits, latency_checks
from compress.timing.machine import origin

FIRST, SECOND = [one for one in fake_records().values() if one.result["latency"]][:2]


def here(record: Record) -> Record:
    """`record` as if this code had measured it on this machine."""
    return replace(record, **origin())


def test_times_of_the_same_code_and_machine_need_no_second_origin() -> None:
    again = with_times(here(FIRST), {"latency": {}})
    assert again.times is None
    assert again.result["latency"] == {} and again.result["accuracy"] == FIRST.result["accuracy"]
    assert again.timing["commit"] == again.commit


@pytest.mark.parametrize("change", [{"commit": "f" * 40}, {"dirty": True}, {"environment": {"threads": 9}}])
def test_times_of_other_code_or_another_machine_say_so(change: dict, tmp_path) -> None:
    now = origin()
    old = replace(here(FIRST), dirty=False)
    taken = now | {"dirty": False} | change
    new = with_times(old, {"latency": FIRST.result["latency"]}, taken)
    assert new.times == taken == new.timing
    assert (new.commit, new.environment) == (old.commit, old.environment), "the rest is as old as it was"
    assert records.load(records.save(new, tmp_path)) == new


def test_a_latency_that_joins_later_is_told_apart() -> None:
    joined = with_latency(replace(here(FIRST), commit="e" * 40), FIRST.result["latency"]["1"] | {"batch": 8})
    assert joined.times is not None and joined.times["commit"] == origin()["commit"]
    assert set(joined.result["latency"]) == {*FIRST.result["latency"], "8"}


def test_pages_name_both() -> None:
    taken = origin() | {"commit": "f" * 40, "dirty": True, "created": "2030-01-02T03:04:05Z"}
    taken["environment"] = FIRST.environment | {"threads": 9}
    younger = with_times(FIRST, {}, taken)
    assert code_line([FIRST, SECOND]).endswith(FIRST.created[:10]), "nothing to say"
    assert f"; times of 1 records: commit {'f' * 12} (tree changed), 2030-01-02" in code_line([younger, SECOND])
    assert "2 | 9 threads" in machine_line([younger])
    assert ("Timed", "2030-01-02T03:04:05Z") in told_of(younger)
    assert not any(name == "Timed" for name, _ in told_of(FIRST))


def test_times_are_compared_by_the_machine_that_took_them() -> None:
    taken = origin() | {"environment": FIRST.environment | {"cpu": {"model": "Another CPU"}}}
    younger = with_times(FIRST, {}, taken)
    found, *_ = latency_checks("1", FIRST, younger, Limits())
    assert found.outcome == UNCLEAR and "Another CPU" in found.reason
    found, *_ = latency_checks("1", younger, younger, Limits())
    assert "Another CPU" not in found.reason
