"""Pretraining as a stage, and paper 2's tables from a small job to the page."""

import csv
import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_job import SCALE, TRAIN, job

from bench import records
from bench.make import pretraining
from bench.make.jobs import steps
from bench.make.networks import NETWORKS
from bench.make.pretraining import VIEWS, pretrain_config, pretrain_stage
from bench.make.recipes import dense_stage
from bench.make.scale import changed
from bench.make.scales import SCALES
from bench.make.stages import Job
from bench.measure.accuracy import from_digits
from bench.measure.stats import mcnemar, paired_difference
from bench.pages.files import files as files_of
from bench.records import Cell
from bench.registry import TABLES, page_of
from bench.tables.ocl.definitions import OCL_TABLES, PAPER_DATA, cells
from bench.tables.ocl.sheet import probes, sheet_of
from fermodels import checkpoint
from fermodels.nets.pretrained import COUNTER

ADAM = replace(TRAIN, epochs=2, optimizer="adam", lr=1e-3)
TINY = changed(SCALE, pretrain=ADAM, start=ADAM, region_size=12, latency_runs=2)
OURS = list(dict.fromkeys(model for table in OCL_TABLES.values() for model in table.models))


def tiny(runs: Path, model: str) -> Job:
    """Of paper 2's networks; four of its training faces are test pictures."""
    base = job(runs, model)
    images = base.data.train.images.copy()
    images[:4] = base.data.test.images[5:9]
    data = replace(base.data, train=replace(base.data.train, images=images))
    return replace(base, data=data, scale=NETWORKS[model].scale(TINY))


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """The records of all three tables, made as `bench.report` makes them."""
    root = tmp_path_factory.mktemp("ocl")
    for table in OCL_TABLES.values():
        jobs = {cell: tiny(root / "runs", cell.model) for cell in cells(table, "tiny", "quick", 1)}
        for cell, own in jobs.items():
            TABLES[table.name].measure(own, [cell], root / "records")
        TABLES[table.name].together(jobs, root / "records")
    return root


def loaded(made: Path, name: str) -> dict[Cell, records.Record]:
    return records.load_all(made / "records", table=name, data="tiny", scale="quick")


def test_every_network_of_the_tables_is_registered_and_trained_alike():
    for table in OCL_TABLES.values():
        for line in table.lines:
            assert not line.model or line.model in NETWORKS
            assert set(line.published) <= set(PAPER_DATA) and (line.published or line.model)
            assert not line.against or line.against in table.models
        assert TABLES[table.name].models == table.models
        for scale in SCALES.values():
            assert len({NETWORKS[model].scale(scale).schedules.dense for model in table.models}) == 1, (
                "equal fine-tuning"
            )


def test_pretrainings_differ_in_the_rectangle_alone(tmp_path):
    pretrained = [model for model in OURS if NETWORKS[model].pretraining and NETWORKS[model].pretraining_length == 1]
    found = {NETWORKS[model].pretraining: pretrain_config(tiny(tmp_path, model)) for model in pretrained}
    assert set(found) == set(VIEWS) and found["plain"].augment.occlude == 0 < found["occluded"].augment.occlude
    augment = replace(found["plain"].augment, occlude=found["occluded"].augment.occlude)
    assert replace(found["plain"], augment=augment) == found["occluded"]


def test_pretrainings_of_other_lengths_have_whole_schedules_of_their_own(tmp_path):
    scale = changed(TINY, pretrain=replace(ADAM, epochs=30, warmup_epochs=2))
    lengths = {model: NETWORKS[model].scale(scale).schedules.pretrain for model in OCL_TABLES["ocl-length"].models[1:]}
    assert [one.epochs for one in lengths.values()] == [5, 10, 20, 30, 60]
    assert [round(one.warmup_epochs, 3) for one in lengths.values()] == [0.333, 0.667, 1.333, 2, 4]
    assert {replace(one, epochs=30, warmup_epochs=2) for one in lengths.values()} == {scale.schedules.pretrain}
    own = {model: tiny(tmp_path, model) for model in lengths}
    assert {model: pretrain_config(one).train.epochs for model, one in own.items()} == {
        model: one.scale.schedules.pretrain.epochs for model, one in own.items()
    }


def test_pretrainings_of_rounded_lengths_that_agree_are_made_by_one_step():
    """At two epochs a sixth and a third are one epoch each: the same stage, which no two processes may write."""
    begun = steps(cells(OCL_TABLES["ocl-length"], "tiny", "quick", 1))
    leaders = [step.cells[0].model for step in begun]
    assert leaders == ["resnet18", "ocl-resnet18-sixth", "ocl-resnet18", "ocl-resnet18-double"]
    assert [cell.model for step in begun[1].then for cell in step.cells] == [
        "ocl-resnet18-third",
        "ocl-resnet18-two-thirds",
    ]


