import json
from dataclasses import replace
from pathlib import Path

import pytest

from bench.records import SCHEMA, Cell, Record, load, load_all, save

CELL = Cell(table="table5", data="synthetic", scale="cpu", model="mrf", variant="slim", ratio=0.6, seed=1)
RESULT = {
    "samples_ms": [1.5, 2.0, -3e-07],
    "confusion": [[1, 2], [3, 4]],
    "empty": [],
    "notes": ["sizes [\n 1,\n 2\n]", "a, b"],
    "recall": {"joy": 0.5},
    "missing": None,
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
    assert '"samples_ms": [1.5, 2.0, -3e-07]' in first.decode()
    assert "[3, 4]" in first.decode()


def test_nothing_is_left_behind_when_writing_fails(tmp_path: Path) -> None:
    save(record(), tmp_path)
    with pytest.raises(TypeError):
        save(replace(record(), result={"not json": object()}), tmp_path)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert [load(path) for path in files] == [record()]


@pytest.mark.parametrize("content", [b"", b'{"cell": ', b"[]", b'"text"', b"\xff\xfe", b'{"schema": 1}'])
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
