"""The gate as a command: statuses, the table, the last line, and sentences for mistakes."""

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fake_records import fake_records

from bench import gate
from bench.records import Cell, Record, load, paths, save

CALM = {cell: record for cell, record in fake_records().items() if cell.ratio != 0.8}
"""The invented records at 80 % are noisy."""


def folder(root: Path, records: Mapping[Cell, Record]) -> Path:
    paths = [save(record, root) for record in records.values()]
    return paths[0].parent


def without(record: Record, name: str) -> Record:
    return replace(record, result={key: value for key, value in record.result.items() if key != name})


def judged(capsys: pytest.CaptureFixture[str], *words: str | Path) -> tuple[int, dict[str, Any], str]:
    """(status, last line, everything before it)."""
    status = gate.main([str(word) for word in words])
    *said, last = capsys.readouterr().out.splitlines()
    return status, json.loads(last), "\n".join(said)


def test_equal_folders_pass_and_every_cell_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old, new = folder(tmp_path / "old", CALM), folder(tmp_path / "new", CALM)
    status, last, said = judged(capsys, old, new)
    assert (status, last["passed"], last["pass"], last["cells"]) == (0, True, len(CALM), len(CALM))
    assert last["tolerances"] == {"latency": 0.05, "accuracy": 0.5}
    for cell in CALM:
        assert f"          pass  {cell.id}: " in said
    assert "Accuracy, points [95 %]" in said
    assert "p50, batch 32, NEW / OLD [95 %]" in said


