"""Accuracy against what a network costs: recipes as lines, controls as points, published networks as crosses."""

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from bench.make.methods import RECIPES
from bench.pages.columns import magnitude
from bench.pages.svg import LIGHT, MARKERS, RAMP, nothing
from bench.schema import SINGLE
from bench.tables.slimming.measured import BACKEND_NAMES, Measured
from bench.tables.slimming.published import SMALL_NETWORKS

AXES = {"macs": "MACs of one image", "ms": f"p50, ms ({BACKEND_NAMES[0]}, batch {SINGLE})", "params": "Parameters"}
"""Plot -> what accuracy is set against."""


def draw(measured: Sequence[Measured], titles: Mapping[str, str], axis: str, data: str, figure: Figure) -> None:
    """Accuracy against what a network costs: recipes as lines, controls as points."""
    names = list(dict.fromkeys(one.name for one in measured))
    if not names:
        nothing(figure.add_axes((0.08, 0.14, 0.55, 0.76)), "accuracy against cost")
        return
    width = 0.62 / len(names)
    for i, name in enumerate(names):
        axes = figure.add_axes((0.08 + i * width, 0.14, width - 0.05, 0.76))
        _field(axes, [one for one in measured if one.name == name], titles, axis, data)
        axes.set_title(name, pad=10)
        axes.set_ylabel("Accuracy on test, %" if i == 0 else "")
        if i == len(names) - 1:
            axes.legend(loc="center left", bbox_to_anchor=(1.02, 0.5), fontsize=7)


def _field(axes: Axes, own: Sequence[Measured], titles: Mapping[str, str], axis: str, data: str) -> None:
    axes.grid(True, axis="y", linewidth=0.8)
    axes.set_xlabel(AXES[axis])
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}" if axis == "ms" else magnitude(value)))
    axes.xaxis.set_minor_formatter(NullFormatter())
    whole = [one for one in own if one.record.cell.variant == "dense"]
    for method, title in titles.items():
        line = method in RECIPES
        cut = [one for one in own if one.record.cell.variant == method]
        points = cut + (whole if line and cut else [])
        at = sorted((x, one.percent) for one in points if (x := one.at(axis)) is not None)
        if not at or method == "dense":
            continue
        place = list(titles).index(method) - (1 if line else 1 + len(RECIPES))
        names = RAMP if line else [("vggnet", "other")[place // len(MARKERS)]]
        colour, marker = LIGHT[names[place % len(names)]], MARKERS[place % len(MARKERS)]
        label = title.removeprefix("Control: ")
        linestyle = "-" if line else "none"
        axes.plot(*zip(*at, strict=True), color=colour, marker=marker, label=label, linestyle=linestyle, markersize=5)
    if axis == "params" and data == "fer2013":
        for name, params, percent in SMALL_NETWORKS:
            axes.plot(
                [params], [percent], marker="x", linestyle="none", color=LIGHT["other"], label=f"{name} (published)"
            )
