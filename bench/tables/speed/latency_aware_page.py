"""Latency-aware against plain selection as a page: at equal milliseconds, and at equal accuracy. Pure: records in,
bytes out."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from matplotlib.figure import Figure

from bench.make.timed import RUNTIME, VARIANT
from bench.pages.captions import code_line, machine_line
from bench.pages.cells import unmeasured
from bench.pages.columns import magnitude, probability
from bench.pages.noise import RULE, doubts, spread_line
from bench.pages.page import Figures, Page, Pairs, Part, watermark
from bench.pages.sheet import EMPTY, MISSING, Records, taken
from bench.pages.svg import LIGHT, MARKERS, Plot, nothing
from bench.pages.values import difference_values
from bench.records import Cell, Record
from bench.schema import SINGLE
from bench.tables.ratios.definitions import RATIO_TABLES, named
from bench.tables.speed.latency_aware import TABLE, cells

TITLE = "Latency-aware against plain selection"
MODELS = RATIO_TABLES["table5"].models
SELECTED = {"dense": "unpruned", "slim": "plain", VARIANT: "latency-aware"}
EQUAL_MS_NOTE = (
    "Plain: the channels with the smallest gammas are removed, as in Table 5. Latency-aware: of all widths that take "
    f"the plain network's milliseconds ({RUNTIME}, fp32, batch {SINGLE}), those with the highest scores. Both are cut "
    "from the same sparse network and fine-tuned alike. Difference: latency-aware minus plain on the same test images. "
    "Time: latency-aware / plain, paired turns."
)
EQUAL_ACCURACY_NOTE = (
    "How many milliseconds a plain network of the same accuracy takes: interpolated between two plain networks. Above "
    "1x the latency-aware one is faster. The accuracies are less certain than these differences: see the intervals "
    "above."
)


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What one record says."""

    record: Record
    ms: float
    accuracy_percent: float

    @property
    def name(self) -> str:
        """The network's model, with its seed where that is not the first."""
        return named(self.record.cell)

    @property
    def removed_percent(self) -> float:
        return 100 * self.record.result["plan"]["removed"] if self.record.result["plan"] else 0.0

    @property
    def macs(self) -> int:
        return self.record.result["cost"]["macs"]


@dataclass(frozen=True, kw_only=True)
class Pair:
    """A latency-aware network beside the plain one whose time it was to meet."""

    plain: Measured
    aware: Measured
    curve: tuple[Measured, ...]
    """Every network of plain selection, the unpruned one among them."""

    @property
    def time_ratio(self) -> tuple[float, float, float]:
        """Time of the latency-aware one over the plain one's, with its 95 % interval."""
        told = self.aware.record.result["latency"][str(SINGLE)]["ratios"]["plain"]
        return told["ratio"], *told["interval"]

    @property
    def difference(self) -> dict[str, float]:
        """points, lo, hi and p of the latency-aware one minus the plain one."""
        found = difference_values(self.aware.record, self.plain.record, "d", "p")
        return {name.removeprefix("d_"): value for name, value in found.items()}

    @property
    def plain_ms(self) -> float | None:
        """What plain selection needs for the latency-aware one's accuracy; None where its curve does not reach it."""
        wanted = self.aware.accuracy_percent
        ordered = sorted(self.curve, key=lambda one: one.ms)
        for faster, slower in pairwise(ordered):
            low, high = faster.accuracy_percent, slower.accuracy_percent
            if low <= wanted <= high:
                return faster.ms + (slower.ms - faster.ms) * ((wanted - low) / (high - low) if high > low else 0.0)
        return None


def page_of(found: Records, *, data: str, scale: str, seeds: int | None = None) -> Page:
    """Everything that is told; `seeds` is what the records have."""
    records = taken(found, data=data, scale=scale, table=TABLE)
    measured = [_measured(record) for record in records]
    pairs, seeds = pairs_of(measured), 1 + max((record.cell.seed for record in records), default=0)
    wanted = cells(data, scale, seeds, list(MODELS))
    return Page(
        name=TABLE,
        title=TITLE,
        data=data,
        scale=scale,
        seeds=seeds,
        sentences=[sentence(pair) for pair in pairs] or [f"Latency-aware selection: {MISSING} yet."],
        parts=[_at_equal_ms(pairs), _at_equal_accuracy(pairs), _networks(measured)],
        figures=_figures(measured),
        plots={"curves": Plot(f"{TABLE}-curves", (9.0, 3.9), watermark(scale), lambda f: _draw(f, measured))},
        footer=_footer(records),
        remarks={
            "Not measured": unmeasured(wanted, [record.cell for record in records], MODELS, SELECTED),
            "Timing": doubts(records, MODELS, SELECTED),
        },
    )


