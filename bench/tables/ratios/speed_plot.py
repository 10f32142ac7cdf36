"""Accuracy against milliseconds: one plot a runtime, with the same axes, so that a reader can switch between them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator
from matplotlib.transforms import Bbox

from bench.pages.svg import LIGHT, MARKERS, Plot
from bench.records import Cell
from bench.tables.ratios.definitions import shown

INCHES, FONT = (5.0, 4.1), 8.5
TICKS = ((1, 2, 5), (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8))
"""Within a decade; the finer ones where fewer than three of the others are seen."""


@dataclass(frozen=True, kw_only=True)
class Point:
    """One network in one runtime."""

    model: str
    name: str
    """Of the model, in the legend."""
    label: str
    """What was removed."""
    ms: float
    percent: float
    low: float
    high: float


def point_of(cell: Cell, ms: float, score: Mapping[str, Any]) -> Point:
    """A network that takes `ms` for one face; `score` as in a record's accuracy."""
    low, high = (100 * end for end in score["interval"])
    return Point(
        model=cell.model,
        name=shown(cell.model),
        label=f"{100 * cell.ratio:.0f}" if cell.ratio else "unpruned",
        ms=ms,
        percent=100 * score["overall"],
        low=low,
        high=high,
    )


Runs = Mapping[str, Sequence[Point]]
"""Runtime -> its points, each model's from unpruned to the slimmest."""


def speed_plots(runs: Runs, watermark: str) -> dict[str, Plot]:
    """By runtime; the other runtimes lie behind it in grey. Runtimes without a point have none."""
    shown = {runtime: points for runtime, points in runs.items() if points}
    return {
        runtime: Plot(f"speed-{i}", INCHES, watermark, lambda figure, one=runtime: _draw(figure, shown, one))
        for i, runtime in enumerate(shown)
    }


def _draw(figure: Figure, runs: Runs, runtime: str) -> None:
    axes = figure.add_axes((0.125, 0.2, 0.845, 0.715))
    axes.set_title(runtime, pad=10)
    axes.grid(True, axis="y", linewidth=0.8)
    axes.tick_params(length=3)
    _frame(axes, [point for points in runs.values() for point in points])
    for other in runs:
        if other != runtime:
            for points in _by_model(runs[other]):
                axes.plot(*_line(points), color=LIGHT["before"], linewidth=1, alpha=0.7, zorder=1)
    shown = _by_model(runs[runtime])
    for i, points in enumerate(shown):
        _curve(axes, points, MARKERS[i % len(MARKERS)])
    _labels(axes, shown)
    axes.set_xlabel("ms for one face (median; to the left is faster)")
    axes.set_ylabel("Accuracy on test, % (bars: 95 %)")
    figure.legend(*axes.get_legend_handles_labels(), loc="lower center", ncols=3)


def _by_model(points: Sequence[Point]) -> list[list[Point]]:
    groups: dict[str, list[Point]] = {}
    for point in points:
        groups.setdefault(point.model, []).append(point)
    return list(groups.values())


def _line(points: Sequence[Point]) -> tuple[list[float], list[float]]:
    return [point.ms for point in points], [point.percent for point in points]


def _curve(axes: Axes, points: Sequence[Point], marker: str) -> None:
    colour = LIGHT.get(points[0].model, LIGHT["other"])
    x, y = _line(points)
    bars = [[point.percent - point.low for point in points], [point.high - point.percent for point in points]]
    axes.plot(x, y, color=colour, marker=marker, markersize=5.5, label=points[0].name, zorder=3)
    axes.errorbar(x, y, yerr=bars, fmt="none", ecolor=colour, elinewidth=1.1, alpha=0.45, zorder=2)


def _labels(axes: Axes, shown: Sequence[Sequence[Point]]) -> None:
    """What was removed, above or below each point's bar: the ends of every curve first, and none on another."""
    taken: list[Bbox] = []
    inner = [point for points in shown for point in points[1:-1]]
    for point in [end for points in shown for end in (points[0], points[-1])] + inner:
        for end, sign in ((point.high, 1), (point.low, -1)):
            x, y = axes.transData.transform((point.ms, end)) * 72 / axes.figure.dpi
            half, tall = 0.33 * FONT * len(point.label), sign * 1.3 * FONT
            box = Bbox([(x - half, min(y, y + tall)), (x + half, max(y, y + tall))])
            if not any(box.overlaps(other) for other in taken):
                look = {"color": LIGHT.get(point.model, LIGHT["other"]), "fontsize": FONT, "ha": "center"}
                place = {"xytext": (0, 3 * sign), "textcoords": "offset points"}
                axes.annotate(point.label, (point.ms, end), va="bottom" if sign > 0 else "top", **place, **look)
                taken.append(box)
                break


def _frame(axes: Axes, points: Sequence[Point]) -> None:
    """Logarithmic milliseconds with ticks that double, and room for every label."""
    fast, slow = min(point.ms for point in points) / 1.25, max(point.ms for point in points) * 1.4
    low, high = min(point.low for point in points), max(point.high for point in points)
    room = 0.1 * max(high - low, 1.0)
    axes.set_xscale("log")
    axes.set_xlim(fast, slow)
    few, many = ([base * 10.0**power for power in range(-2, 5) for base in bases] for bases in TICKS)
    few, many = ([tick for tick in ticks if fast <= tick <= slow] for ticks in (few, many))
    axes.set_xticks(few if len(few) > 2 else many)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_locator(MaxNLocator(8, integer=True))
    axes.set_ylim(low - room, high + room)
