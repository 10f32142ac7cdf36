"""Plots of whole networks as SVG text: accuracy with its interval, reliability before and after the temperature, and
the mean attention map.

Networks that were not measured are left out; a plot without any says so.
"""

from collections.abc import Mapping
from textwrap import fill
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from bench.make.scales import titled
from bench.measure.calibration import recorded_reliability
from bench.pages.sheet import Row, Sheet, first_record
from bench.pages.svg import LIGHT, RAMP, Plot, nothing
from bench.pages.values import correct
from bench.records import Record
from bench.tables.networks.sheet import name_of

ACROSS = 4
"""Fields of the reliability plot beside each other."""
TALL = 1.95
"""Inches from one line of fields to the next."""
LONGEST = 32
"""Letters of a name in one line beside the dots."""
MAP_TALL = 1.3
"""The same of the attention maps."""
MAP_TITLES = {"before": "before training", "right": "faces named rightly", "wrong": "faces named wrongly"}
"""Mean maps of a record (`bench.measure.attention.mean_maps`) and what stands above them."""


def accuracy_dots(sheet: Sheet) -> Plot:
    """Accuracy on the test split with its 95 % interval, one line a network, and every seed's own."""
    rows = [row for row in sheet.rows if row.cells]
    height = 1.3 + 0.36 * len(rows)
    return Plot(f"{sheet.table.name}-accuracy", (7.2, height), sheet.watermark, lambda f: _draw_dots(f, sheet, rows))