def test_one_slower_cell_closes_the_gate(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cell, record = next((cell, record) for cell, record in CALM.items() if cell.variant == "slim")
    timed = record.result["latency"]
    slow = timed["1"] | {"samples_ms": [1.1 * ms for ms in timed["1"]["samples_ms"]]}
    worse = CALM | {cell: replace(record, result=record.result | {"latency": timed | {"1": slow}})}
    old, new = folder(tmp_path / "old", CALM), folder(tmp_path / "new", worse)
    status, last, said = judged(capsys, old, new)
    assert (status, last["passed"], last["failed"]) == (1, False, [cell.id])
    assert f"          fail  {cell.id}: p50, batch 1: 1.100x [" in said
    assert judged(capsys, old, new, "--latency-tolerance", "0.2")[0] == 0


def test_what_is_not_comparable_is_told_and_fails_when_strict(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, *others = CALM
    moved = replace(CALM[first], environment=CALM[first].environment | {"cpu": {"model": "Another CPU"}})
    old, new = folder(tmp_path / "old", CALM), folder(tmp_path / "new", CALM | {first: moved})
    status, last, said = judged(capsys, old, new)
    assert (status, last["not_comparable"], last["pass"], last["fail"]) == (0, 1, len(others), 0)
    assert f"not comparable  {first.id}: p50" in said
    status, last, _ = judged(capsys, old, new, "--strict")
    assert (status, last["passed"], last["failed"]) == (1, False, [])


RECORDS = Path(__file__).parents[2] / "reports/records"
PUBLISHED = sorted(path for path in RECORDS.glob("*/*/*") if path.is_dir() and path.parts[-3] != "fig4")
NOISY = [RECORDS / name / "fer2013/cpu" for name in ("table5", "networks", "occlusion")]
FEW = 24
"""Records of a folder that are looked at: the times of a hundred take a minute to resample."""


def rewritten(path: Path, root: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    """A copy of a folder of records; `change` may alter each latency in place."""
    for record in map(load, paths(path)[:FEW]):
        for latency in record.result.get("latency", {}).values():
            change(latency)
        save(record, root)
    return root / path.relative_to(path.parents[2])


def ten_times(name: str) -> Callable[[dict[str, Any]], None]:
    """Ten times slower on the clock, or beside the networks that took turns with it."""

    def clock(latency: dict[str, Any]) -> None:
        latency |= {key: 10 * latency[key] for key in ("p50_ms", "p90_ms")}
        if "samples_ms" in latency:
            latency["samples_ms"] = [10 * ms for ms in latency["samples_ms"]]

    def turns(latency: dict[str, Any]) -> None:
        for ratio in latency["ratios"].values():
            ratio |= {"ratio": 10 * ratio["ratio"], "interval": [10 * end for end in ratio["interval"]]}

    return {"clock": clock, "turns": turns}[name]


@pytest.mark.parametrize("path", PUBLISHED, ids=lambda path: "-".join(path.parts[-3:]))
def test_committed_records_pass_against_themselves_strictly(
    path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for file in paths(path)[:FEW]:
        shutil.copy(file, tmp_path)
    status, last, _ = judged(capsys, tmp_path, tmp_path, "--strict")
    assert (status, last["passed"], last["pass"]) == (0, True, last["cells"])


def test_what_is_never_judged_is_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    path = str(RECORDS / "fig4/fer2013/cpu")
    assert gate.main([path, path]) == 2
    assert "holds no accuracy, cost or latency" in capsys.readouterr().err


@pytest.mark.parametrize("way", ["clock", "turns"])
@pytest.mark.parametrize("path", NOISY, ids=lambda path: path.parts[-3])
def test_ten_times_slower_fails_on_the_committed_noisy_records(
    path: Path, way: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    new = rewritten(path, tmp_path / "new", ten_times(way))
    timed = {record.cell.id: record.result.get("latency", {}) for record in map(load, paths(path)[:FEW])}
    assert any(one["noisy"] for latency in timed.values() for one in latency.values())
    slower = {name for name, each in timed.items() if any(way == "clock" or one["ratios"] for one in each.values())}
    status, last, _ = judged(capsys, rewritten(path, tmp_path / "old", lambda _: None), new)
    assert slower
    assert (status, set(last["failed"])) == (1, slower)


def test_noise_of_the_next_session_is_no_regression(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = NOISY[0]

    def drifted(latency: dict[str, Any]) -> None:
        for key in ("p50_ms", "p90_ms"):
            latency[key] *= 1.1
        latency["samples_ms"] = [1.1 * ms for ms in latency["samples_ms"]]

    status, last, _ = judged(
        capsys,
        rewritten(path, tmp_path / "old", lambda _: None),
        rewritten(path, tmp_path / "new", drifted),
        "--strict",
    )
    assert (status, last["failed"]) == (0, [])


def test_missing_cells_fail_and_extra_ones_are_listed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, *others = CALM
    old, new = folder(tmp_path / "old", CALM), folder(tmp_path / "new", {cell: CALM[cell] for cell in others})
    status, last, said = judged(capsys, old, new)
    assert (status, last["failed"]) == (1, [first.id])
    assert f"{first.id}: record: missing in NEW" in said
    status, last, said = judged(capsys, new, old)
    assert (status, last["extra"], last["cells"]) == (0, [first.id], len(others))
    assert f"only in NEW  {first.id}" in said


def test_a_new_batch_size_is_listed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cell, record = next(iter(CALM.items()))
    timed = {"1": record.result["latency"]["1"]}
    old = folder(tmp_path / "old", {cell: replace(record, result=record.result | {"latency": timed})})
    status, last, _ = judged(capsys, old, folder(tmp_path / "new", {cell: record}))
    assert (status, last["extra"]) == (0, [f"{cell.id} (p50, batch 32)"])


def test_a_mistake_is_one_sentence_and_status_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cell, record = next(iter(CALM.items()))
    good = folder(tmp_path / "good", {cell: record})
    other_data = replace(cell, data="other")
    other = folder(tmp_path / "other", {other_data: replace(record, cell=other_data)})
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "x.json").write_text("{")
    bare = folder(tmp_path / "bare", {cell: replace(record, result={})})
    cut = record.result["data"] | {"truth": "012"}
    torn = folder(tmp_path / "torn", {cell: replace(record, result=record.result | {"data": cut})})
    costless = folder(tmp_path / "costless", {cell: without(record, "cost")})
    few = {name: count for name, count in record.result["cost"].items() if name != "macs"}
    uncounted = folder(tmp_path / "uncounted", {cell: replace(record, result=record.result | {"cost": few})})
    other_cell, whole = list(CALM.items())[1]
    mixed = folder(tmp_path / "mixed", {cell: without(record, "latency"), other_cell: whole})
    unnumbered = folder(tmp_path / "unnumbered", {cell: record})
    path = unnumbered / f"{cell.id}.json"
    path.write_text(path.read_text().replace(f'"macs": {record.result["cost"]["macs"]}', '"macs": NaN'))
    assert "NaN" in path.read_text()
    mistakes = {
        "holds no record": [good, tmp_path / "empty"],
        "give a folder such as": [tmp_path / "nowhere", good],
        "is not a record": [good, tmp_path / "broken"],
        "no cell in common": [good, other],
        "holds no accuracy, cost or latency": [good, bare],
        "has no cost in NEW": [good, costless],
        "has no macs in NEW": [good, uncounted],
        "has no latency, others beside it have": [good, mixed],
        "mrf-dense-00-s0.json is not a record": [good, unnumbered],
        "600 predictions for 3 test labels": [good, torn],
        "not negative": [good, good, "--accuracy-tolerance", "-1"],
    }
    for sentence, words in mistakes.items():
        assert gate.main([str(word) for word in words]) == 2
        told = capsys.readouterr()
        assert sentence in told.err
        assert told.err.startswith("bench.gate: ")
        assert (told.err.count("\n"), told.out) == (1, "")


def test_the_options_are_these() -> None:
    given = vars(gate.arguments(["a", "b"]))
    assert given == {
        "old": Path("a"),
        "new": Path("b"),
        "latency_tolerance": 0.05,
        "accuracy_tolerance": 0.5,
        "strict": False,
    }
    with pytest.raises(SystemExit, match="2"):
        gate.arguments(["a"])
