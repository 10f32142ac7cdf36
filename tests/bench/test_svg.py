"""Labels of plots lie inside their canvas and not on each other."""

from pathlib import Path

import pytest
from svg_boxes import canvas, outside, overlapping, texts

from bench.pages.svg import Plot
from bench.tables.ratios.speed_plot import Point, speed_plots

COMMITTED = sorted((Path(__file__).parents[2] / "reports/tables").rglob("*.svg"))


def plot(*labels: tuple[float, float, str]) -> str:
    def draw(figure) -> None:
        for x, y, text in labels:
            figure.text(x, y, text)

    return Plot("test", (4.0, 2.0), "", draw).svg


def test_boxes_are_where_texts_are():
    svg = plot((0.5, 0.5, "in the middle"), (0.95, 0.5, "too far right"))
    (middle, right) = texts(svg)
    assert canvas(svg) == (288.0, 144.0)
    assert 140 < middle.left < 150 and 190 < middle.right < 230 and 60 < middle.top < middle.bottom < 80
    assert right.right > 288 and outside(svg) == ["too far right"]


def test_texts_on_each_other_are_found():
    assert overlapping(plot((0.5, 0.5, "one"), (0.51, 0.52, "two"), (0.1, 0.1, "three"))) == [("one", "two")]


@pytest.mark.parametrize("path", COMMITTED, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_labels_of_committed_plots_lie_inside_and_apart(path):
    svg = path.read_text(encoding="utf-8")
    assert outside(svg) == [] and overlapping(svg) == []


def points(model: str, faster: float) -> list[Point]:
    told = [
        ("unpruned", 8.0, 68.0),
        ("40", 6.9, 67.9),
        ("50", 6.8, 67.8),
        ("60", 6.7, 67.7),
        ("70", 5, 66),
        ("80", 4, 61),
    ]
    return [
        Point(
            model=model, name=model, label=label, ms=ms / faster, percent=percent, low=percent - 1.5, high=percent + 1.5
        )
        for label, ms, percent in told
    ]


def test_every_runtime_has_a_plot_with_the_same_axes_and_free_labels():
    runs = {"slow": [*points("mrf", 1.0), *points("vggnet", 1.02)], "fast": points("mrf", 8.0), "absent": []}
    made = speed_plots(runs, "")
    assert list(made) == ["slow", "fast"]
    for one in made.values():
        assert outside(one.svg) == [] and overlapping(one.svg) == []
    ticks = [[box.text for box in texts(one.svg) if box.text.replace(".", "").isdigit()] for one in made.values()]
    assert set(ticks[1]) - {"40", "50", "60", "70", "80"} == set(ticks[0]) - {"40", "50", "60", "70", "80"}
    assert "unpruned" in [box.text for box in texts(made["slow"].svg)]
