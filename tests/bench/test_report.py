"""The command as a user types it: arguments, gaps, exit status, the last line."""

import json
import sys
from dataclasses import fields

import pytest
from tiny_job import cells, job

from bench import publish, report
from bench.make import jobs, pipeline
from bench.make.scale import PART_OF, PARTS, SETTABLE, changed
from bench.make.scales import SCALES, scale_for, with_settings


def last_line(capsys) -> dict:
    return json.loads(capsys.readouterr().out.strip().splitlines()[-1])


def test_render_only_never_computes_and_marks_the_gaps(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(report, "compute", lambda *args: pytest.fail("it computed"))
    status = report.main(["--render-only", "--data", "fer2013:nowhere.csv", "--out", str(tmp_path)])
    summary = last_line(capsys)
    assert status == 1 and not summary["complete"] and len(summary["missing"]) == summary["cells"] == 34
    assert "not measured" in (tmp_path / "tables" / "fer2013-cpu" / "table5.md").read_text()


def test_two_seeds_are_twice_the_cells(tmp_path, capsys):
    report.main(["--render-only", "--seeds", "2", "--out", str(tmp_path)])
    assert last_line(capsys)["cells"] == 32


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--scale", "huge"], "quick"),
        (["--table", "table9"], "table5"),
        (["--seeds", "0"], "at least 1"),
        (["--jobs", "0"], "at least 1"),
        (["--models", "resnet"], "mrf, vggnet"),
        (["--set", "dense.epoch=2"], "dense.epochs"),
        (["--set", "width"], "FIELD=VALUE"),
        (["--set", "dense.optimizer=rmsprop"], "sgd, adam"),
        (["--set", "width=wide"], "float"),
        (["--scale", "quick", "--out", "reports"], "never written to reports/"),
    ],
)
def test_a_wrong_word_on_the_command_line_ends_with_a_sentence(words, said, capsys):
    with pytest.raises(SystemExit) as stopped:
        sys.exit(report.main(words))
    assert stopped.value.code == 2
    assert said in capsys.readouterr().err


