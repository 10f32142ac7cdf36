"""Occlusion x pruning and Fig 3: from a small job to the page, with every figure recomputed by double loops."""

import csv
import io
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from tiny_job import job

from bench import records
from bench.make.baselines import VARIANT
from bench.make.networks import NETWORKS
from bench.make.pipeline import stage_behind
from bench.measure.stats import mean_over_images
from bench.pages.files import files as files_of
from bench.records import Cell, Record
from bench.tables.covers import fig3, fig3_page, occlusion, occlusion_page
from bench.tables.covers.covered import covered_sets, levels
from bench.tables.covers.looks import Looks
from bench.tables.covers.robustness import robustness_of
from fermodels.faces.occlude import OCCLUDERS, RECTANGLES
from fermodels.handcrafted import FEATURES

PLACE = {"data": "tiny", "scale": "quick"}


def wanted(model: str = "vggnet") -> list[Cell]:
    return [cell for cell in occlusion.cells("tiny", "quick", 1) if cell.model == model and cell.ratio in (0.0, 0.4)]


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    folder = tmp_path_factory.mktemp("occlusion")
    given = job(folder / "runs", "vggnet")
    for cell in wanted():
        stage = stage_behind(given, cell)
        latency = {"p50_ms": 2.0 - cell.ratio, "p90_ms": 3.0, "noisy": False, "threads": 1, "runtime": "torch"}
        ratios = {"unpruned": {"ratio": 0.8, "interval": [0.7, 0.9]}} if cell.ratio else {}
        timed = {"latency": {"1": latency | {"precision": "fp32", "ratios": ratios, "samples_ms": [1]}}}
        about = {"environment": {}, "commit": "0" * 40, "dirty": False, "created": "2026-11-22T00:00:00Z"}
        told = Record(cell=replace(cell, table="table5"), config={"key": stage.key}, result=timed, **about)
        records.save(told, folder / "records")
    occlusion.measure(given, wanted(), folder / "records")
    return given, folder / "records"


def loaded(measured) -> dict[Cell, Record]:
    return records.load_all(measured[1], table="occlusion", **PLACE)


def right(record: Record, answers: str) -> list[int]:
    return [int(one == true) for one, true in zip(answers, record.result["data"]["truth"], strict=True)]


def drops(record: Record, family: str, level: str) -> list[int]:
    behind = right(record, record.result["occluded"][family][level])
    return [bare - one for bare, one in zip(right(record, record.result["bare"]), behind, strict=True)]


def test_families_are_registered_and_both_kinds_are_among_them() -> None:
    for families in (occlusion.FAMILIES, fig3.FAMILIES):
        assert set(families) <= set(OCCLUDERS)
        assert {"seen", "unseen"} == {occlusion_page.kind(family) for family in families if family in RECTANGLES}
    assert levels("noise") == ("5", "10", "15", "20", "25", "30") and levels("mask") == ("placed",)


def test_cells_are_every_network_of_the_tables_of_ratios_that_ships() -> None:
    made = occlusion.cells("synthetic", "cpu", 2)
    assert len(made) == len({cell.path for cell in made}) == 2 * (6 + 6 + 5)
    assert {cell.variant for cell in made if cell.ratio} == {"slim"}


def test_methods_of_fig3_are_registered_and_baselines_have_no_seeds() -> None:
    assert set(fig3.METHODS) <= {*FEATURES, *NETWORKS}
    made = fig3.cells("synthetic", "cpu", 2)
    assert len(made) == len({cell.path for cell in made}) == 2 * len(fig3.METHODS) - len(FEATURES)


def test_a_record_holds_answers_behind_every_cover_and_says_what_is_lacking(measured) -> None:
    found = loaded(measured)
    assert set(found) == set(wanted())
    for record in found.values():
        shown = record.result["occluded"]
        assert {name: set(by_level) for name, by_level in shown.items()} == {
            name: set(levels(name)) for name in ("noise", "patch", "mask")
        }
        assert "MaskTheFace" in record.result["lacking"]["picture"]
        assert all(len(text) == 40 for by_level in shown.values() for text in by_level.values())
        assert record.result["covered"]["noise"]["30"] == pytest.approx(0.3, abs=0.5 / 256)
        assert record.result["latency"]["1"]["p50_ms"] == 2.0 - record.cell.ratio