def _measured(record: Record) -> Measured:
    return Measured(
        record=record,
        ms=record.result["latency"][str(SINGLE)]["p50_ms"],
        accuracy_percent=100 * record.result["accuracy"]["val_selected"]["overall"],
    )


def pairs_of(measured: Sequence[Measured]) -> list[Pair]:
    """Every latency-aware network whose plain one was measured too, by model, seed and ratio."""
    pairs = []
    for aware in measured:
        cell = aware.record.cell
        own = [one for one in measured if (one.record.cell.model, one.record.cell.seed) == (cell.model, cell.seed)]
        curve = tuple(one for one in own if one.record.cell.variant != VARIANT)
        plain = next((one for one in curve if one.record.cell.ratio == cell.ratio), None)
        if cell.variant == VARIANT and plain is not None:
            pairs.append(Pair(plain=plain, aware=aware, curve=curve))
    return pairs


def sentence(pair: Pair) -> str:
    """What one pair says."""
    ratio, low, high = pair.time_ratio
    difference = "{points:+.2f} points [{lo:+.2f}, {hi:+.2f}]".format(**pair.difference)
    return (
        f"{pair.plain.name}, the time of {pair.plain.removed_percent:.0f} % removed: {pair.plain.accuracy_percent:.2f} "
        f"-> {pair.aware.accuracy_percent:.2f} % ({difference}) at {ratio:.2f} [{low:.2f}, {high:.2f}] of its time; "
        f"{_equal_accuracy(pair)}."
    )


def _equal_accuracy(pair: Pair) -> str:
    if pair.plain_ms is None:
        return "plain selection has no network of that accuracy between two of those measured"
    return f"plain selection takes {pair.plain_ms / pair.aware.ms:.2f} times as long for that accuracy"


def _at_equal_ms(pairs: Sequence[Pair]) -> Part:
    titles = ["Network", "Plain, % removed", "Plain: p50, ms", "Latency-aware: p50, ms", "Time [95 %]"]
    titles += ["Plain: accuracy, %", "Latency-aware: accuracy, %", "Difference, points [95 %]", "McNemar p"]
    titles += ["Plain: MAC", "Latency-aware: MAC", "Latency-aware, % removed"]
    body = []
    for pair in pairs:
        row = [pair.plain.name, f"{pair.plain.removed_percent:.0f}", f"{pair.plain.ms:.3f}", f"{pair.aware.ms:.3f}"]
        row += ["{:.2f}x [{:.2f}, {:.2f}]".format(*pair.time_ratio)]
        row += [f"{one.accuracy_percent:.2f}" for one in (pair.plain, pair.aware)]
        row += ["{points:+.2f} [{lo:+.2f}, {hi:+.2f}]".format(**pair.difference), probability(pair.difference["p"])]
        row += [*(magnitude(one.macs) for one in (pair.plain, pair.aware)), f"{pair.aware.removed_percent:.0f}"]
        body.append(row)
    return Part(title="A. At equal milliseconds", titles=titles, body=body, note=EQUAL_MS_NOTE, cells=_cells(pairs))


def _at_equal_accuracy(pairs: Sequence[Pair]) -> Part:
    titles = ["Network", "Accuracy, %", "Latency-aware: p50, ms", "Plain: p50, ms", "Latency-aware is faster by"]
    body = [
        [
            f"{pair.plain.name}, the time of {pair.plain.removed_percent:.0f} %",
            f"{pair.aware.accuracy_percent:.2f}",
            f"{pair.aware.ms:.3f}",
            EMPTY if pair.plain_ms is None else f"{pair.plain_ms:.3f}",
            EMPTY if pair.plain_ms is None else f"{pair.plain_ms / pair.aware.ms:.2f}x",
        ]
        for pair in pairs
    ]
    return Part(title="B. At equal accuracy", titles=titles, body=body, note=EQUAL_ACCURACY_NOTE, cells=_cells(pairs))


