"""A plan is what was cut: it comes back as it was written, and an edited one is refused."""

import json
from dataclasses import replace

import pytest

from compress import Floor, Plan

PLAN = Plan(
    requested=0.5,
    rule="exact",
    criterion="gamma",
    align=1,
    floor=Floor(),
    seed=0,
    absorb=True,
    kept={"a": (0, 2, 3), "b": (1,)},
    widths_before={"a": 4, "b": 4},
    params_before=100,
    params_after=60,
    macs_before=1000,
    macs_after=500,
    whole={"c": "grouped"},
)


def test_a_plan_comes_back_whole(tmp_path):
    PLAN.save(tmp_path / "plan.json")
    assert Plan.load(tmp_path / "plan.json") == PLAN
    assert PLAN.to_json() == Plan.from_json(PLAN.to_json()).to_json()


@pytest.mark.parametrize(
    "channels", [(0,) * 8, (-1, 0), (0, 4), (0, 1.7), ("0", "3"), (1, 1), (2, 1), (), (True,), (None,)]
)
def test_channels_that_a_layer_does_not_have_are_refused(channels):
    with pytest.raises(ValueError, match=r"a keeps .* of 4 channels"):
        replace(PLAN, kept=PLAN.kept | {"a": channels})
    changed = replace(PLAN, kept=dict(PLAN.kept))
    changed.kept["a"] = channels
    with pytest.raises(ValueError, match=r"a keeps .* of 4 channels"):
        changed.check()


def edited(**changes):
    return json.dumps(json.loads(PLAN.to_json()) | changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"kept": {"a": [0, 1, 2], "b": [1]}},
        {"kept": {"a": [0] * 8, "b": [1]}},
        {"kept": {"a": [0, 1.7], "b": [1]}},
        {"kept": {"a": ["0", "3"], "b": [1]}},
        {"kept": {"a": [0]}},
        {"kept": [1, 2]},
        {"widths_before": {"a": 8, "b": 4}},
        {"requested": 0.6},
        {"requested": "0.5"},
        {"requested": None},
        {"floor": {"channels": 0}},
        {"floor": 8},
        {"macs_after": 0},
        {"target": "miles"},
        {"target": "ms"},
        {"schema": 3},
        {"digest": None},
        {"surprise": 1},
    ],
)
def test_an_edited_plan_is_refused(changes):
    with pytest.raises(ValueError, match="plan"):
        Plan.from_json(edited(**changes))


@pytest.mark.parametrize(
    "text", ["", "nothing", "[]", "3", "null", "{}", '{"a": NaN}', "[" * 100_000, '{"kept":' * 100_000, "\ud800"]
)
def test_what_is_no_plan_is_a_sentence(text, tmp_path):
    (tmp_path / "plan.json").write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(ValueError, match=r"plan\.json: .*"):
        Plan.load(tmp_path / "plan.json")


def test_a_missing_plan_names_itself(tmp_path):
    with pytest.raises(ValueError, match=r"nowhere\.json"):
        Plan.load(tmp_path / "nowhere.json")


def test_a_plan_of_before_there_were_digests_is_read():
    old = json.loads(PLAN.to_json())
    for name in ("digest", "target", "timing", "whole"):
        del old[name]
    assert Plan.from_json(json.dumps(old | {"schema": 1})) == replace(PLAN, whole={})