def test_bare_faces_answer_as_in_the_other_tables(measured) -> None:
    given, _ = measured
    for cell, record in loaded(measured).items():
        stage = stage_behind(given, cell)
        bare = occlusion.network_answers(given, stage)(given.data.test)
        assert "".join(map(str, bare)) == record.result["bare"] == stage.outcome["predictions"]["val_selected"]


def test_a_second_call_measures_nothing_and_one_of_another_family_does(measured, monkeypatch) -> None:
    given, root = measured
    before = {path: path.read_bytes() for path in root.rglob("*.json")}
    with monkeypatch.context() as patched:
        patched.setattr(occlusion, "looked", lambda *given: pytest.fail("measured again"))
        occlusion.measure(given, wanted(), root)
    assert {path: path.read_bytes() for path in root.rglob("*.json")} == before != {}
    path = root / wanted()[0].path
    stage = stage_behind(given, wanted()[0])
    assert occlusion.measured(path, stage, given, occlusion.FAMILIES)
    assert not occlusion.measured(path, stage, given, ("noise",))


def test_covers_are_made_once_for_all_networks(measured) -> None:
    given, _ = measured
    again = [made for _, _, made in covered_sets(given, ("noise",))]
    assert all(one is two for one, (_, _, two) in zip(again, covered_sets(given, ("noise",)), strict=True))
    with pytest.raises(ValueError, match="leave --crops out"):
        next(covered_sets(replace(given, crops="five"), ("noise",)))


def test_drops_areas_and_excesses_are_sums_over_the_same_images(measured) -> None:
    whole, slim = (loaded(measured)[cell] for cell in wanted())
    row = next(row for row in robustness_of(loaded(measured).values(), ["vggnet"]) if row.ratio)
    n = len(whole.result["data"]["truth"])
    for name, family, level in (("seen", "noise", "30"), ("unseen", "patch", "30"), ("mask", "mask", "placed")):
        ours, theirs = drops(slim, family, level), drops(whole, family, level)
        pairs = [a - b for a, b in zip(ours, theirs, strict=True)]
        mean = sum(pairs) / n
        half = 1.959964 * (sum((one - mean) ** 2 for one in pairs) / (n - 1) / n) ** 0.5
        assert row.drop(name).percent == pytest.approx(100 * sum(ours) / n)
        assert row.excess(name).percent == pytest.approx(100 * mean)
        assert (row.excess(name).lo, row.excess(name).hi) == pytest.approx((100 * (mean - half), 100 * (mean + half)))
    curve = [sum(right(slim, slim.result["bare"])) / n]
    curve += [sum(right(slim, slim.result["occluded"]["noise"][level])) / n for level in levels("noise")]
    area = sum((a + b) / 2 for a, b in pairwise(curve)) / 6
    assert row.area("seen").percent == pytest.approx(100 * area)


def test_a_flat_curve_has_its_height_as_area_and_no_drop() -> None:
    flat = np.array([1.0, 0.0, 1.0, 1.0])
    looks = Looks(bare=flat, behind={("noise", level): flat for level in levels("noise")})
    np.testing.assert_allclose(looks.area(("noise",)), flat)
    assert not looks.drop(("noise",)).any() and looks.families("unseen") == () and looks.placed == ()


def test_an_interval_over_images_shrinks_with_their_root_and_needs_two() -> None:
    few, many = (mean_over_images(np.tile([0.0, 1.0, 1.0], n)) for n in (30, 120))
    assert few.percent == many.percent == pytest.approx(200 / 3)
    assert (few.hi - few.lo) / (many.hi - many.lo) == pytest.approx(2, rel=0.01)
    with pytest.raises(ValueError, match="at least two"):
        mean_over_images(np.ones(1))