def test_the_page_of_lengths_says_how_long(made):
    files = files_of(page_of("ocl-length", loaded(made, "ocl-length"), data="tiny", scale="quick"))
    page = files["ocl-length.md"].decode()
    rows = [line.split("|") for line in page.splitlines() if line.startswith(("| ResNet-18", "| OCL + ResNet-18,"))]
    assert [row[2].strip() for row in rows] == ["0", "1", "1", "1", "2", "4"]
    assert "pretraining 1, 2, 4 epochs" in page and "Beside the paper" not in page
    assert "Epochs of pretraining" in files["ocl-length-accuracy.svg"].decode()
    assert "linear layer, 4 epochs" in files["ocl-length-pretraining.svg"].decode()


def test_more_unlabelled_faces_are_another_pretraining_without_their_test_pictures(made):
    own = tiny(made / "runs", "ocl-resnet18")
    other = replace(own.data, name="other", train=replace(own.data.train, images=own.data.train.images[::-1] + 1))
    leaked = other.train.images.copy()
    leaked[:3] = own.data.test.images[10:13]  # test pictures of the set that is scored
    more = replace(own, unlabelled=(replace(other, train=replace(other.train, images=leaked)),))
    alone, joined = pretrain_stage(own), pretrain_stage(more)
    assert alone.key != joined.key
    told = joined.outcome["history"]
    assert (told["faces"], told["dropped"]) == (64 - 4 + 64 - 3, 7) and alone.outcome["history"]["faces"] == 60
    assert any(note.startswith("other: 64 faces, 3 of them") for note in told["notes"])


def test_networks_of_one_pretraining_share_its_stage_and_its_encoder(made, monkeypatch):
    monkeypatch.setattr(pretraining, "pretrain", lambda *given, **named: pytest.fail("pretrained again"))
    stages = {model: pretrain_stage(tiny(made / "runs", model)) for model in OURS}
    assert stages["resnet18"] is None
    assert len({stages[model].key for model in ("ocl-resnet18", "ocl-fgw", "ocl-fgw-lgds")}) == 1
    assert stages["simclr-resnet18"].key != stages["ocl-fgw"].key
    for model in ("ocl-resnet18", "ocl-fgw-lgds", "simclr-resnet18"):
        encoder, _ = checkpoint.load(stages[model].folder / "chosen")
        begun = pretraining.started(tiny(made / "runs", model), stages[model])
        for name, tensor in encoder.trunks["face"].state_dict().items():
            assert name.endswith(COUNTER) or torch.equal(begun.trunks["face"].state_dict()[name], tensor), name


def test_an_imagenet_file_is_where_the_first_row_starts_and_no_other(tmp_path, capsys):
    bare = tiny(tmp_path, "resnet18")
    state = {name: torch.rand_like(value.float()) for name, value in bare.fresh().trunks["face"].state_dict().items()}
    torch.save(state, tmp_path / "resnet18.pth")
    given = replace(bare, imagenet=tmp_path / "resnet18.pth")
    begun = pretraining.started(given, None).trunks["face"].state_dict()
    assert all(torch.equal(begun[name], state[name]) for name in state if not name.endswith(COUNTER))
    assert "resnet18.pth: 100 of 100 tensors" in capsys.readouterr().err
    assert set(pretraining.start_settings(given, None)) == {"imagenet"} and not pretraining.start_settings(bare, None)
    torch.save({name: value.flatten()[:1] for name, value in state.items()}, tmp_path / "resnet18.pth")
    with pytest.raises(ValueError, match="does not fit this trunk"):
        pretraining.started(given, None)
    other = replace(tiny(tmp_path, "densenet121"), imagenet=tmp_path / "resnet18.pth")
    assert not pretraining.start_settings(other, None) and pretraining.started(other, None) is not None


def test_another_seed_view_or_data_set_is_another_pretraining(tmp_path, monkeypatch):
    monkeypatch.setattr(pretraining, "_make", lambda *given: None)
    base = tiny(tmp_path, "ocl-resnet18")
    brighter = replace(base.data.train, images=255 - base.data.train.images)
    others = [
        replace(base, seed=1),
        tiny(tmp_path, "simclr-resnet18"),
        replace(base, data=replace(base.data, train=brighter)),
        replace(base, scale=changed(base.scale, pretrain=replace(ADAM, epochs=3))),
    ]
    assert len({pretrain_stage(one).key for one in [base, *others]}) == 1 + len(others)


