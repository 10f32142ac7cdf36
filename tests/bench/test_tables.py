"""Tables are data: what they promise about cells, columns and the published numbers."""

import re

import pytest

from bench.pages.columns import FORMATS, VALUES, magnitude
from bench.tables.ratios.definitions import RATIO_TABLES, cells, find

TABLE5 = RATIO_TABLES["table5"]


def test_cells_are_two_networks_times_two_uncut_and_five_cuts_with_both_controls() -> None:
    made = cells("table5", "fer2013", "cpu", seeds=2)
    assert len(made) == len(set(made)) == 2 * 2 * (2 + 3 * 5)
    assert len({cell.path for cell in made}) == len(made)
    assert [cell.seed for cell in made] == [0] * 34 + [1] * 34
    cut = {cell.ratio for cell in made if cell.variant == "slim"}
    assert cut == {cell.ratio for cell in made if cell.variant in ("random", "short")} == {0.4, 0.5, 0.6, 0.7, 0.8}
    assert {cell.ratio for cell in made if cell.variant in ("dense", "sparse")} == {0.0}


def test_a_scale_can_have_controls_at_some_ratios_and_paper_2_keeps_all() -> None:
    made = {
        variant: {cell.ratio for cell in cells("table5", "synthetic", "cpu", 1) if cell.variant == variant}
        for variant in ("slim", "short", "random")
    }
    assert made == {"slim": set(TABLE5.ratios), "short": {0.6}, "random": {0.6}}
    told = cells("table5", "fer2013", "cpu+control_ratios=[0.4,0.9]", 1)
    assert {cell.ratio for cell in told if cell.variant == "random"} == {0.4}
    second = cells("ocl-slim", "synthetic", "cpu", 1)
    assert {cell.ratio for cell in second if cell.variant == "random"} == set(RATIO_TABLES["ocl-slim"].ratios)


def test_mistakes_are_named() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        cells("table5", "synthetic", "cpu", seeds=0)
    with pytest.raises(ValueError, match="table5"):
        find("table6")
    assert find(TABLE5) is TABLE5


def test_every_column_speaks_of_known_values_and_every_value_has_a_format() -> None:
    columns = [column for panel in TABLE5.panels for column in panel.columns]
    keys = {key for column in columns for key in re.findall(r"\{(\w+)\}", column.text)}
    assert keys <= set(VALUES)
    assert set(VALUES.values()) <= set(FORMATS)
    assert all(column.text.startswith("{") for column in columns)


@pytest.mark.parametrize("model", TABLE5.models)
@pytest.mark.parametrize("ratio", TABLE5.paper_ratios)
def test_published_reductions_follow_from_the_published_sizes(model: str, ratio: float) -> None:
    """A digit copied wrongly would not fit its neighbours; the paper rounds to two decimals."""
    whole, cut = TABLE5.published[model, 0.0], TABLE5.published[model, ratio]
    assert cut.params_removed_percent == pytest.approx(100 * (1 - cut.params_million / whole.params_million), abs=0.02)
    assert cut.macs_removed_percent == pytest.approx(100 * (1 - cut.macs_giga / whole.macs_giga), abs=0.02)


def test_published_losses_at_60_percent_are_those_the_digest_quotes() -> None:
    losses = {
        model: TABLE5.published[model, 0.0].accuracy_percent - TABLE5.published[model, 0.6].accuracy_percent
        for model in TABLE5.models
    }
    assert losses == pytest.approx({"mrf": 2.96, "vggnet": 31.71})


@pytest.mark.parametrize(
    ("count", "said"),
    [(15_346_630_656, "15.35 G"), (31_094_159, "31.09 M"), (101_000_000, "101.0 M"), (72_340, "0.07 M"), (812, "812")],
)
def test_counts_carry_their_unit(count: int, said: str) -> None:
    assert magnitude(count) == said


def test_a_growing_network_is_not_printed_as_a_reduction() -> None:
    assert FORMATS["reduction"](52.15) == "-52.1 %"
    assert FORMATS["reduction"](-3.0) == "+3.0 %"
    assert FORMATS["points"](0.5) == "+0.50"
    assert FORMATS["probability"](0.0004) == "<0.001"


@pytest.mark.parametrize("scale", ["strong", "strong+tune.epochs=12", "cpu+recipe=taylor"])
def test_a_recipe_without_a_penalty_has_no_sparse_row_whatever_is_set(scale: str) -> None:
    assert not [cell for cell in cells("table5", "fer2013", scale, 1) if cell.variant == "sparse"]
    assert [cell for cell in cells("ocl-slim", "fer2013", scale, 1) if cell.variant == "sparse"], "its own recipe"
    assert [cell for cell in cells("table5", "fer2013", "strong+recipe=penalty", 1) if cell.variant == "sparse"]
