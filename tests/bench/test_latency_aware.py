"""Latency-aware networks: as fast as the plain one, chosen once, fine-tuned alike, and told beside it."""

from dataclasses import replace

import pytest
from tiny_job import job

from bench import records
from bench.make import timed
from bench.make.cuts import slim_stage
from bench.pages.files import files as files_of
from bench.records import Cell, Record
from bench.registry import TABLES
from bench.report import main
from bench.tables.speed import latency_aware
from bench.tables.speed.latency_aware import TABLE, cells
from bench.tables.speed.latency_aware_page import _measured as measured_of
from bench.tables.speed.latency_aware_page import page_of, pairs_of
from compress.cost import macs
from compress.slimming.plan import Plan
from compress.slimming.targets import RATIO
from compress.timing import beside

pytest.importorskip("onnx", reason="needs onnx: pip install -e '.[onnx]'")
WANTED = (("dense", 0.0), ("slim", 0.4), ("slim", 0.6), ("timed", 0.6))


class ByMacs:
    """A machine on which a network takes a millisecond for a million MACs; no clock is read."""

    factor = 1.0

    def __init__(self, net, example, folder, *, runtime, batch, output=None):
        self.net = net
        self.provenance = {"runtime": runtime, "precision": "fp32", "batch": batch, "threads": 1}

    def ms(self, net):
        return self.factor * macs(net, net.example()) / 1e6

    @property
    def whole_ms(self):
        return self.ms(self.net)

    def share(self, net):
        return self.ms(net) / self.ms(self.net)


@pytest.fixture(scope="module", autouse=True)
def clock():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(beside, "RuntimeStopwatch", ByMacs)
        patch.setattr(timed, "RuntimeStopwatch", ByMacs)
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("aware")
    latency_aware.measure(job(made / "runs", "vggnet"), wanted(), made / "records")
    return made


def wanted() -> list[Cell]:
    made = cells("tiny", "quick", 1, ["vggnet"])
    return [cell for cell in made if (cell.variant, cell.ratio) in WANTED]


def loaded(folder) -> dict[Cell, Record]:
    return records.load_all(folder / "records", table=TABLE, data="tiny", scale="quick")


def test_cells_are_the_curve_of_plain_networks_and_latency_aware_ones_beside_it() -> None:
    made = cells("fer2013", "cpu", 2, ["mrf", "vggnet"])
    assert len(made) == len({cell.path for cell in made}) == 2 * 2 * 8
    plain = {cell.ratio for cell in made if cell.variant == "slim"}
    assert {cell.ratio for cell in made if cell.variant == "timed"} < plain and RATIO in plain


def test_the_network_takes_the_plain_ones_time(folder) -> None:
    work = job(folder / "runs", "vggnet")
    plain, aware = slim_stage(work, "slim", 0.6), timed.timed_stage(work, 0.6)
    goal = macs(plain.net(), plain.net().example()) / 1e6
    assert macs(aware.net(), aware.net().example()) / 1e6 == pytest.approx(goal, rel=0.05)
    plan = Plan.load(aware.folder / "plan.json")
    assert plan.target == "ms" and plan.requested == pytest.approx(goal)
    trained = (one.outcome["described"]["train"] for one in (plain, aware))
    assert len({str(one) for one in trained}) == 1, "both are fine-tuned alike"


def test_a_resumed_training_has_the_widths_that_were_chosen_first(folder, monkeypatch: pytest.MonkeyPatch) -> None:
    work = job(folder / "runs", "vggnet")
    first = timed.timed_stage(work, 0.6)
    widths = {name: trunk.widths for name, trunk in first.net().trunks.items()}
    (first.folder / "outcome.json").unlink()
    monkeypatch.setattr(ByMacs, "factor", 1.3)
    again = timed.timed_stage(work, 0.6)
    assert again.key == first.key and {name: one.widths for name, one in again.net().trunks.items()} == widths


def test_records_pair_the_two_and_are_made_once(folder) -> None:
    found = loaded(folder)
    assert set(found) == set(wanted())
    aware = next(record for cell, record in found.items() if cell.variant == "timed")
    assert set(aware.result["latency"]["1"]["ratios"]) == {"unpruned", "plain"}
    assert len(aware.result["accuracy"]["val_selected"]["predictions"]) == 40
    latency_aware.measure(job(folder / "runs", "vggnet"), wanted(), folder / "records")
    assert loaded(folder) == found


def test_the_page_tells_time_accuracy_and_what_is_missing(folder) -> None:
    found = loaded(folder)
    page = files_of(page_of(found, data="tiny", scale="quick"))
    assert set(page) == {f"{TABLE}{end}" for end in (".md", ".csv", ".tex", ".html", "-curves.svg")}
    text = page[f"{TABLE}.md"].decode()
    assert "VGGNet, the time of" in text and "| VGGNet | latency-aware |" in text
    assert len(page[f"{TABLE}.csv"].decode().splitlines()) == 1 + len(found)
    assert files_of(page_of(found, data="tiny", scale="quick")) == page
    assert "- MRF, all of it\n" in text, "what is missing is listed"
    without = {cell: record for cell, record in found.items() if cell.variant != "timed"}
    assert (
        "Latency-aware selection: not measured yet."
        in files_of(page_of(without, data="tiny", scale="quick"))[f"{TABLE}.md"].decode()
    )


def test_equal_accuracy_is_read_off_between_neighbours_and_not_beyond_them(folder) -> None:
    measured = [measured_of(record) for record in loaded(folder).values()]
    points = {("dense", 0.0): (4.0, 70.0), ("slim", 0.4): (3.0, 68.0), ("slim", 0.6): (2.0, 60.0)}

    def pair(accuracy: float):
        moved = []
        for one in measured:
            cell = one.record.cell
            ms, share = points.get((cell.variant, cell.ratio), (2.0, accuracy))
            moved.append(replace(one, ms=ms, accuracy_percent=share))
        return pairs_of(moved)[0]

    assert pair(64.0).plain_ms == pytest.approx(2.5)
    assert pair(69.0).plain_ms == pytest.approx(3.5)
    assert pair(71.0).plain_ms is None and pair(50.0).plain_ms is None


def test_it_is_a_table_of_the_report_and_never_trained_side_by_side(tmp_path) -> None:
    assert TABLES[TABLE].alone
    status = main(["--table", TABLE, "--data", "fer2013", "--out", str(tmp_path), "--render-only"])
    assert status == 1, "nothing is measured there"
    assert "not measured" in (tmp_path / "tables" / "fer2013-cpu" / f"{TABLE}.md").read_text()