def _cells(pairs: Sequence[Pair]) -> list[tuple[Cell]]:
    """Those of the latency-aware networks; the plain ones are in the third table."""
    return [(pair.aware.record.cell,) for pair in pairs]


def _networks(measured: Sequence[Measured]) -> Part:
    titles = ["Network", "Selection", "Removed, %", "p50, ms", "Accuracy, % [95 %]", "FLOPs (MAC)", "Parameters"]
    body = []
    ordered = sorted(measured, key=lambda one: (one.name, -one.ms))
    for one in ordered:
        low, high = (100 * end for end in one.record.result["accuracy"]["val_selected"]["interval"])
        row = [one.name, SELECTED[one.record.cell.variant], f"{one.removed_percent:.0f}", f"{one.ms:.3f}"]
        row += [f"{one.accuracy_percent:.2f} [{low:.2f}, {high:.2f}]", magnitude(one.macs)]
        body.append([*row, magnitude(one.record.result["cost"]["params"])])
    note = f"{RUNTIME}, fp32, batch {SINGLE}; accuracy of the very session that is timed, on the test split. {RULE}."
    cells = [(one.record.cell,) for one in ordered]
    return Part(title="C. Every network", titles=titles, body=body, note=note, keys=2, cells=cells)


def _figures(measured: Sequence[Measured]) -> Figures:
    columns = ["model", "variant", "ratio", "seed", "removed_percent", "p50_ms", "accuracy_percent", "macs", "params"]
    rows = []
    for one in measured:
        cost = {name: one.record.result["cost"][name] for name in ("macs", "params")}
        told = {"removed_percent": one.removed_percent, "p50_ms": one.ms, "accuracy_percent": one.accuracy_percent}
        rows.append(vars(one.record.cell) | told | cost)
    return Figures(columns=columns, rows=rows)


def _draw(figure: Figure, measured: Sequence[Measured]) -> None:
    """Accuracy against milliseconds, a field for each network: plain selection as a line, latency-aware as points."""
    names = sorted({one.name for one in measured})
    for i, name in enumerate(names or ["Accuracy"]):
        width = 0.93 / max(1, len(names))
        axes = figure.add_axes((0.07 + i * width, 0.13, width - 0.05, 0.76))
        axes.set_title(name, pad=10)
        own = sorted((one for one in measured if one.name == name), key=lambda one: one.ms)
        if not own:
            nothing(axes, "accuracy against time")
            return
        axes.grid(True, axis="y", linewidth=0.8)
        axes.set_xlabel(f"p50, ms ({RUNTIME}, fp32, batch {SINGLE})")
        axes.set_ylabel("Accuracy on test, %" if i == 0 else "")
        colour = LIGHT.get(own[0].record.cell.model, LIGHT["other"])
        for aware, inked, line in ((False, colour, "-"), (True, LIGHT["other"], "none")):
            drawn_ones = [one for one in own if (one.record.cell.variant == VARIANT) == aware]
            at = [one.ms for one in drawn_ones], [one.accuracy_percent for one in drawn_ones]
            axes.plot(
                *at, marker=MARKERS[int(aware)], label=("plain", "latency-aware")[aware], color=inked, linestyle=line
            )
        axes.legend(loc="lower right")


def _footer(records: Sequence[Record]) -> Pairs:
    if not records:
        return [("Cells", f"none {MISSING.removeprefix('not ')}")]
    data = records[0].result["data"]
    runs = [one["n"] for record in records for one in record.result["latency"].values()]
    return [
        ("Data", f"{data['name']}, test split, n = {len(data['truth']):,}"),
        ("Timing", f"{min(runs)} to {max(runs)} runs each, in turns{spread_line(records)}"),
        ("Machine", machine_line(records)),
        ("Code", code_line(records)),
        ("Licence of the data", str(data["licence"])),
    ]
