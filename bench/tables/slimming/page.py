"""The page of the methods: accuracy by method and ratio, the recipe against its controls, every network. Pure."""

from collections.abc import Mapping, Sequence
from functools import partial

from bench.make.methods import methods
from bench.make.scales import scale_for
from bench.pages.captions import code_line, machine_line
from bench.pages.cells import unmeasured
from bench.pages.columns import magnitude, percent, probability
from bench.pages.noise import RULE, doubts
from bench.pages.page import Figures, Page, Pairs, Part, watermark
from bench.pages.sheet import EMPTY, MISSING, Records, taken
from bench.pages.svg import Plot
from bench.records import Record
from bench.schema import SINGLE
from bench.tables.slimming.measured import BACKEND_NAMES, MODELS, Measured, against
from bench.tables.slimming.plot import AXES, draw
from bench.tables.slimming.rows import CONTROL_RATIOS, RATIOS, TABLE, cells

TITLE = "Ways to a slim network, and the controls that could refute them"
UNPRUNED = "unpruned"
NOTE = (
    "Accuracy on the test split after fine-tuning, in %. In brackets: the difference to the unpruned network, in "
    "points. Recipes are run at every ratio, the others at two."
)
CONTROL_NOTE = (
    "Difference: the recipe minus the control on the same test images (paired). Above zero the recipe is better. A "
    "control differs from the recipe only in what its name says. Where the name says the same MACs, these are met; all "
    "others remove the same share of channels, at other MACs."
)
NETWORK_NOTE = (
    "After the cut, recalibrated, at the end: accuracy on the validation split. Epochs: of the last training. "
    f"Milliseconds: median at batch {SINGLE}, all networks in turns. {RULE}."
)
BETTER, ALIKE, WORSE = "better than", "not measurably different from", "worse than"
ALIKE_MACS = 0.05
"""Two networks whose MACs differ by no more than this share are told as having the same."""


def page_of(found: Records, *, data: str, scale: str, seeds: int | None = None) -> Page:
    """Everything that is told; `seeds` is what the records have."""
    records = taken(found, data=data, scale=scale, table=TABLE)
    wholes = {(one.cell.model, one.cell.seed): one for one in records if one.cell.variant == "dense"}
    measured = [Measured(record=one, whole=wholes.get((one.cell.model, one.cell.seed))) for one in records]
    seeds, own = 1 + max((one.cell.seed for one in records), default=0), scale_for(scale, data).schedules.recipe
    titles = {"dense": UNPRUNED} | {name: method.title for name, method in methods(own).items()}
    wanted = cells(data, scale, seeds, list(MODELS))
    plots = {
        axis: Plot(f"{TABLE}-{axis}", (9.0, 4.2), watermark(scale), partial(draw, measured, titles, axis, data))
        for axis in AXES
    }
    return Page(
        name=TABLE,
        title=TITLE,
        data=data,
        scale=scale,
        seeds=seeds,
        sentences=sentences(measured, own, titles) or [f"Methods of slimming: {MISSING} yet."],
        parts=[_by_ratio(measured, titles), _controls(measured, own, titles), _networks(measured, titles)],
        figures=_figures(measured),
        plots=plots,
        footer=_footer(records),
        remarks={
            "Not measured": unmeasured(wanted, [one.cell for one in records], MODELS, titles),
            "Timing": doubts(records, MODELS, titles),
        },
    )


def sentences(measured: Sequence[Measured], own: str, titles: Mapping[str, str]) -> list[str]:
    """What the scale's own recipe cost at the ratios that have controls, and which of them are beyond chance."""
    told = []
    for one in measured:
        cell = one.record.cell
        if cell.variant != own or cell.ratio not in CONTROL_RATIOS or one.difference is None or one.whole is None:
            continue
        whole = 100 * one.whole.result["accuracy"]["val_selected"]["overall"]
        told.append(
            f"{one.name}, {titles[own]}, {percent(cell.ratio)} of the channels: {whole:.2f} -> {one.percent:.2f} % "
            f"({_interval(one.difference)} points), {_macs(one.whole) / _macs(one.record):.1f} times fewer MACs."
        )
        told += _said_of_controls(one, _rivals(one, measured, own), titles)
    return told


def _macs(record: Record) -> float:
    return record.result["cost"]["macs"]


def _rivals(one: Measured, measured: Sequence[Measured], own: str) -> list[Measured]:
    """Every other method's network at the ratio of `one`, same model and seed."""
    cell = one.record.cell
    alike = [m for m in measured if (m.record.cell.model, m.record.cell.seed) == (cell.model, cell.seed)]
    return [m for m in alike if m.record.cell.ratio == cell.ratio and m.record.cell.variant not in ("dense", own)]


def _said_of_controls(one: Measured, rivals: Sequence[Measured], titles: Mapping[str, str]) -> list[str]:
    groups: dict[str, list[str]] = {BETTER: [], ALIKE: [], WORSE: []}
    for rival in rivals:
        found = against(one.record, rival.record)
        kind = BETTER if found["lo"] > 0 else WORSE if found["hi"] < 0 else ALIKE
        share = _macs(rival.record) / _macs(one.record)
        cost = f", at {share:.2f} times its MACs" if abs(share - 1) > ALIKE_MACS else ""
        name = titles[rival.record.cell.variant].removeprefix("Control: ")
        groups[kind].append(f"{name} ({found['points']:+.2f}{cost})")
    ratio = percent(one.record.cell.ratio)
    return [f"At {ratio} it is {kind}: {'; '.join(names)}." for kind, names in groups.items() if names]


