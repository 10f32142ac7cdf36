"""Plots of a sheet as SVG text: accuracy against MACs, gamma histograms, recovery after the cut.

What was not measured is left out, and a plot without any measurement says so; `bench.pages.svg` has style and colours.
"""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator

from bench.make.scales import titled
from bench.pages.columns import round_magnitude
from bench.pages.sheet import Row, Sheet, first_record
from bench.pages.svg import LIGHT, MARKERS, RAMP, Plot, nothing
from bench.records import Record

STAGES = ("cut", "absorbed", "recalibrated")


def accuracy_plot(sheet: Sheet) -> Plot:
    """Accuracy on the test split, with its 95 % interval, against MACs per image: the criterion and the control.

    One field for each network of the table, all with the same vertical scale.
    """
    inches = (0.6 + 4.3 * len(sheet.table.models), 3.9)
    return Plot("accuracy", inches, sheet.watermark, lambda figure: _draw_accuracy(figure, sheet))


def gamma_plot(sheet: Sheet, model: str) -> Plot:
    """How many channels have which |gamma|, before (unpruned) and after the sparse stage."""
    return Plot(f"gammas-{model}", (5.2, 3.2), sheet.watermark, lambda figure: _draw_gammas(figure, sheet, model))


def recovery_plot(sheet: Sheet, model: str) -> Plot:
    """Validation accuracy right after the cut, with beta absorbed, recalibrated, and over the fine-tuning epochs."""
    return Plot(f"recovery-{model}", (5.2, 3.6), sheet.watermark, lambda figure: _draw_recovery(figure, sheet, model))


def _axes(figure: Figure, title: str, *, bottom: float = 0.15, left: float = 0.115, top: float = 0.9) -> Axes:
    """Axes at fixed places: a layout engine's rounding would move bytes."""
    axes = figure.add_axes((left, bottom, 0.97 - left, top - bottom))
    axes.set_title(title, pad=10)
    axes.grid(True, axis="y", linewidth=0.8)
    axes.tick_params(length=3)
    return axes


def _draw_accuracy(figure: Figure, sheet: Sheet) -> None:
    left, gap = 0.62 / figure.get_figwidth(), 0.25 / figure.get_figwidth()
    width = (1 - left) / len(sheet.table.models)
    for i, (model, name) in enumerate(sheet.table.models.items()):
        axes = figure.add_axes((left + i * width, 0.13, width - gap, 0.76))
        axes.set_title(f"{name} on {sheet.data}, scale {titled(sheet.scale)}", pad=10)
        axes.grid(True, axis="y", linewidth=0.8)
        axes.set_xlabel("FLOPs (MAC) per image")
        _accuracy_field(axes, sheet, model)
        if i == 0:
            axes.set_ylabel("Accuracy on test, % (bars: 95 %)")
        elif any(row.measured for row in sheet.rows if row.model in list(sheet.table.models)[:i]):
            axes.set_yticklabels([])  # those of the field to the left


def _accuracy_field(axes: Axes, sheet: Sheet, model: str) -> None:
    dense, slim, short, control = (sheet.of(model, variant) for variant in ("dense", "slim", "short", "random"))
    if not any(row.measured for row in dense + slim + short + control):
        nothing(axes, "accuracy")
        return
    colour = LIGHT.get(model, LIGHT["other"])
    _curve(axes, dense + slim, colour, "the recipe's channels (% cut beside)", control=False)
    if _accuracies(short) != _accuracies(slim):
        _curve(axes, short, colour, "the same, fine-tuned as the control", control=True)
    from_whole = dense if sum(row.measured for row in control) > 1 else []  # a single point is no curve
    _curve(axes, from_whole + control, LIGHT["muted"], "random channels", control=True)
    _name_points(axes, dense + slim, colour)
    _doubling(axes, [macs for row in dense + slim + control for macs in row.numbers("macs")])
    levels = [level for row in sheet.rows for key in ("accuracy_lo", "accuracy_hi") for level in row.numbers(key)]
    room = 0.08 * (max(levels) - min(levels))
    axes.yaxis.set_major_locator(MaxNLocator(8, integer=True))
    axes.set_ylim(min(levels) - room, max(levels) + 2 * room)
    axes.legend(loc="best")


def _doubling(axes: Axes, macs: list[float]) -> None:
    """A logarithmic MAC axis with round ticks that double, wide enough for every point."""
    low, high = min(macs) / 1.15, max(macs) * 1.35
    ticks = [base * 10**power for power in range(3, 12) for base in (1, 2, 5)]
    axes.set_xscale("log")
    axes.set_xlim(low, high)
    axes.set_xticks([tick for tick in ticks if low <= tick <= high])
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: round_magnitude(value)))
    axes.xaxis.set_minor_locator(NullLocator())


def _accuracies(rows: list[Row]) -> list[float | None]:
    return [row.mean("accuracy_percent") for row in rows]