def test_test_pictures_among_the_training_faces_are_left_out_of_the_pretraining(made):
    stage = pretrain_stage(tiny(made / "runs", "ocl-fgw"))
    assert stage.outcome["history"]["faces"] == 60 and stage.outcome["history"]["dropped"] == 4
    assert checkpoint.describe(stage.folder / "chosen")["pretraining"]["dropped"] == 4
    assert {entry["images"] for entry in stage.outcome["history"]["epochs"]} == {60}


def test_the_restrain_loss_is_logged_where_it_is_asked_for(made):
    terms = {
        model: set(dense_stage(tiny(made / "runs", model)).outcome["history"]["epochs"][0]["losses"])
        for model in ("ocl-fgw", "ocl-fgw-lgds")
    }
    assert terms == {"ocl-fgw": {"cross_entropy"}, "ocl-fgw-lgds": {"cross_entropy", "restrain"}}


def test_older_networks_keep_the_keys_of_their_stages():
    """What was cached and recorded before is still found: nothing new is said of a network from scratch."""
    from bench.make.stages import Recipe, described

    for model in ("mrf", "vggnet"):
        base = job(Path("nowhere"), model)
        what = described(base, Recipe(name="dense", train=base.scale.schedules.dense, settings={}))
        assert sorted(what) == sorted(
            ["stage", "train", "settings", "model", "architecture", "views", "data", "mask_weight"]
            + (["mask_target"] if model == "mrf" else [])
        )


def test_side_by_side_no_two_steps_make_the_same_pretraining():
    wanted = cells(OCL_TABLES["ocl1"], "tiny", "quick", 2)
    begun = steps(wanted)
    assert [[cell.model for cell in step.cells] for step in begun] == 2 * [["resnet18"], ["ocl-resnet18"]]
    later = [[cell.model for step in one.then for cell in step.cells] for one in begun]
    assert later == 2 * [[], ["ocl-fgw", "ocl-fgw-lgds"]]
    everything = [cell for one in begun for step in [one, *one.then] for cell in step.cells]
    assert sorted(everything) == sorted(wanted)


@pytest.mark.parametrize("name", OCL_TABLES)
def test_the_page_says_what_the_records_say(made, name):
    found, table = loaded(made, name), OCL_TABLES[name]
    files = files_of(page_of(table.name, found, data="tiny", scale="quick"))
    assert files_of(page_of(table.name, dict(reversed(found.items())), data="tiny", scale="quick")) == files
    page = files[f"{name}.md"].decode()
    rows = {row["label"]: row for row in csv.DictReader(io.StringIO(files[f"{name}.csv"].decode()))}
    assert list(rows) == [line.label for line in table.lines]
    right = {
        cell.model: from_digits(one.result["accuracy"]["val_selected"]["predictions"])
        == from_digits(one.result["data"]["truth"])
        for cell, one in found.items()
    }
    for line in table.lines:
        row = rows[line.label]
        for data, share in line.published.items():
            assert float(row[f"paper_{data}_percent"]) == share and f"{share:.2f}" in page
        assert (row["status"] == "published") == (not line.model)
        if line.model:
            assert float(row["accuracy_percent"]) == pytest.approx(100 * right[line.model].mean())
        if line.against:
            ours, theirs = right[line.model], right[line.against]
            assert float(row["difference_points"]) == pytest.approx(100 * (ours.mean() - theirs.mean()))
            assert float(row["mcnemar_p"]) == pytest.approx(mcnemar(ours, theirs).p)
            difference = paired_difference(ours, theirs)
            said = f"{difference.points:+.2f} points [{difference.lo:+.2f}, {difference.hi:+.2f}]"
            assert f"{line.label} against {table.label(line.against)}: {said}" in page
    whole, first = (right[model] for model in table.whole)
    assert f"{100 * (whole.mean() - first.mean()):+.2f} points" in page.split("##")[0]
    assert page.count("QUICK RUN - NOT A RESULT") == 2 and "4 of them test pictures (left out)" in page


@pytest.mark.parametrize("name", ["ocl1", "ocl2"])
def test_the_networks_of_a_table_are_timed_in_one_measurement_against_its_first_row(made, name):
    table, found = OCL_TABLES[name], loaded(made, name)
    for cell, one in found.items():
        assert set(one.result["latency"]) == {"1", "32"}
        for told in one.result["latency"].values():
            assert list(told["ratios"]) == ([] if cell.model == table.models[0] else [table.models[0]])
    page = files_of(page_of(table.name, found, data="tiny", scale="quick"))[f"{name}.md"].decode()
    header, row = (next(one for one in page.splitlines() if opening in one) for opening in ("FLOPs (MAC)", "LGDS | 0."))
    assert f"Batch 1: as fast as {table.first.label} [95 %]" in header
    whole = next(one for cell, one in found.items() if cell.model == "ocl-fgw-lgds")
    factors = [1 / told["ratios"][table.models[0]]["ratio"] for told in whole.result["latency"].values()]
    assert [text.split("x [")[0] for text in row.split("| ")[-3::2]] == [f"{factor:.2f}" for factor in factors]
    assert "All networks are timed in turns" in page and "timed alone" not in page


