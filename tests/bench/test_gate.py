"""The gate as a command: statuses, the table, the last line, and sentences for mistakes."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fake_records import fake_records

from bench import gate
from bench.records import Cell, Record, save

CALM = {cell: record for cell, record in fake_records().items() if cell.ratio != 0.8}
"""The invented records at 80 % are noisy."""


def folder(root: Path, records: Mapping[Cell, Record]) -> Path:
    paths = [save(record, root) for record in records.values()]
    return paths[0].parent


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
    every = fake_records()
    old, new = folder(tmp_path / "old", every), folder(tmp_path / "new", every)
    noisy = [cell for cell in every if cell not in CALM]
    status, last, said = judged(capsys, old, new)
    assert (status, last["not_comparable"], last["pass"], last["fail"]) == (0, len(noisy), len(CALM), 0)
    assert all(f"not comparable  {cell.id}: p50" in said for cell in noisy)
    status, last, _ = judged(capsys, old, new, "--strict")
    assert (status, last["passed"], last["failed"]) == (1, False, [])


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
    mistakes = {
        "holds no record": [good, tmp_path / "empty"],
        "give a folder such as": [tmp_path / "nowhere", good],
        "is not a record": [good, tmp_path / "broken"],
        "no cell in common": [good, other],
        "has no accuracy, cost, data, latency": [good, bare],
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
