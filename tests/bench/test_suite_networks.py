"""Which network the latency suite times: the recorded one where its stage is cached, else a random one that says so."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from fake_records import fake_record

import compress.exporting.artefacts
from bench import records
from bench.make.scales import QUICK
from bench.make.stages import stage_by_key
from bench.measure.suite_networks import RECORDED, SuiteNetworks, network, random_dense, recorded
from bench.records import Cell, Record
from compress.cost import macs, params
from compress.runtimes import RUNTIMES, Unavailable
from fermodels import EXPRESSIONS, checkpoint

CELL = Cell(**RECORDED, variant="dense", ratio=0.0)


def finished(root: Path) -> Record:
    """A record and, in the cache, the finished stage that it names."""
    record = fake_record(CELL)
    stage = record.config["stage"] | {"stage": "dense"}
    record = replace(record, config=record.config | {"stage": stage, "key": "0123456789abcdef" * 4})
    records.save(record, root / "records")
    folder = stage_by_key(root / "runs", CELL.model, "dense", record.config["key"]).folder
    about: dict[str, Any] = dict.fromkeys(checkpoint.CLAIMS) | {"classes": EXPRESSIONS}
    checkpoint.save(random_dense(), folder / "chosen", about | {"preprocessing": QUICK.preprocessing})
    (folder / "outcome.json").write_text("{}")
    return record


def test_a_finished_stage_brings_its_record_and_accuracy(tmp_path: Path) -> None:
    record = finished(tmp_path)
    found = network(0.0, tmp_path)
    assert found.record == record
    assert found.facts["record"] == "table5/fer2013/cpu/mrf-dense-00-s0"
    assert (found.facts["macs"], found.facts["params"]) == (macs(found.net, found.net.example()), params(found.net))
    assert found.accuracy("fp32") == record.result["accuracy"]["val_selected"]["overall"]
    assert found.accuracy("int8") is None, "nobody measured it"
    assert recorded(0.6, tmp_path) is None


@pytest.mark.parametrize("lost", ["outcome", "record"])
def test_without_record_or_stage_the_network_is_random_and_says_so(tmp_path: Path, lost: str) -> None:
    finished(tmp_path)
    pattern = "outcome.json" if lost == "outcome" else "mrf-dense-00-s0.json"
    next(tmp_path.rglob(pattern)).unlink()
    found = network(0.0, tmp_path)
    assert (found.record, found.facts["record"], found.accuracy("fp32")) == (None, None, None)
    assert all(torch.equal(a, b) for a, b in zip(found.net.parameters(), random_dense().parameters(), strict=True))


def test_a_missing_runtime_is_asked_once_and_nothing_is_exported_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Absent:
        name, precisions, asked = "absent", ("fp32", "fp16"), 0

        def build(self, onnx: Path, *, precision: str, target: object = None) -> Path:
            self.asked += 1
            raise Unavailable("absent is not installed: pip install absent")

        def require(self) -> None:
            raise AssertionError("build itself says so")

    absent = Absent()
    monkeypatch.setitem(RUNTIMES, "absent", absent)  # type: ignore[arg-type]
    exports: list[str] = []

    def export(made: Any, precision: str) -> Path:
        exports.append(precision)
        return tmp_path

    monkeypatch.setattr(compress.exporting.artefacts.Artefacts, "onnx", export)
    networks = SuiteNetworks(tmp_path / "made", tmp_path)
    for precision in absent.precisions:
        with pytest.raises(Unavailable, match="pip install absent"):
            networks.open(0.6, "absent", precision)
    assert (absent.asked, exports) == (1, ["fp32"])


def test_a_session_computes_the_network_of_its_ratio(tmp_path: Path) -> None:
    networks = SuiteNetworks(tmp_path / "made", tmp_path)
    opened = networks.open(0.6, "torch", "fp32")
    assert opened.built.artefact_bytes > 4 * opened.network.facts["params"]
    pixels = torch.randint(0, 256, (2, 3, QUICK.geometry.stored, QUICK.geometry.stored)).float()
    given = opened.session.run({"face": pixels})["probabilities"]
    assert given.shape == (2, len(EXPRESSIONS))
    assert given.sum(1).tolist() == pytest.approx([1.0, 1.0], abs=1e-5)
    assert networks.open(0.6, "torch", "fp32").built is opened.built, "made once"