def test_a_table_whose_networks_are_alike_has_no_times(made):
    assert all(one.result["latency"] == {} for one in loaded(made, "ocl-length").values())


def test_times_of_networks_that_were_timed_alone_are_called_that(made):
    found = {}
    for cell, one in loaded(made, "ocl1").items():
        alone = {batch: told | {"ratios": {}} for batch, told in one.result["latency"].items()}
        found[cell] = replace(one, result=one.result | {"latency": alone})
    page = files_of(page_of("ocl1", found, data="tiny", scale="quick"))["ocl1.md"].decode()
    assert "Each network was timed alone" in page and "as fast as" not in page


def test_the_paper_gains_what_it_prints():
    sheet = sheet_of(OCL_TABLES["ocl1"], {}, data="fer2013", scale="cpu", seeds=1)
    gains = [one.paper_points for one in sheet.rows]
    assert gains[0] == {} and [round(one["fer2013"], 2) for one in gains[1:]] == [1.92, 0.45, 0.67]
    assert [round(one["rafdb"], 2) for one in gains[1:]] == [1.23, 0.45, 0.79]


def test_probes_of_the_pretraining_are_told_once_for_each_of_them(made):
    page = files_of(page_of("ocl2", loaded(made, "ocl2"), data="tiny", scale="quick"))["ocl2.md"].decode()
    lines = [line for line in page.splitlines() if line.startswith(("| with occlusion", "| without occlusion"))]
    assert [line.split("|")[2].strip() for line in lines] == ["0", "2", "0", "2"]
    assert [line.split("|")[3].strip() == "-" for line in lines] == [True, False, True, False]


def test_plots_name_what_they_show_and_say_what_is_missing(made):
    files = files_of(page_of("ocl2", loaded(made, "ocl2"), data="tiny", scale="quick"))
    for kind, words in {"accuracy": "SimCLR + ResNet-18", "pretraining": "linear layer, with occlusion"}.items():
        assert words in files[f"ocl2-{kind}.svg"].decode() and "NOT A RESULT" in files[f"ocl2-{kind}.svg"].decode()
        empty = files_of(page_of("ocl2", {}, data="fer2013", scale="cpu"))[f"ocl2-{kind}.svg"].decode()
        assert f"{kind}: not measured" in empty


def test_gaps_say_so_and_several_seeds_are_counted(made):
    found = loaded(made, "ocl1")
    some = {cell: one for cell, one in found.items() if cell.model != "ocl-fgw"}
    files = files_of(page_of("ocl1", some, data="tiny", scale="quick", seeds=2))
    page = files["ocl1.md"].decode()
    assert "| OCL + ResNet-18 + FGW | not measured |" in page and "| ResNet-18 (1 of 2 seeds) |" in page
    assert "OCL + ResNet-18 + FGW + LGDS against OCL + ResNet-18 + FGW: not measured yet." in page
    assert "3 of 8 measured" in page and "Pretraining itself used no labels. Of seed 0." in page
    assert "over 2 seeds: mean ± standard deviation" in page
    empty = files_of(page_of("ocl1", {}, data="tiny", scale="cpu"))
    assert "none measured" in empty["ocl1.md"].decode() and "QUICK" not in empty["ocl1.md"].decode()


def test_the_parts_of_the_method_cost_what_they_should(made):
    cost = {cell.model: one.result["cost"] for cell, one in loaded(made, "ocl1").items()}
    assert cost["resnet18"] == cost["ocl-resnet18"] and cost["ocl-fgw"] == cost["ocl-fgw-lgds"]
    assert cost["ocl-fgw"]["params"] > cost["resnet18"]["params"]
    assert np.isclose(cost["ocl-fgw"]["macs"] / cost["resnet18"]["macs"], 5 * 12**2 / 16**2, rtol=0.25)


@pytest.mark.parametrize("name", OCL_TABLES)
def test_latex_has_a_row_for_every_line_of_every_panel(made, name):
    table = OCL_TABLES[name]
    text = files_of(page_of(table.name, loaded(made, name), data="tiny", scale="quick"))[f"{name}.tex"].decode()
    rows = [line for line in text.splitlines() if line.endswith(r"\\")]
    probed = probes(sheet_of(table, loaded(made, name), data="tiny", scale="quick"))
    panels = 0 if table.by_length else 2 + len(table.models) + len(table.lines)
    assert len(rows) == 1 + len(table.models) + panels + 1 + sum(map(len, probed.values()))
    assert len({line.count("&") for line in rows}) == (2 if table.by_length else 3)