def test_seeds_are_averaged_image_by_image(measured) -> None:
    found = loaded(measured)
    twins = [replace(one, cell=replace(cell, seed=seed)) for cell, one in found.items() for seed in (0, 1)]
    for one, two in zip(robustness_of(found.values(), ["vggnet"]), robustness_of(twins, ["vggnet"]), strict=True):
        assert len(two.records) == 2 and one.drop("seen") == two.drop("seen")


def test_a_network_is_compared_with_the_reference_of_its_own_seeds_a_baseline_with_all(measured) -> None:
    first, other = (loaded(measured)[cell] for cell in wanted())

    def shown(model: str, seed: int, answers: Record, variant: str = "dense") -> Record:
        cell = replace(first.cell, model=model, seed=seed, variant=variant, ratio=0.0)
        return replace(answers, cell=cell)

    reference = [shown("resnet18", 0, first), shown("resnet18", 1, other)]
    given = [*reference, shown("densenet121", 1, first), shown("hog", 0, first, VARIANT), shown("mrf", 2, first)]
    rows = {row.model: row for row in robustness_of(given, ["resnet18", "densenet121", "hog", "mrf"], "resnet18")}
    lost = {name: np.array(drops(one, "noise", "30")) for name, one in (("first", first), ("other", other))}
    both = (lost["first"] + lost["other"]) / 2
    assert rows["densenet121"].excess("seen").percent == pytest.approx(100 * (lost["first"] - lost["other"]).mean())
    assert rows["hog"].excess("seen").percent == pytest.approx(100 * (lost["first"] - both).mean())
    assert rows["mrf"].excess("seen") is None and rows["resnet18"].excess("seen") is None


def test_fig3_counts_seeds_where_there_are_several(measured) -> None:
    first = loaded(measured)[wanted()[0]]
    place = first.cell.__dict__ | {"table": fig3_page.TABLE}
    cells = [
        Cell(**place | {"model": model, "seed": seed}) for model, seed in (("resnet18", 0), ("resnet18", 1), ("mrf", 0))
    ]
    found = {cell: replace(first, cell=cell) for cell in cells}
    page = files_of(fig3_page.page_of(found, **PLACE))["fig3.md"].decode()
    header, *rows = [line.split(" | ") for line in page.splitlines() if line.startswith(("| Network |", "| network |"))]
    assert {row[1]: row[header.index("Seeds")] for row in rows[:2]} == {"MRF": "1", "ResNet-18": "2"}
    assert "2 seeds" in page and "ResNet-18 of the same seeds" in page
    once = files_of(fig3_page.page_of({cells[0]: found[cells[0]]}, **PLACE))["fig3.md"].decode()
    assert "Seeds" not in once and "of the same seeds" not in once


def test_records_of_other_covers_are_refused(measured) -> None:
    whole, slim = (loaded(measured)[cell] for cell in wanted())
    other = replace(slim, result=slim.result | {"covers": slim.result["covers"] | {"seed": 1}})
    with pytest.raises(ValueError, match="different test splits or covers"):
        robustness_of([whole, other], ["vggnet"])


def test_the_page_says_what_the_records_say_in_every_form(measured) -> None:
    found = loaded(measured)
    files = files_of(occlusion_page.page_of(found, **PLACE))
    assert set(files) == {f"occlusion{end}" for end in (".md", ".csv", ".tex", ".html", "-curves.svg", "-surface.svg")}
    assert files_of(occlusion_page.page_of(dict(reversed(found.items())), **PLACE)) == files
    page, table = files["occlusion.md"].decode(), list(csv.DictReader(io.StringIO(files["occlusion.csv"].decode())))
    assert len(table) == 2 * (1 + 6 + 6 + 1)
    slim = found[wanted()[1]]
    (line,) = [one for one in table if (one["ratio"], one["family"], one["level"]) == ("0.4", "patch", "15")]
    answers = right(slim, slim.result["occluded"]["patch"]["15"])
    assert float(line["accuracy_percent"]) == pytest.approx(100 * sum(answers) / len(answers))
    assert "MaskTheFace" in page and "MRF, 60 % removed" in page and "1.25x" in page and "QUICK RUN" in page
    for name in ("occlusion.tex", "occlusion.html"):
        assert "QUICK RUN" in files[name].decode() and "MaskTheFace" in page