def reliability_plot(sheet: Sheet) -> Plot:
    """How often answers of each tenth of confidence are right; on the diagonal a network knows how sure it is."""
    told = [(row, first_record(sheet, row.model, row.variant)) for row in sheet.rows if row.cells]
    shown = [(row, record) for row, record in told if record is not None]
    inches = (8.6, 0.6 + TALL * max(1, -(-len(shown) // ACROSS)))
    name = f"{sheet.table.name}-reliability"
    return Plot(name, inches, sheet.watermark, lambda figure: _draw_reliability(figure, sheet, shown))


def attention_plot(sheet: Sheet) -> Plot:
    """The mean attention map of every network that has one: before training, of right and of wrong answers."""
    told = [(row, first_record(sheet, row.model, row.variant)) for row in sheet.rows if row.cells]
    shown: list[tuple[Row, Mapping[str, Any]]] = [
        (row, maps) for row, record in told if record and (maps := record.result.get("attention_maps"))
    ]
    inches = (7.2, 0.5 + MAP_TALL * max(1, len(shown)))
    name = f"{sheet.table.name}-attention"
    return Plot(name, inches, sheet.watermark, lambda figure: _draw_maps(figure, sheet, shown))


def _draw_maps(figure: Figure, sheet: Sheet, shown: list[tuple[Row, Mapping[str, Any]]]) -> None:
    height = figure.get_figheight()
    if not shown:
        nothing(figure.add_axes((0.1, 0.2, 0.85, 0.65)), "attention maps")
        return
    ramp = LinearSegmentedColormap.from_list("ramp", [LIGHT["page"], *(LIGHT[name] for name in RAMP)])
    for line, (row, maps) in enumerate(shown):
        bottom = (height - 0.5 - (line + 1) * MAP_TALL + 0.12) / height
        middle = bottom + (MAP_TALL - 0.12) / 2 / height
        figure.text(0.015, middle, fill(sheet.table.models[row.model], 16), va="center", fontsize=8.5)
        for across, (name, title) in enumerate(MAP_TITLES.items()):
            side = MAP_TALL - 0.12
            axes = figure.add_axes((0.21 + 0.26 * across, bottom, side / 7.2, side / height))
            _map_field(axes, maps.get(name), maps["points"], ramp)
            if line == 0:
                axes.set_title(title, fontsize=9, fontweight="normal", pad=6)


def _map_field(axes: Axes, cells: list[list[float]] | None, points: list[list[float]], ramp: Colormap) -> None:
    """One map in the frame of the face, its values' scale from 0 to 1, its mean beside it."""
    axes.set_xticks([])
    axes.set_yticks([])
    if cells is None:
        return
    grid = np.array(cells)
    edges = [np.linspace(0, 1, n + 1) for n in grid.shape[::-1]]
    axes.pcolormesh(*edges, grid, cmap=ramp, vmin=0, vmax=1, linewidth=0, rasterized=False)
    axes.plot(*np.array(points).T, color=LIGHT["vggnet"], marker="o", markersize=1.8, linestyle="none")
    axes.set_xlim(0, 1)
    axes.set_ylim(1, 0)
    axes.text(1.04, 0.5, f"mean\n{grid.mean():.2f}", va="center", fontsize=7.5, color=LIGHT["muted"])


def _draw_dots(figure: Figure, sheet: Sheet, rows: list[Row]) -> None:
    height = figure.get_figheight()
    axes = figure.add_axes((0.34, 0.62 / height, 0.63, 1 - 1.0 / height))
    axes.set_title(f"{sheet.data}, scale {titled(sheet.scale)}", pad=8)
    if not any(row.measured for row in rows):
        nothing(axes, "accuracy")
        return
    axes.grid(True, axis="x", linewidth=0.8)
    for place, row in enumerate(rows):
        _dot(axes, place, row)
    majority = next(row.mean("majority_percent") for row in rows if row.measured)
    axes.axvline(majority or 0.0, color=LIGHT["muted"], linewidth=1.2, linestyle=(0, (4, 2)), label="majority class")
    axes.set_yticks(range(len(rows)), [fill(name_of(sheet, row), LONGEST) for row in rows])
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    axes.set_xlabel("Accuracy on test, % (bars: 95 %)")
    axes.legend(loc="best")


def _dot(axes: Axes, place: int, row: Row) -> None:
    accuracy, low, high = (row.mean(f"accuracy_{end}") for end in ("percent", "lo", "hi"))
    if accuracy is None or low is None or high is None:
        return
    colour = LIGHT.get(row.model, LIGHT["other"])
    axes.plot((low, high), (place, place), color=colour, linewidth=1.4, alpha=0.6)
    axes.plot(accuracy, place, color=colour, marker="o", markersize=6)
    seeds = row.numbers("accuracy_percent")
    if len(seeds) > 1:
        axes.plot(seeds, [place] * len(seeds), color=colour, marker="|", markersize=9, linestyle="none")


def _draw_reliability(figure: Figure, sheet: Sheet, shown: list[tuple[Row, Record]]) -> None:
    height, down = figure.get_figheight(), -(-len(shown) // ACROSS)
    if not shown:
        nothing(figure.add_axes((0.1, 0.2, 0.85, 0.65)), "reliability")
        return
    for number, (row, record) in enumerate(shown):
        across, line = number % ACROSS, number // ACROSS
        bottom, side = 0.5 + (down - 1 - line) * TALL, (TALL - 0.55) / height
        axes = figure.add_axes((0.065 + across * 0.235, bottom / height, 0.2, side))
        axes.set_title(sheet.table.models[row.model], fontsize=7.5, fontweight="normal", pad=4)
        _reliability_field(axes, record)
        if across:
            axes.set_yticklabels([])
        if number == 0:
            axes.legend(loc="upper left", fontsize=7, handlelength=1.6)
    figure.text(0.5, 0.13 / height, "Confidence of the answer", ha="center", va="center", color=LIGHT["ink"])
    figure.text(0.012, 0.5, "Share right", ha="center", va="center", rotation=90, color=LIGHT["ink"])


def _reliability_field(axes: Axes, record: Record) -> None:
    axes.plot((0, 1), (0, 1), color=LIGHT["grid"], linewidth=1.2)
    told, right = record.result["calibration"], correct(record)
    looks = {"as_trained": ("muted", "s", "as trained"), "scaled": ("mrf", "o", "at temperature T")}
    for state, (colour, marker, label) in looks.items():
        bins = [one for one in recorded_reliability(told[state], right) if one is not None]
        confidence, share = np.array([(one.confidence, one.visible) for one in bins]).T
        axes.plot(confidence, share, color=LIGHT[colour], marker=marker, markersize=3, linewidth=1.2, label=label)
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    axes.set_xticks((0, 0.5, 1))
    axes.set_yticks((0, 0.5, 1))
    axes.tick_params(length=3, labelsize=7.5)
