"""The plot of channel widths before and after the cut: where in the network the channels died."""

import re
from itertools import pairwise

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from bench.pages.sheet import Sheet, first_record
from bench.pages.svg import LIGHT, Plot, nothing
from bench.records import Record


def width_plot(sheet: Sheet, model: str) -> Plot:
    """Channels of every convolution before and after the cut, one strip per ratio."""
    return Plot(f"widths-{model}", (5.2, 6.2), sheet.watermark, lambda figure: _draw_widths(figure, sheet, model))


def _draw_widths(figure: Figure, sheet: Sheet, model: str) -> None:
    title = f"{sheet.table.models[model]}: channels kept in every convolution"
    figure.text(0.115, 0.965, title, weight="bold", size=10.5)
    ratios = sheet.table.ratios
    height = 0.86 / len(ratios)
    for i, ratio in enumerate(ratios):
        axes = figure.add_axes((0.115, 0.93 - (i + 1) * height + 0.035, 0.855, height - 0.055))
        axes.tick_params(length=2, labelsize=8)
        axes.text(1, 0.98, f"{100 * ratio:.0f} % cut", transform=axes.transAxes, ha="right", va="top", fontsize=8.5)
        record = first_record(sheet, model, "slim", ratio)
        if record is None:
            nothing(axes, f"{100 * ratio:.0f} %")
        else:
            _strip(axes, record, LIGHT.get(model, LIGHT["other"]))
        axes.set_ylabel("channels", fontsize=8)
        if i + 1 < len(ratios):
            axes.set_xticklabels([])
    below = "convolutions in the order of the network (pale: before, full: kept)"
    figure.text(0.5425, 0.015, below, ha="center", size=8.5)


def _strip(axes: Axes, record: Record, colour: str) -> None:
    plan = record.result["plan"]
    assert plan is not None, "only cuts have strips"
    names = sorted(plan["widths_before"], key=_natural)
    before, after = ([plan[key].get(name, 0) for name in names] for key in ("widths_before", "widths_after"))
    places = np.arange(len(names))
    axes.bar(places, before, color=LIGHT["before"], width=0.84)
    axes.bar(places, after, color=colour, width=0.84)
    axes.set_xlim(-0.7, len(names) - 0.3)
    axes.set_ylim(0, max(before) * 1.25)
    axes.yaxis.set_major_locator(MaxNLocator(3, integer=True))
    trunks = [_trunk(name) for name in names]
    starts = [0, *(i + 1 for i, (one, next_) in enumerate(pairwise(trunks)) if one != next_)]
    step = 2 if len(starts) == 1 else 5
    inner = [trunks[:i].count(trunks[i]) for i in places]
    ticks = [i for i in places if inner[i] % step == 0]
    axes.set_xticks(ticks, [str(inner[i] + 1) for i in ticks], fontsize=7.5)
    for start in starts[1:]:
        axes.axvline(start - 0.5, color=LIGHT["muted"], linewidth=0.8, linestyle=":")
    if len(starts) > 1:
        for start in starts:
            axes.text(start - 0.4, max(before) * 1.23, f"{trunks[start]} trunk", va="top", fontsize=7.5)


def _natural(name: str) -> list[tuple[int, int, str]]:
    """Sorts blocks.10 after blocks.9."""
    return [(1, int(part), "") if part.isdigit() else (0, 0, part) for part in re.split(r"(\d+)", name)]


def _trunk(name: str) -> str:
    """trunks.face.blocks.3.conv -> face."""
    parts = name.split(".")
    return parts[parts.index("trunks") + 1] if "trunks" in parts[:-1] else "face"
