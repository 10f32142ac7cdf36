import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import bench
from bench.records import SCHEMA, Cell, Record, load, load_all, paths, save
from bench.schema import Result

CELL = Cell(table="table5", data="synthetic", scale="cpu", model="mrf", variant="slim", ratio=0.6, seed=1)
ACCURACY = {
    "n": 2,
    "correct": 1,
    "overall": 0.5,
    "interval": [0.1, 0.9],
    "class_mean": 0.5,
    "macro_f1": 0.5,
    "majority": 0.5,
    "recall": {"joy": 0.5},
    "confusion": [[1, 0], [1, 0]],
    "predictions": "00",
    "absent": [],
}
RESULT: Result = {
    "cost": {"params": 3, "macs": 4},
    "accuracy": {"val_selected": ACCURACY, "flip": None},
    "data": {"name": "synthetic", "truth": "01", "notes": ["sizes [\n 1,\n 2\n]", "a, b"]},
    "latency": {
        "1": {
            "p50_ms": 1.5,
            "p90_ms": 2.0,
            "noisy": False,
            "threads": 2,
            "runtime": "torch-eager",
            "precision": "fp32",
            "ratios": {"unpruned": {"ratio": 0.5, "interval": [0.4, 0.6]}},
            "samples_ms": [1.5, 2.0, 3e-07],
        }
    },
    "mask": {"passing": None},
}


def record(cell: Cell = CELL) -> Record:
    return Record(
        cell=cell,
        config={"lr": 0.1},
        result=RESULT,
        environment={"cpu": "x"},
        commit="0" * 40,
        dirty=False,
        created="2026-01-02T03:04:05Z",
    )


def test_a_record_comes_back_and_lies_where_its_cell_says(tmp_path: Path) -> None:
    path = save(record(), tmp_path)
    assert path.relative_to(tmp_path).as_posix() == "table5/synthetic/cpu/mrf-slim-60-s1.json"
    assert load(path) == record()
    assert json.loads(path.read_text())["result"] == RESULT


def test_saving_twice_gives_the_same_bytes_with_numbers_on_one_line(tmp_path: Path) -> None:
    first = save(record(), tmp_path).read_bytes()
    again = save(load(save(record(), tmp_path)), tmp_path).read_bytes()
    assert first == again
    assert '"samples_ms": [1.5, 2.0, 3e-07]' in first.decode()
    assert "[1, 0]" in first.decode()


def test_nothing_is_left_behind_when_writing_fails(tmp_path: Path) -> None:
    save(record(), tmp_path)
    with pytest.raises(TypeError):
        save(replace(record(), environment={"not json": object()}), tmp_path)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert [load(path) for path in files] == [record()]


@pytest.mark.parametrize("content", [b"", b'{"cell": ', b"[]", b'"text"', b"\xff\xfe", b'{"schema": 2}'])
def test_what_is_no_record_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.json"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"broken\.json is not a record .* run bench\.report again"):
        load(path)


def test_a_truncated_or_edited_record_is_refused(tmp_path: Path) -> None:
    path = save(record(), tmp_path)
    whole = path.read_text()
    path.write_text(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match="is not a record"):
        load(path)
    path.write_text(whole.replace('"dirty"', '"clean"'))
    with pytest.raises(ValueError, match=r"clean|dirty"):
        load(path)


def test_another_schema_is_told_as_such_even_with_other_keys(tmp_path: Path) -> None:
    path = save(record(), tmp_path)
    content = json.loads(path.read_text()) | {"schema": SCHEMA + 1, "novelty": 1}
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=f"schema {SCHEMA + 1}, this version reads {SCHEMA}"):
        load(path)


def test_load_all_sorts_by_cell_and_sees_one_table_only(tmp_path: Path) -> None:
    cells = [replace(CELL, ratio=ratio, seed=seed) for ratio in (0.6, 0.4) for seed in (2, 0)]
    for cell in [*cells, replace(CELL, scale="quick")]:
        save(record(cell), tmp_path)
    found = load_all(tmp_path, table="table5", data="synthetic", scale="cpu")
    assert list(found) == sorted(cells)
    assert all(found[cell].cell == cell for cell in cells)
    assert load_all(tmp_path, table="table5", data="rafdb", scale="cpu") == {}


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("accuracy", "val_selected", "overall"), 1.5),
        (("accuracy", "val_selected", "overall"), float("nan")),
        (("accuracy", "val_selected", "overall"), "0.5"),
        (("accuracy", "val_selected", "interval"), [0.1]),
        (("accuracy", "val_selected", "predictions"), "0\n"),
        (("accuracy", "val_selected"), None),
        (("cost", "macs"), -1),
        (("cost", "params"), float("inf")),
        (("data", "truth"), [0, 1]),
        (("latency", "1", "p50_ms"), float("nan")),
        (("latency", "1", "ratios", "unpruned", "ratio"), 0),
        (("latency", "1", "samples_ms"), [1.5, None]),
        (("latency", "1"), []),
    ],
)
def test_a_record_holds_what_its_schema_says_when_written_and_when_read(tmp_path: Path, place, value) -> None:
    path = save(record(), tmp_path)
    content = json.loads(path.read_text())
    holder = content["result"]
    for key in place[:-1]:
        holder = holder[key]
    holder[place[-1]] = value
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match="is not a record"):
        load(path)
    with pytest.raises(ValueError, match="cannot be recorded"):
        save(replace(record(), result=content["result"]), tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_what_a_killed_run_left_half_written_is_no_record(tmp_path: Path) -> None:
    path = save(record(), tmp_path)
    (path.parent / f".{path.name}.abc123.json").write_text('{"cell": ')
    assert paths(path.parent) == [path]
    assert len(load_all(tmp_path, table="table5", data="synthetic", scale="cpu")) == 1


def test_old_records_come_to_this_schema_with_every_figure_as_it_was(tmp_path: Path) -> None:
    path = save(record(), tmp_path)
    old = json.loads(path.read_text())
    timed = old["result"]["latency"]["1"]
    timed["ratio_to_dense"] = timed.pop("ratios")["unpruned"]
    old["result"]["data"]["spec_name"] = old["result"]["data"].pop("name")
    old |= {"schema": 1, "config": {"key": "c", "stage": {"stage": "slim60", "settings": {"from": "b"}}}}
    del old["lineage"]
    path.write_text(json.dumps(old))
    with pytest.raises(ValueError, match=r"schema 1.*reports/migrate\.py"):
        load(path)
    script = Path(bench.__file__).parents[1] / "reports" / "migrate.py"
    subprocess.run([sys.executable, script, tmp_path], check=True, capture_output=True)
    assert load(path).result == RESULT
    unknown = {name: {"key": key, "commit": "unknown"} for name, key in (("sparse", "b"), ("slim60", "c"))}
    assert load(path).lineage == unknown