def test_unknown_data_is_a_sentence_and_status_2(tmp_path, capsys):
    assert report.main(["--data", "fer2014", "--out", str(tmp_path), "--runs", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert 'no data set "fer2014"' in error and "fer2013" in error


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--out", "FILE"], "is no folder that can be written to"),
        (["--runs", "FILE/runs"], "is no folder that can be written to"),
        (["--imagenet", "none.pth"], "none.pth is no file"),
        (["--device", "cuda:9"], "finds no GPU here"),
        (["--device", "abacus"], "cpu"),
    ],
)
def test_what_would_end_long_work_is_told_before_it(words, said, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(report, "compute", lambda *args: pytest.fail("it computed"))
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    (tmp_path / "file").write_text("")
    words = [word.replace("FILE", str(tmp_path / "file")) for word in words]
    assert report.main(["--out", str(tmp_path / "out"), "--runs", str(tmp_path / "runs"), *words]) == 2
    assert said in capsys.readouterr().err


def test_a_full_disk_and_an_interruption_are_a_line_each(tmp_path, capsys, monkeypatch):
    words = ["--out", str(tmp_path), "--runs", str(tmp_path)]
    full = OSError(28, "No space left on device")
    for raised, status, said in ((full, 2, "No space"), (KeyboardInterrupt(), 130, "kept")):

        def fail(*args, raised=raised):
            raise raised

        monkeypatch.setattr(report, "compute", fail)
        assert report.main(words) == status
        error = capsys.readouterr().err
        assert said in error and error.count("\n") == 1


def test_records_of_another_data_set_of_the_same_name_are_not_replaced(tmp_path, capsys):
    own = cells("vggnet")[:1]
    pipeline.measure(job(tmp_path / "runs", "vggnet"), own, tmp_path / "records")
    given = report.arguments(["--out", str(tmp_path)])
    report.same_set(given, own, job(tmp_path / "runs", "vggnet").fingerprint)
    with pytest.raises(ValueError, match="another data set of this name"):
        report.same_set(given, own, "other")


def test_missing_data_names_the_path(tmp_path, capsys):
    words = ["--data", "fer2013:none.csv", "--out", str(tmp_path), "--runs", str(tmp_path)]
    assert report.main(words) == 2
    assert "none.csv" in capsys.readouterr().err


def test_all_tables_share_the_command_and_the_last_line(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(report, "compute", lambda *args: pytest.fail("it computed"))
    status = report.main(["--table", "all", "--render-only", "--out", str(tmp_path)])
    summary = last_line(capsys)
    assert status == 1 and not summary["complete"]
    assert [one["table"] for one in summary["tables"]] == list(report.TABLES)
    for name in ("table1", "table2", "table3", "table4", "fig6", "table5"):
        assert (tmp_path / "tables" / "synthetic-cpu" / f"{name}.html").is_file()


def test_models_of_all_tables_are_known_to_all():
    assert report.arguments(["--table", "all", "--models", "local", "mrf-confidence-00"]).models


def test_options_are_frozen():
    """A new or renamed option is a change for every script that calls the command: change this list knowingly."""
    given = vars(report.arguments([]))
    assert sorted(given) == sorted(
        [
            *("table", "data", "scale", "seeds", "models", "out", "runs", "device", "jobs", "crops"),
            *("batch_norm", "executor", "ray_address"),
            "imagenet",
            "render_only",
            "settings",
            "skip_broken",
            "unlabelled",
        ]
    )
    assert (given["table"], given["data"], given["scale"], given["seeds"]) == ("table5", "synthetic", "cpu", 1)


def test_limited_keeps_every_field_in_step():
    data = job(None).data
    thin = jobs.limited(data, SCALES["quick"])
    assert thin.test.labels.tolist() == data.test.labels.tolist()
    few = jobs._thinned(data.test, 5)
    assert len(few) == len(few.names) == len(few.leaked) == 5
    assert few.names[0] == data.test.names[0] and few.names[-1] == data.test.names[-1]


def test_every_scale_keeps_the_map_at_seven_cells():
    for scale in SCALES.values():
        assert scale.geometry.size / 2**scale.geometry.pools == 7
        assert scale.geometry.stored > scale.geometry.size
    with pytest.raises(ValueError, match="quick, cpu, strong, wide, gpu, paper"):
        scale_for("tiny", "synthetic")


def test_what_is_set_changes_the_scale_and_its_name_and_nothing_else():
    name = with_settings("cpu", ["width=0.5", "dense.epochs = 3"])
    assert name == "cpu+dense.epochs=3+width=0.5"
    plain, other = scale_for("cpu", "fer2013"), scale_for(name, "fer2013")
    assert (other.schedules.dense.epochs, other.geometry.width, other.name) == (3, 0.5, name)
    same = {"dense": plain.schedules.dense, "width": plain.geometry.width, "name": "cpu"}
    assert changed(other, **same) == plain
    told = scale_for("cpu+compiled_ratios=[0.5]+ablation=null+mask_target=off-mask", "fer2013")
    assert told.measurement.compiled_ratios == (0.5,) and told.schedules.ablation is None
    assert told.schedules.mask_target == "off-mask"


def test_records_of_an_overridden_scale_have_a_folder_of_their_own(tmp_path, capsys):
    report.main(["--render-only", "--set", "dense.epochs=3", "--out", str(tmp_path)])
    assert last_line(capsys)["scale"] == "cpu+dense.epochs=3"
    assert (tmp_path / "tables" / "synthetic-cpu+dense.epochs=3" / "table5.md").is_file()


def test_no_two_parts_of_a_scale_share_a_name_of_a_field():
    described = scale_for("cpu", "synthetic").described()
    assert set(described) == {"name", "publishable", *SETTABLE}
    assert len(PART_OF) == sum(len(fields(part)) for part in PARTS.values())


def test_publishing_is_held_to_the_records(tmp_path):
    reports, readme = tmp_path / "reports", tmp_path / "README.md"
    readme.write_text("no markers needed: the front page has other records")
    pipeline.measure(job(tmp_path / "runs", "vggnet"), cells("vggnet")[:1], reports / "records")
    files = publish.published(reports, readme)
    assert len(publish.stale(files, reports)) == len(files) > 0
    for path, content in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    assert publish.stale(files, reports) == []
    changed = next(iter(files))
    changed.write_bytes(changed.read_bytes() + b" ")
    (changed.parent / "stray.md").write_text("by hand")
    assert publish.stale(files, reports) == sorted([str(changed), str(changed.parent / "stray.md")])
