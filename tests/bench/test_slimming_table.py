"""Methods and controls: steps as data, what each control holds equal, and records made once."""

from dataclasses import replace

import pytest
import torch
from tiny_job import job

from bench import records
from bench.make.cuts import method_stage, plan_of, spent
from bench.make.methods import LONGER, RECIPES, Cut, Recover, Train, methods
from bench.make.scale import changed
from bench.registry import TABLES
from bench.tables.slimming.plot import STEP, side_by_side
from bench.tables.slimming.rows import CONTROL_RATIOS, RATIOS, TABLE, cells, measure
from compress.cost import macs
from fermodels import checkpoint

RATIO, SCALE = 0.4, "quick+recipe=taylor"


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """VGGNet of the tiny job, whose own recipe is `taylor`."""
    one = job(tmp_path_factory.mktemp("methods"), "vggnet")
    return replace(one, scale=changed(one.scale, recipe="taylor", width=0.25))


def network_macs(stage) -> int:
    net = stage.net()
    return macs(net, net.example())


def test_cells_are_every_recipe_at_every_ratio_and_every_control_at_some() -> None:
    made = cells("fer2013", "strong", 2, ["vggnet", "mrf"])
    assert len(made) == len({cell.path for cell in made})
    own = [cell for cell in made if cell.model == "mrf" and cell.seed == 1]
    names = {cell.variant for cell in own}
    assert names == {"dense", *methods("taylor")}
    for name in names - {"dense"}:
        ratios = [cell.ratio for cell in own if cell.variant == name]
        assert ratios == list(RATIOS if name in RECIPES else CONTROL_RATIOS)
    assert own[1].variant == "taylor", "what ships comes first, so that a short run has it"


def test_controls_follow_the_recipe_they_control() -> None:
    cut = next(step for step in methods("penalty")["random-channels"].steps if isinstance(step, Cut))
    assert cut.criterion == "random" and methods("penalty")["random-channels"].penalised
    assert not methods("taylor")["random-channels"].penalised
    assert methods("taylor")["taylor"].steps == (Train(), Cut(criterion="taylor"), Recover())


def test_an_unknown_recipe_is_refused_by_name(work) -> None:
    with pytest.raises(ValueError, match='recipe="tailor": allowed are taylor, passes'):
        changed(work.scale, recipe="tailor")


def test_two_passes_end_at_the_share_of_one(work) -> None:
    one, two = (method_stage(work, name, RATIO) for name in ("taylor", "passes"))
    assert plan_of(two).widths_before == plan_of(one).widths_before
    assert plan_of(two).removed == pytest.approx(plan_of(one).removed, abs=0.02)
    assert plan_of(two).macs_after == network_macs(two)
    assert list(two.lineage) == ["dense", "passes40 of 67%", "passes40"]


def test_uniform_widths_have_the_same_macs_at_most(work) -> None:
    own, uniform = (method_stage(work, name, RATIO) for name in ("taylor", "uniform"))
    assert network_macs(uniform) <= network_macs(own)
    kept = [after / plan_of(uniform).widths_before[name] for name, after in plan_of(uniform).widths_after.items()]
    assert max(kept) - min(kept) <= 0.5


def test_group_norm_is_set_against_the_recipe_at_the_same_macs(work) -> None:
    own, other = (method_stage(work, name, RATIO) for name in ("taylor", "group-norm-macs"))
    assert plan_of(other).criterion == "group_norm"
    assert 0.8 * network_macs(own) < network_macs(other) <= network_macs(own)


def test_the_longer_recovery_is_of_the_same_cut(work) -> None:
    own, longer = (method_stage(work, name, RATIO) for name in ("taylor", "long"))
    assert plan_of(longer).widths_after == plan_of(own).widths_after
    epochs = [one.outcome["described"]["train"]["epochs"] for one in (own, longer)]
    assert epochs[1] == LONGER * epochs[0]


def test_scratch_has_the_widths_but_not_the_weights_and_as_much_compute(work) -> None:
    own, scratch, short = (method_stage(work, name, RATIO) for name in ("taylor", "scratch", "scratch-epochs"))
    widths = [{name: trunk.widths for name, trunk in one.net().trunks.items()} for one in (own, scratch, short)]
    assert widths[0] == widths[1] == widths[2]
    schedules = work.scale.schedules
    epochs = scratch.outcome["described"]["train"]["epochs"]
    plan = plan_of(own)
    assert epochs * plan.macs_after == pytest.approx(spent(schedules, plan), abs=plan.macs_after)
    assert epochs > schedules.dense.epochs + schedules.tune.epochs
    assert short.outcome["described"]["train"]["epochs"] == schedules.dense.epochs + schedules.tune.epochs


def test_a_narrow_network_is_trained_as_long_as_the_unpruned_one(work) -> None:
    narrow, uniform = (method_stage(work, name, RATIO) for name in ("narrow", "uniform"))
    assert network_macs(narrow) == network_macs(uniform)
    assert narrow.outcome["described"]["train"]["epochs"] == work.scale.schedules.dense.epochs


@pytest.mark.parametrize("name", ["tp-bnscale", "tp-magnitude", "tp-groupnorm"])
def test_torch_prunings_scores_cut_as_many_channels(work, name: str) -> None:
    own, theirs = (method_stage(work, one, RATIO) for one in ("taylor", name))
    assert plan_of(theirs).removed == pytest.approx(plan_of(own).removed, abs=0.02)
    assert plan_of(theirs).criterion.startswith("torch-pruning")


