"""What lies damaged in the cache of trainings is named with the mend, and the mend brings the same numbers."""

import re
import shutil
from pathlib import Path

import pytest
from tiny_job import cells, job

from bench import records, report
from bench.make import pipeline
from bench.make.cuts import slim_stage
from bench.make.recipes import dense_stage
from bench.make.stage import CUT, OUTCOME, PLAN, STATE

OWN = [cell for cell in cells("vggnet") if (cell.variant, cell.ratio) in (("dense", 0.0), ("slim", 0.4))]
DAMAGE = {"empty": "", "cut": None, "list": "[]", "number": "7", "other": '{"a": 1}'}
"""Contents in place of the right ones; None: their first half."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("made")
    pipeline.measure(job(root / "runs", "vggnet"), OWN, root / "records")
    return root


def predictions(root: Path) -> dict[str, str]:
    found = records.load_all(root, table="table5", data="tiny", scale="quick")
    return {cell.id: record.result["accuracy"]["val_selected"]["predictions"] for cell, record in found.items()}


def spoilt(path: Path, damage: str) -> None:
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2] if DAMAGE[damage] is None else DAMAGE[damage].encode())


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("name", [OUTCOME, PLAN, CUT, "chosen/config.json", "chosen/model.safetensors"])
def test_a_damaged_file_is_named_with_the_mend(name: str, damage: str, made: Path, tmp_path: Path) -> None:
    shutil.copytree(made / "runs", tmp_path / "runs")
    stage = slim_stage(job(tmp_path / "runs", "vggnet"), "slim", 0.4)
    spoilt(stage.folder / name, damage)
    with pytest.raises(ValueError, match=r"Delete ") as told:
        pipeline.measure(job(tmp_path / "runs", "vggnet"), OWN, tmp_path / "records")
    place = Path(name).parent if name.startswith("chosen") else Path(name)
    assert str(stage.folder / place) in str(told.value)
    if damage == "empty":
        (mend,) = re.findall(r"Delete (?:the folder )?(\S+): ", str(told.value))
        shutil.rmtree(mend) if Path(mend).is_dir() else Path(mend).unlink()
        pipeline.measure(job(tmp_path / "runs", "vggnet"), OWN, tmp_path / "records")
        assert predictions(tmp_path / "records") == predictions(made / "records")


@pytest.mark.parametrize("lost", [[PLAN], [PLAN, CUT]])
def test_a_cut_stage_killed_before_its_plan_was_written_writes_the_same_one(
    lost: list[str], made: Path, tmp_path: Path
) -> None:
    """The plan is written last: a stage without it is asked for again, and its cut is made again from its parent."""
    shutil.copytree(made / "runs", tmp_path / "runs")
    (folder,) = {path.parent for path in (tmp_path / "runs").rglob(PLAN)}
    before = {name: (folder / name).read_bytes() for name in (PLAN, CUT, OUTCOME)}
    for name in lost:
        (folder / name).unlink()
    stage = slim_stage(job(tmp_path / "runs", "vggnet"), "slim", 0.4)
    assert stage.folder == folder and {name: (folder / name).read_bytes() for name in before} == before
    assert stage.plan.widths_after == {
        f"trunks.{trunk}.blocks.{number}.conv": width
        for trunk, widths in stage.net().config.widths.items()
        for number, width in enumerate(widths)
    }


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_state_of_a_training_is_named_with_the_mend(
    damage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = job(tmp_path / "runs", "vggnet")
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr("bench.make.stages._finish", stopped)
        dense_stage(own)
    (state,) = (tmp_path / "runs").glob("*/state.pt")
    spoilt(state, damage)
    with pytest.raises(ValueError, match=re.escape(f"{state} cannot be read as the state of a training")) as told:
        dense_stage(own)
    assert "delete it to train from the start" in str(told.value)
    state.unlink()
    assert dense_stage(own).done


def test_a_kill_once_the_outcome_is_written_leaves_nothing_for_good(tmp_path: Path) -> None:
    stage = dense_stage(job(tmp_path / "runs", "vggnet"))
    before = sorted(stage.folder.rglob("*"))
    for name in ("lock", STATE):
        (stage.folder / name).write_text("of a killed run")
    assert dense_stage(job(tmp_path / "runs", "vggnet")).done and sorted(stage.folder.rglob("*")) == before


def stopped(*_: object) -> None:
    raise KeyboardInterrupt


def test_the_command_tells_it_in_a_line_and_status_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    own = job(tmp_path / "runs", "vggnet")
    stage = dense_stage(own)
    spoilt(stage.folder / OUTCOME, "cut")
    capsys.readouterr()
    monkeypatch.setattr(report, "compute", lambda *_: pipeline.measure(own, OWN[:1], tmp_path / "records"))
    assert report.main(["--out", str(tmp_path / "out"), "--runs", str(tmp_path / "runs")]) == 2
    *_, said = capsys.readouterr().err.splitlines()
    assert said.startswith(f"bench.report: {stage.folder / OUTCOME} is no outcome of a training (")
    assert said.endswith(f"Delete the folder {stage.folder}: the next run makes it again")