def _interval(found: Mapping[str, float]) -> str:
    return "{points:+.2f} [{lo:+.2f}, {hi:+.2f}]".format(**found)


def _by_ratio(measured: Sequence[Measured], titles: Mapping[str, str]) -> Part:
    body, behind = [], []
    for name in dict.fromkeys(one.name for one in measured):
        for method, title in titles.items():
            own = {m.record.cell.ratio: m for m in measured if (m.name, m.record.cell.variant) == (name, method)}
            if own:
                found = [own.get(ratio) for ratio in (0.0, *RATIOS)]
                body.append([name, title, *map(_told, found)])
                behind.append([None, None, *(one and one.record.cell for one in found)])
    heads = ["Network", "Method", "Whole", *(f"{percent(ratio)} removed" for ratio in RATIOS)]
    return Part(title="A. Accuracy by method", titles=heads, body=body, note=NOTE, keys=2, behind=behind)


def _told(one: Measured | None) -> str:
    if one is None:
        return EMPTY
    return f"{one.percent:.2f}" + (f" ({one.difference['points']:+.2f})" if one.difference else "")


def _controls(measured: Sequence[Measured], own: str, titles: Mapping[str, str]) -> Part:
    heads = ["Network", "Against", "Removed", "Recipe, %", "Against, %", "Difference, points [95 %]", "McNemar p"]
    heads += ["Recipe: MAC", "Against: MAC", f"Recipe: ms ({BACKEND_NAMES[0]})", "Against: ms"]
    body, behind = [], []
    for one in (one for one in measured if one.record.cell.variant == own):
        for rival in _rivals(one, measured, own):
            found = against(one.record, rival.record)
            row = [one.name, titles[rival.record.cell.variant], percent(one.record.cell.ratio), f"{one.percent:.2f}"]
            row += [f"{rival.percent:.2f}", _interval(found), probability(found["p"])]
            row += [magnitude(_macs(each.record)) for each in (one, rival)]
            body.append([*row, *(_ms(each.ms(BACKEND_NAMES[0])) for each in (one, rival))])
            both = (one.record.cell, rival.record.cell)
            behind.append([None, None, None, *both, None, None, *both, *both])
    title = f"B. {titles[own]} against the others"
    return Part(title=title, titles=heads, body=body, note=CONTROL_NOTE, keys=2, behind=behind)


def _networks(measured: Sequence[Measured], titles: Mapping[str, str]) -> Part:
    heads = ["Network", "Method", "Asked", "Removed", "After the cut, %", "Recalibrated, %", "At the end, %"]
    heads += ["Test, % [95 %]", "Difference, points [95 %]", "FLOPs (MAC)", "Parameters"]
    heads += [*(f"{kind}, ms" for kind in BACKEND_NAMES), "Epochs"]
    body = []
    for one in measured:
        result, cell = one.record.result, one.record.cell
        low, high = one.interval
        plan = result["plan"]
        row = [one.name, titles[cell.variant], percent(cell.ratio), f"{100 * plan['removed']:.1f} %" if plan else EMPTY]
        row += [_percent(one.validation("cut")), _percent(one.validation("recalibrated"))]
        row += [
            f"{100 * result['accuracy']['validation']['overall']:.2f}",
            f"{one.percent:.2f} [{low:.2f}, {high:.2f}]",
        ]
        row += [EMPTY if one.difference is None else _interval(one.difference)]
        row += [magnitude(_macs(one.record)), magnitude(result["cost"]["params"])]
        epochs = result["training"]["stages"]["tune"]["epochs"]
        body.append([*row, *(_ms(one.ms(kind)) for kind in BACKEND_NAMES), str(len(epochs))])
    cells = [(one.record.cell,) for one in measured]
    return Part(title="C. Every network", titles=heads, body=body, note=NETWORK_NOTE, keys=2, cells=cells)


def _percent(value: float | None) -> str:
    return EMPTY if value is None else f"{value:.2f}"


def _ms(value: float | None) -> str:
    return EMPTY if value is None else f"{value:.3f}"


def _figures(measured: Sequence[Measured]) -> Figures:
    rows = []
    for one in measured:
        cell, result = one.record.cell, one.record.result
        row: dict[str, object] = {"model": cell.model, "method": cell.variant, "ratio": cell.ratio, "seed": cell.seed}
        row |= {"removed_percent": 100 * result["plan"]["removed"] if result["plan"] else 0.0}
        row |= {f"{step}_percent": one.validation(step) for step in ("cut", "absorbed", "recalibrated")}
        row |= {"validation_percent": 100 * result["accuracy"]["validation"]["overall"], "test_percent": one.percent}
        row |= {f"difference_{name}": value for name, value in (one.difference or {}).items()}
        row |= {"macs": _macs(one.record), "params": result["cost"]["params"]}
        rows.append(row | {f"{kind.replace(' ', '_')}_ms": one.ms(kind) for kind in BACKEND_NAMES})
    columns = list(dict.fromkeys(name for row in rows for name in row))
    return Figures(columns=columns, rows=rows)


def _footer(records: Sequence[Record]) -> Pairs:
    if not records:
        return [("Cells", f"none {MISSING.removeprefix('not ')}")]
    data = records[0].result["data"]
    return [
        ("Data", f"{data['name']}, test split, n = {len(data['truth']):,}; validation chooses the epoch"),
        (
            "Compute",
            "from scratch: that of training and recovery, a teacher's forward pass counted as a third of a step",
        ),
        ("Machine", machine_line(records)),
        ("Code", code_line(records)),
        ("Licence of the data", str(data["licence"])),
    ]