def _curve(axes: Axes, rows: list[Row], colour: str, label: str, *, control: bool) -> None:
    points = [(row, row.mean("macs"), row.mean("accuracy_percent")) for row in rows]
    known = [(row, macs, accuracy) for row, macs, accuracy in points if macs is not None and accuracy is not None]
    if not known:
        return
    x, y = [macs for _, macs, _ in known], [accuracy for _, _, accuracy in known]
    line = {"linestyle": (0, (4, 2)), "markerfacecolor": LIGHT["page"], "alpha": 0.85} if control else {}
    marker = "s" if control else "o"
    axes.plot(x, y, color=colour, marker=marker, markersize=5.5, label=label, zorder=2 if control else 3, **line)
    if control:
        return
    lows = [accuracy - (row.mean("accuracy_lo") or accuracy) for row, _, accuracy in known]
    highs = [(row.mean("accuracy_hi") or accuracy) - accuracy for row, _, accuracy in known]
    axes.errorbar(x, y, yerr=[lows, highs], fmt="none", ecolor=colour, elinewidth=1.2, alpha=0.55)


def _name_points(axes: Axes, rows: list[Row], colour: str) -> None:
    """Names above and below in turn: neighbours would touch."""
    for i, row in enumerate(rows):
        above = i % 2 == 0
        macs, end = row.mean("macs"), row.mean("accuracy_hi" if above else "accuracy_lo")
        if macs is not None and end is not None:
            text = "unpruned" if row.variant == "dense" else f"{100 * row.ratio:.0f}"
            place = {"xytext": (0, 3 if above else -3), "textcoords": "offset points", "ha": "center"}
            axes.annotate(text, (macs, end), fontsize=7.5, color=colour, va="bottom" if above else "top", **place)


def _draw_gammas(figure: Figure, sheet: Sheet, model: str) -> None:
    name = sheet.table.models[model]
    axes = _axes(figure, f"{name}: BN scales before and after the sparse stage", bottom=0.17, left=0.15)
    shown = False
    for variant, colour, label in (("dense", "muted", "unpruned"), ("sparse", model, "after the sparse stage")):
        record = first_record(sheet, model, variant)
        gammas = record.result.get("gammas") if record else None
        if not gammas:
            continue
        counts = np.sum([np.asarray(one) for one in gammas["counts"].values()], axis=0)
        ink = LIGHT.get(colour, LIGHT["other"])
        axes.stairs(counts, gammas["edges"], color=ink, fill=True, alpha=0.22)
        axes.stairs(counts, gammas["edges"], color=ink, linewidth=1.5, label=label)
        shown = True
    axes.set_xlabel("|gamma|")
    axes.set_ylabel("channels per bin")
    if not shown:
        nothing(axes, "gammas")
        return
    axes.set_yscale("symlog", linthresh=1)
    axes.set_ylim(bottom=0)
    axes.set_xlim(left=0)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0f}"))
    axes.legend(loc="upper right")


def _draw_recovery(figure: Figure, sheet: Sheet, model: str) -> None:
    axes = _axes(figure, f"{sheet.table.models[model]}: recovery after the cut", bottom=0.2)
    longest = 0
    for i, ratio in enumerate(sheet.table.ratios):
        record = first_record(sheet, model, "slim", ratio)
        if record is None or not record.result.get("after_cut"):
            continue
        curve = _recovery(record)
        longest = max(longest, len(curve))
        look = {"color": LIGHT[RAMP[i % len(RAMP)]], "marker": MARKERS[i % len(MARKERS)], "markersize": 4}
        axes.plot(range(len(curve)), curve, label=f"{100 * ratio:.0f} %", **look)
    axes.set_ylabel("Accuracy on validation, %")
    axes.set_xlabel("steps right after the cut | epochs of fine-tuning")
    if not longest:
        nothing(axes, "recovery")
        return
    dense = first_record(sheet, model, "dense")
    if dense is not None and dense.result["accuracy"].get("validation"):
        level = 100 * dense.result["accuracy"]["validation"]["overall"]
        axes.axhline(level, color=LIGHT["muted"], linewidth=1.2, linestyle=(0, (4, 2)), label="unpruned")
    epochs = range(1, longest - len(STAGES) + 1)
    step = max(1, len(epochs) // 8)
    names = [str(i) if (i - 1) % step == 0 else "" for i in epochs]
    axes.set_xticks(range(longest), ["cut", "absorb", "recal.", *names], fontsize=8)
    axes.axvline(len(STAGES) - 0.5, color=LIGHT["muted"], linewidth=0.8, linestyle=":")
    axes.legend(loc="lower right", ncols=2, title="channels cut", title_fontsize=8.5)


def _recovery(record: Record) -> list[float]:
    """Validation accuracy in percent: the steps of the cut, then every epoch of fine-tuning."""
    stages = [(record.result["after_cut"] or {}).get(stage) for stage in STAGES]
    steps = [100 * stage["overall"] if stage else float("nan") for stage in stages]
    tune = record.result["training"]["stages"].get("tune", {"epochs": []})
    epochs = [epoch["validation"] for epoch in tune["epochs"]]
    return steps + [float("nan") if share is None else 100 * share for share in epochs]
