"""Timing without training: every cell a record, no accuracy claimed, and a page that says what the records say."""

import pytest

from bench import records
from bench.make.scales import QUICK
from bench.pages.files import files as files_of
from bench.tables.speed import full_width

pytest.importorskip("onnx", reason="needs onnx: pip install -e '.[onnx]'")


def test_every_cell_is_exported_timed_and_told(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(full_width, "MODELS", ("vggnet",))
    made = full_width.measure(tmp_path, QUICK)
    found = records.load_all(tmp_path, table=full_width.TABLE, data=full_width.DATA, scale=QUICK.name)
    assert set(found) == set(full_width.cells(QUICK)) and len(made) == 2 * len(full_width.BACKENDS)
    for record in found.values():
        assert "accuracy" not in record.result and record.result["cost"]["export_s"] > 0
        if not record.result["missing"]:
            assert record.result["latency"]["1"]["n"] >= QUICK.measurement.latency_runs
    page = files_of(full_width.page_of(found, data=full_width.DATA, scale=QUICK.name))["fullwidth.md"].decode()
    assert "Accuracy, %" not in page and page.count("| VGGNet |") == sum(
        not r.result["missing"] for r in found.values()
    )