@pytest.fixture(scope="module")
def made(work, tmp_path_factory):
    """The cells asked for, and the folder of their records."""
    folder = tmp_path_factory.mktemp("records")
    asked = [cell for cell in cells("tiny", SCALE, 1, ["vggnet"]) if cell.ratio in (0.0, 0.6)]
    asked = [cell for cell in asked if cell.variant in ("dense", "taylor", "random-channels", "narrow")]
    measure(work, asked, folder)
    return asked, folder


def test_records_are_whole_and_made_once(work, made, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, folder = made
    found = records.load_all(folder, table=TABLE, data="tiny", scale=SCALE)
    assert set(found) == set(asked)
    for cell, record in found.items():
        whole = cell.variant == "dense"
        assert (record.result["plan"] is None) == whole
        assert (record.result["after_cut"] is None) == (cell.variant in ("dense", "narrow"))
        for told in record.result["runtimes"].values():
            assert set(told["ratios"]) == (set() if whole else {"unpruned"})
    monkeypatch.setattr("bench.make.stages.fit", lambda *a, **k: pytest.fail("a training began again"))
    monkeypatch.setattr("bench.tables.slimming.rows.measure_turns", lambda *a, **k: pytest.fail("timed again"))
    measure(work, asked, folder)


def test_a_table_that_is_timed_anew_says_which_code_took_the_times(work, made, tmp_path) -> None:
    asked, folder = made
    old = [replace(records.load(folder / cell.path), commit="e" * 40) for cell in asked]
    for one in old[1:]:
        records.save(one, tmp_path)
    records.save(
        replace(old[0], result={key: told for key, told in old[0].result.items() if key != "runtimes"}), tmp_path
    )
    measure(work, asked, tmp_path)
    for one in old:
        new = records.load(tmp_path / one.cell.path)
        assert new.commit == one.commit and new.result["accuracy"] == one.result["accuracy"]
        assert new.timing["commit"] == records.load(folder / one.cell.path).commit
        assert new.result["runtimes"] != one.result["runtimes"]


def test_a_method_that_cuts_gives_an_ordinary_checkpoint(work) -> None:
    stage = method_stage(work, "taylor", RATIO)
    net, about = checkpoint.load(stage.folder / "chosen")
    assert about["architecture"] == "vggnet"
    assert net(*net.example()).logits.shape == torch.Size([1, 1, 7])


def test_the_page_sets_the_recipe_against_its_controls(made) -> None:
    asked, folder = made
    found = records.load_all(folder, table=TABLE, data="tiny", scale=SCALE)
    page = TABLES[TABLE].page(found, data="tiny", scale=SCALE, seeds=1)
    by_method, controls, networks = page.parts
    assert [row[1] for row in by_method.body] == [
        "unpruned",
        "Taylor scores, one cut",
        "Control: random channels",
        "Control: a narrower unpruned network, the same MACs",
    ]
    assert len(controls.body) == 2 and len(networks.body) == len(asked)
    own = next(record for cell, record in found.items() if cell.variant == "taylor")
    rival = next(record for cell, record in found.items() if cell.variant == "narrow")
    shares = [record.result["accuracy"]["val_selected"]["overall"] for record in (own, rival)]
    row = next(row for row in controls.body if "narrower" in row[1])
    assert float(row[5].split()[0]) == pytest.approx(100 * (shares[0] - shares[1]), abs=0.006)
    assert "60 % of the channels" in page.sentences[0]
    assert all(one.startswith("At 60 % it is ") for one in page.sentences[1:]), "no other ratio is measured"
    told = " ".join(page.sentences[1:])
    costs = [record.result["cost"]["macs"] for record in (own, rival)]
    differs = abs(costs[1] / costs[0] - 1) > 0.05
    assert (
        f"the same MACs ({100 * (shares[0] - shares[1]):+.2f}{', at' if differs else ')'}" in told
    ) and "random" in told
    assert set(page.plots) == {"macs", "ms", "params"}
    missing = page.remarks["Not measured"]
    assert "VGGNet, Control: random channels: 80 %" in missing and "MRF, all of it" in missing


def test_the_lead_tells_every_ratio_with_controls_and_what_they_cost(made) -> None:
    _, folder = made
    found = dict(records.load_all(folder, table=TABLE, data="tiny", scale=SCALE))
    for cell, record in list(found.items()):
        if cell.ratio:
            again = replace(cell, ratio=0.8)
            found[again] = replace(record, cell=again)
    own = next(record for cell, record in found.items() if (cell.variant, cell.ratio) == ("taylor", 0.8))
    dear = next(record for cell, record in found.items() if (cell.variant, cell.ratio) == ("narrow", 0.8))
    dear.result["cost"]["macs"] = 2 * own.result["cost"]["macs"]
    told = TABLES[TABLE].page(found, data="tiny", scale=SCALE, seeds=1).sentences
    first = next(at for at, one in enumerate(told) if "80 % of the channels" in one)
    assert first > 1 and all(one.startswith("At 80 % it is ") for one in told[first + 1 :])
    assert sum("at 2.00 times its MACs" in one for one in told[first + 1 :]) == 1


def test_points_that_would_cover_one_another_stand_in_a_row() -> None:
    assert side_by_side([]) == []
    assert side_by_side([100, 50, 101, 50]) == [-STEP / 2, -STEP / 2, STEP / 2, STEP / 2]
    assert side_by_side([1.0, 2.0, 4.0]) == [0, 0, 0]
    assert side_by_side([7.0, 7.0, 7.0]) == [-STEP, 0, STEP]


def test_a_page_without_records_says_so() -> None:
    page = TABLES[TABLE].page({}, data="tiny", scale=SCALE, seeds=1)
    assert page.sentences == ["Methods of slimming: not measured yet."]