@pytest.mark.parametrize("page_of", [occlusion_page.page_of, fig3_page.page_of])
def test_without_any_record_the_page_says_so(page_of) -> None:
    files = files_of(page_of({}, data="tiny", scale="cpu"))
    page = next(text.decode() for name, text in files.items() if name.endswith(".md"))
    assert "not measured" in page and all(files.values())


def test_fig3_puts_a_baseline_and_a_network_side_by_side(measured, tmp_path) -> None:
    pytest.importorskip("skimage", reason="needs scikit-image: pip install -e '.[handcrafted]'")
    given, _ = measured
    cells = [cell for cell in fig3.cells("tiny", "quick", 1) if cell.model in ("lbp", "vggnet")]
    for cell in cells:
        fig3.measure(replace(given, model=cell.model), [cell], tmp_path)
    found = records.load_all(tmp_path, table="fig3", **PLACE)
    baseline = next(one for cell, one in found.items() if cell.model == "lbp")
    assert baseline.cell.variant == "svm" and baseline.result["cost"]["params"] == (42 * 59 + 1) * 7
    assert set(baseline.result["occluded"]) == {"noise", "black", "patch", "mask"}
    page = files_of(fig3_page.page_of(found, **PLACE))["fig3.md"].decode()
    assert "| handcrafted | LBP |" in page and "| published | DenseNet |" in page and "18.57" in page
    assert "SIFT" in page.split("## Not measured")[1]

    names = {"vggnet": fig3.REFERENCE, "lbp": fig3.OURS}
    as_ours = {replace(cell, model=names[cell.model], variant="dense"): one for cell, one in found.items()}
    as_ours = {cell: replace(one, cell=cell) for cell, one in as_ours.items()}
    theirs, ours = (next(one for cell, one in as_ours.items() if cell.model == name) for name in names.values())
    more = np.subtract(drops(ours, "patch", "30"), drops(theirs, "patch", "30")).mean()
    page = files_of(fig3_page.page_of(as_ours, **PLACE))["fig3.md"].decode()
    (sentence,) = [line for line in page.splitlines() if "points lost against ResNet-18" in line]
    assert f"unseen rectangle {100 * more:+.2f} [" in sentence and "-3.86" in sentence


def test_fig3_tells_what_random_erasing_does_and_how_long_each_was_trained(measured, tmp_path) -> None:
    given, _ = measured
    (cell,) = [cell for cell in fig3.cells("tiny", "quick", 1) if cell.model == "vggnet"]
    fig3.measure(replace(given, model="vggnet"), [cell], tmp_path)
    (found,) = records.load_all(tmp_path, table="fig3", **PLACE).values()
    names = (fig3.REFERENCE, fig3.OURS, fig3.REFERENCE + fig3.ERASING, fig3.OURS + fig3.ERASING)
    made = {one.cell: one for one in (replace(found, cell=replace(cell, model=name)) for name in names)}
    files = files_of(fig3_page.page_of(made, **PLACE))
    page, plot = (files[f"fig3{end}"].decode() for end in (".md", "-curves.svg"))
    told = [line for line in page.splitlines() if "points lost against ResNet-18" in line]
    assert [line.split(",")[0] for line in told] == ["- " + fig3.METHODS[name].split(",")[0] for name in names[1:]]
    assert sum("the paper's own" in line for line in told) == 1
    scale = found.config["scale"]
    epochs = [line.split("|")[-3].strip() for line in page.splitlines() if line.startswith("| network |")][:4]
    dense, whole = (f"{scale['dense']['epochs']}", f"{scale['pretrain']['epochs']} + {scale['dense']['epochs']}")
    assert epochs == [dense, whole, dense, whole]
    assert all(fig3.METHODS[name] in plot for name in names)
