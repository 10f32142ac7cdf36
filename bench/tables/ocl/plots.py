"""Plots of paper 2's tables as SVG text: accuracy row by row, and what the encoder knows while it is pretrained."""

from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from bench.make.scales import titled
from bench.pages.page import watermark
from bench.pages.svg import LIGHT, MARKERS, Plot, nothing
from bench.tables.ocl.definitions import PAPER_DATA
from bench.tables.ocl.sheet import OclRow, OclSheet, Probed, probes

COLOURS = ("mrf", "vggnet", "other", "ramp0", "ramp4")
"""Of one pretraining and another, in the order of the legend."""
LEGEND_LINE = 0.2
"""Its height in inches."""


def accuracy_plot(sheet: OclSheet) -> Plot:
    """Accuracy on the test split with its 95 % interval for every network of ours; where the data set is the paper's,
    its own number beside it."""
    inches = (7.0, 0.9 + 0.42 * len(sheet.ours))
    name = f"{sheet.table.name}-accuracy"
    return Plot(name, inches, watermark(sheet.scale), lambda figure: _draw_accuracy(figure, sheet))


def length_plot(sheet: OclSheet) -> Plot:
    """Accuracy on the test split with its 95 % interval against the epochs of the pretraining."""
    name = f"{sheet.table.name}-accuracy"
    return Plot(name, (6.2, 3.8), watermark(sheet.scale), lambda figure: _draw_lengths(figure, sheet))


def probe_plot(sheet: OclSheet) -> Plot:
    """Accuracy on the validation split of both readers of the encoder, against the epochs of its pretraining."""
    name, curves = f"{sheet.table.name}-pretraining", probes(sheet)
    inches = (6.2, 3.8 + _beyond(curves))
    return Plot(name, inches, watermark(sheet.scale), lambda figure: _draw_probes(figure, curves, sheet))


def _beyond(curves: dict[str, list[Probed]]) -> float:
    """Inches that the legend needs above the room of two lines, one for each curve."""
    return LEGEND_LINE * max(0, len(curves) - 2)


def _draw_accuracy(figure: Figure, sheet: OclSheet) -> None:
    height = figure.get_figheight()
    axes = figure.add_axes((0.38, 0.5 / height, 0.59, 1 - 0.85 / height))
    axes.set_title(f"Accuracy on {sheet.data}, scale {titled(sheet.scale)}", pad=8)
    measured = [one for one in sheet.ours if one.row.measured]
    if not measured:
        nothing(axes, "accuracy")
        return
    axes.grid(True, axis="x", linewidth=0.8)
    axes.set_yticks(range(len(sheet.ours)), [one.line.label for one in sheet.ours])
    axes.set_ylim(len(sheet.ours) - 0.5, -0.5)
    diamonds = "; diamonds: as published" if sheet.data in PAPER_DATA else ""
    axes.set_xlabel(f"Accuracy on test, % (bars: 95 %{diamonds})")
    for place, one in enumerate(sheet.ours):
        _draw_row(axes, place, one, sheet.data)


def _draw_row(axes: Axes, place: int, one: OclRow, data: str) -> None:
    accuracy, low, high = (one.row.mean(f"accuracy_{end}") for end in ("percent", "lo", "hi"))
    if accuracy is not None and low is not None and high is not None:
        bar = [[accuracy - low], [high - accuracy]]
        axes.errorbar([accuracy], [place], xerr=bar, fmt="o", color=LIGHT["mrf"], capsize=3)
    if data in one.line.published:
        where = one.line.published[data]
        axes.scatter([where], [place], marker="D", facecolors="none", edgecolors=LIGHT["muted"])


def _draw_lengths(figure: Figure, sheet: OclSheet) -> None:
    axes = figure.add_axes((0.11, 0.13, 0.86, 0.77))
    axes.set_title(f"ResNet-18 on {sheet.data}, scale {titled(sheet.scale)}", pad=8)
    measured = [(sheet.epochs(one.line.model) or 0, one.row) for one in sheet.ours if one.row.measured]
    points = sorted(measured, key=lambda point: point[0])
    if not points:
        nothing(axes, "accuracy")
        return
    x = [epochs for epochs, _ in points]
    middle, low, high = ([row.mean(f"accuracy_{end}") or 0 for _, row in points] for end in ("percent", "lo", "hi"))
    axes.grid(True, axis="y", linewidth=0.8)
    axes.fill_between(x, low, high, color=LIGHT["mrf"], alpha=0.15, linewidth=0)
    axes.plot(x, middle, color=LIGHT["mrf"], marker="o")
    axes.set_xticks(x)
    axes.set_xlabel("Epochs of pretraining (0: from scratch), before the same supervised training")
    axes.set_ylabel("Accuracy on test, % (band: 95 %)")


def _draw_probes(figure: Figure, curves: dict[str, list[Probed]], sheet: OclSheet) -> None:
    share = 3.8 / figure.get_figheight()
    axes = figure.add_axes((0.11, 0.13 * share, 0.86, 0.67 * share))
    pad = 36 + 72 * _beyond(curves)
    axes.set_title(f"The encoder during pretraining, {sheet.data}, scale {titled(sheet.scale)}", pad=pad)
    if not any(curves.values()):
        nothing(axes, "pretraining")
        return
    axes.grid(True, axis="y", linewidth=0.8)
    axes.set_xlabel("Epochs of pretraining")
    axes.set_ylabel("Accuracy on validation, %")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    for (name, points), colour, marker in zip(curves.items(), COLOURS, MARKERS, strict=False):
        epochs = [one.epochs for one in points]
        linear, knn = ([100 * getattr(one, reader) for one in points] for reader in ("linear", "knn"))
        axes.plot(epochs, linear, color=LIGHT[colour], marker=marker, label=f"linear layer, {name}")
        dashed: dict[str, Any] = {"linestyle": "--", "marker": marker, "markerfacecolor": LIGHT["page"]}
        axes.plot(epochs, knn, color=LIGHT[colour], label=f"20 neighbours, {name}", **dashed)
    axes.legend(loc="lower center", bbox_to_anchor=(0.47, 1.0), ncols=2, handlelength=3.2, columnspacing=1.2)
