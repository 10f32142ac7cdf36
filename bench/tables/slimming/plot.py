"""Accuracy against what a network costs: recipes as lines, controls as points, published networks as crosses."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from matplotlib.transforms import ScaledTranslation

from bench.make.methods import RECIPES
from bench.pages.columns import percent, round_magnitude
from bench.pages.svg import LIGHT, MARKERS, RAMP, nothing
from bench.schema import SINGLE
from bench.tables.slimming.measured import BACKEND_NAMES, Measured
from bench.tables.slimming.published import SMALL_NETWORKS

AXES = {"macs": "MACs of one image", "ms": f"p50, ms ({BACKEND_NAMES[0]}, batch {SINGLE})", "params": "Parameters"}
"""Plot -> what accuracy is set against."""
NEAR, STEP = 1.03, 5.0
"""Controls that cost no more than this factor apart are drawn side by side, so many points apart."""


def draw(measured: Sequence[Measured], titles: Mapping[str, str], axis: str, data: str, figure: Figure) -> None:
    """Accuracy with its 95 % interval against what a network costs."""
    names = list(dict.fromkeys(one.name for one in measured))
    if not names:
        nothing(figure.add_axes((0.08, 0.14, 0.53, 0.76)), "accuracy against cost")
        return
    width = 0.59 / len(names)
    for i, name in enumerate(names):
        axes = figure.add_axes((0.08 + i * width, 0.14, width - 0.05, 0.76))
        _field(axes, [one for one in measured if one.name == name], titles, axis, data)
        axes.set_title(name, pad=10)
        axes.set_ylabel("Accuracy on test, % (bars: 95 %)" if i == 0 else "")
        if i == len(names) - 1:
            axes.legend(loc="center left", bbox_to_anchor=(1.02, 0.5), fontsize=7.5)


def _field(axes: Axes, own: Sequence[Measured], titles: Mapping[str, str], axis: str, data: str) -> None:
    axes.grid(True, axis="y", linewidth=0.8)
    axes.set_xlabel(f"{AXES[axis]} (controls that cost alike: side by side)")
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}" if axis == "ms" else round_magnitude(x)))
    axes.xaxis.set_minor_formatter(NullFormatter())
    of = {method: [one for one in own if one.record.cell.variant == method] for method in titles}
    points = [(x, one) for one in own if one.record.cell.variant not in ("dense", *RECIPES) and (x := one.at(axis))]
    aside = dict(zip([one.record.cell for _, one in points], side_by_side([x for x, _ in points]), strict=True))
    for method, title in titles.items():
        look, label = _look(method, list(titles)), title.removeprefix("Control: ")
        if method in ("dense", *RECIPES):
            _points(axes, of[method] + (of["dense"] if method in RECIPES and of[method] else []), axis, look, label)
            continue
        for i, one in enumerate(of[method]):
            shift = ScaledTranslation(aside.get(one.record.cell, 0.0) / 72, 0, axes.figure.dpi_scale_trans)
            look |= {"transform": axes.transData + shift}
            _points(axes, [one], axis, look, "_nolegend_" if i else label)
    axes.update_datalim([(x, end) for x, one in points for end in one.interval])  # bars that are shifted do not count
    axes.autoscale_view()
    if axis == "params" and data == "fer2013":
        for name, params, accuracy in SMALL_NETWORKS:
            look: dict[str, Any] = {"marker": "x", "linestyle": "none", "color": LIGHT["other"]}
            axes.plot([params], [accuracy], label=f"{name} (published)", **look)


def _look(method: str, titles: Sequence[str]) -> dict[str, Any]:
    """Recipes are lines, from dark to light; controls are points."""
    if method == "dense":
        return {"color": LIGHT["ink"], "marker": "*", "markersize": 9, "linestyle": "none"}
    line = method in RECIPES
    place = titles.index(method) - (1 if line else 1 + len(RECIPES))
    names = RAMP[::-1] if line else [("vggnet", "other")[place // len(MARKERS)]]
    marker = MARKERS[place % len(MARKERS)]
    colour = LIGHT[names[place % len(names)]]
    return {"color": colour, "marker": marker, "markersize": 5, "linestyle": "-" if line else "none"}


def side_by_side(xs: Sequence[float]) -> list[float]:
    """How far to move the marker of each x, in points: those that would cover one another stand in a row."""
    rows: list[list[int]] = []
    for i in sorted(range(len(xs)), key=lambda i: xs[i]):
        near = rows and xs[i] <= NEAR * xs[rows[-1][-1]]
        rows[-1].append(i) if near else rows.append([i])
    return [STEP * (row.index(i) - (len(row) - 1) / 2) for i in range(len(xs)) for row in rows if i in row]


def _points(axes: Axes, found: Sequence[Measured], axis: str, look: Mapping[str, Any], label: str) -> None:
    """Networks with their 95 % intervals; beside each point of a recipe how much of the channels was removed."""
    at = sorted((x, one.percent, *one.interval, one.record.cell.ratio) for one in found if (x := one.at(axis)))
    if not at:
        return
    xs, ys, lows, highs, ratios = zip(*at, strict=True)
    ends = [[y - low for y, low in zip(ys, lows, strict=True)], [high - y for y, high in zip(ys, highs, strict=True)]]
    axes.errorbar(xs, ys, yerr=ends, label=label, elinewidth=0.8, **look)
    if look["linestyle"] == "-":
        for x, y, ratio in zip(xs, ys, ratios, strict=True):
            told = percent(ratio) if ratio else ""
            axes.annotate(told, (x, y), (4, -9), textcoords="offset points", fontsize=7, color=look["color"])
