"""The table of occlusion x pruning as files: panels, sentences, curves and a surface. Pure: records in, bytes out.

python -m bench.report --table occlusion
"""

from collections.abc import Callable, Mapping, Sequence

from bench.measure.stats import Mean
from bench.pages.captions import code_line, machine_line
from bench.pages.columns import magnitude
from bench.pages.page import Figures, Page, Pairs, Part, watermark
from bench.pages.sheet import EMPTY, MISSING, Records, taken
from bench.pages.svg import LIGHT, Plot
from bench.records import Record
from bench.tables.covers.covered import PLACED, kind, levels
from bench.tables.covers.looks import GROUPS, WORST
from bench.tables.covers.occlusion import MODELS, ROWS, TABLE
from bench.tables.covers.plots import DASHED, SOLID, Line, curve_fields, surface_plot
from bench.tables.covers.robustness import Robustness, cells_of, covers_of, robustness_of, sets_of
from fermodels.faces.occlude import RECTANGLES

TITLE = "Occlusion x pruning: does slimming cost robustness?"
HEADLINE_RATIO = 0.6
KEYS = ("Network", "Channels removed")
SHOWN_AS = {"seen": "seen rectangle", "unseen": "unseen rectangle", "mask": "drawn mask", "picture": "mask picture"}
"""What the covers are called in headings; others go by their own name."""
DROP_NOTE = (
    f"Drop: points of accuracy lost with a rectangle over {WORST} % of the face, or with a mask. Area: under the curve "
    f"of accuracy against covered share from 0 to {WORST} %, in percent (the mean accuracy over the shares)."
)
EXCESS_NOTE = (
    "Excess: the drop of this network minus that of the unpruned one, in points, on the same images. Above 0, pruning "
    "cost robustness. * if the interval does not contain 0."
)
COST_NOTE = (
    "MACs of one image. Times and speed-ups (batch 1, eager float32) are taken from Table 5 and `ocl-slim`, for the "
    "same trained networks, if these are measured."
)


def page_of(found: Records, *, data: str, scale: str, seeds: int | None = None) -> Page:
    """Everything that is told; `seeds` is what the records have."""
    rows = robustness_of(taken(found, data=data, scale=scale, table=TABLE), MODELS)
    surface = surface_plot(f"{TABLE}-surface", rows, MODELS, watermark=watermark(scale))
    return Page(
        name=TABLE,
        title=TITLE,
        data=data,
        scale=scale,
        seeds=seeds_of(rows),
        sentences=[*(_headline(rows, model) for model in MODELS), _tally(rows)],
        parts=[_drops(rows), _excesses(rows), *(_levels(rows, family) for family in _rectangles(rows))],
        figures=cover_figures(rows),
        plots={"curves": _curves(rows, scale), "surface": surface},
        footer=_footer(rows),
        remarks={"Not shown": not_shown(rows), "Not measured": _gaps(rows)},
    )


def seeds_of(rows: Sequence[Robustness]) -> int:
    """How many seeds the best measured network has."""
    return max((len(row.records) for row in rows), default=1)


def not_shown(rows: Sequence[Robustness]) -> list[str]:
    """Each cover that could not be shown, with the reason."""
    reasons = (row.records[0].result["lacking"].items() for row in rows)
    return sorted({f"{family}: {reason}" for lacking in reasons for family, reason in lacking})


def _gaps(rows: Sequence[Robustness]) -> list[str]:
    there = {(row.model, row.ratio) for row in rows}
    wanted = [row for row in ROWS if row not in there]
    return [f"{MODELS[model]}, {100 * ratio:.0f} % removed" for model, ratio in wanted]


def told(found: Mean | None, text: str = "{:.2f}") -> str:
    """A figure with its interval in brackets."""
    if found is None:
        return EMPTY
    return f"{text.format(found.percent)} [{text.format(found.lo)}, {text.format(found.hi)}]"


def verdict(excess: Mean) -> str:
    """What an excess and its interval say."""
    if excess.lo > 0:
        return "the slim one loses more"
    return "the slim one loses less" if excess.hi < 0 else "no difference is shown"


def _rectangles(rows: Sequence[Robustness]) -> list[str]:
    return list(dict.fromkeys(family for family, _ in sets_of(rows) if family in RECTANGLES))


def _name(cover: str) -> str:
    return SHOWN_AS.get(cover, cover)


Columns = Mapping[str, Callable[[Robustness], str]]


def _panel(letter: str, title: str, rows: Sequence[Robustness], columns: Columns, note: str) -> Part:
    """One row for each network; `columns` are headings and what stands below them."""
    body = [[MODELS[row.model], row.label, *(write(row) for write in columns.values())] for row in rows]
    title = f"{letter}. {title}"
    return Part(title=title, keys=2, titles=[*KEYS, *columns], body=body, note=note, cells=cells_of(rows))


def _drops(rows: Sequence[Robustness]) -> Part:
    columns: dict[str, Callable[[Robustness], str]] = {
        "Bare face, % [95 %]": lambda row: told(row.accuracy("", "0")),
    }
    for group in (cover for cover in covers_of(rows) if cover in GROUPS):
        columns[f"Area, {_name(group)}, % [95 %]"] = lambda row, group=group: told(row.area(group))
    for cover in covers_of(rows):
        columns[f"Drop, {_name(cover)}, points [95 %]"] = lambda row, cover=cover: told(row.drop(cover))
    return _panel("A", "What covers cost every network", rows, columns, DROP_NOTE)


def _excesses(rows: Sequence[Robustness]) -> Part:
    columns: dict[str, Callable[[Robustness], str]] = {}
    for cover in covers_of(rows):
        columns[f"Excess drop, {_name(cover)}, points [95 %]"] = lambda row, cover=cover: _starred(row.excess(cover))
    for group in (cover for cover in covers_of(rows) if cover in GROUPS):
        title = f"Area lost, {_name(group)}, points [95 %]"
        columns[title] = lambda row, group=group: _starred(row.excess_area(group))
    columns |= {
        "FLOPs (MAC)": lambda row: magnitude(row.macs or 0),
        "p50, ms": lambda row: _latency(row, "p50_ms", "{:.2f}"),
        "Speed-up": _speedup,
    }
    return _panel("B", "What slimming changed, at what cost", rows, columns, f"{EXCESS_NOTE} {COST_NOTE}")


def _levels(rows: Sequence[Robustness], family: str) -> Part:
    columns: dict[str, Callable[[Robustness], str]] = {
        f"{level} %": lambda row, level=level: told(row.accuracy(family, level)) for level in ("0", *levels(family))
    }
    letter = chr(ord("C") + _rectangles(rows).index(family))
    note = "Accuracy on the test split, % [95 %], by the share of the face that is covered."
    return _panel(letter, f"Accuracy behind {family} ({kind(family)})", rows, columns, note)


def _starred(found: Mean | None) -> str:
    return told(found, "{:+.2f}") + ("*" if found is not None and not found.lo <= 0 <= found.hi else "")


def _latency(row: Robustness, key: str, text: str) -> str:
    return text.format(row.latency["1"][key]) if "1" in row.latency else EMPTY


def _speedup(row: Robustness) -> str:
    pair = row.latency.get("1", {}).get("ratios", {}).get("unpruned")
    return f"{1 / pair['ratio']:.2f}x" if pair else EMPTY


def _headline(rows: Sequence[Robustness], model: str) -> str:
    """What the headline cut changed behind every cover, with its interval."""
    own = {row.ratio: row for row in rows if row.model == model}
    opening = f"{MODELS[model]}, {100 * HEADLINE_RATIO:.0f} % of channels removed:"
    slim, whole = own.get(HEADLINE_RATIO), own.get(0.0)
    if slim is None or whole is None:
        return f"{opening} {MISSING} yet."
    said = []
    for cover in covers_of(rows):
        before, after, excess = whole.drop(cover), slim.drop(cover), slim.excess(cover)
        if before is not None and after is not None and excess is not None:
            change = f"{told(excess, '{:+.2f}')}: {verdict(excess)}"
            said.append(f"{_name(cover)} {before.percent:.2f} -> {after.percent:.2f} ({change})")
    return f"{opening} points lost behind {'; '.join(said)}."


def _tally(rows: Sequence[Robustness]) -> str:
    """Over all cuts and covers: how many excesses are shown to differ from nothing."""
    found = [one for row in rows for cover in covers_of(rows) if (one := row.excess(cover)) is not None]
    if not found:
        return f"Slim against unpruned: {MISSING} yet."
    groups = [group for group in GROUPS if group in covers_of(rows)]
    areas = [one for row in rows for group in groups if (one := row.excess_area(group)) is not None]
    return (
        "Slim against unpruned, over all networks, ratios and covers: more points lost in "
        f"{_above(found)} of {len(found)} comparisons, fewer in {_below(found)}; the area under the curve behind "
        f"rectangles smaller in {_above(areas)} of {len(areas)}, larger in {_below(areas)} (95 % intervals, "
        f"uncorrected: {0.05 * len(found):.1f} and {0.05 * len(areas):.1f} would leave 0 out by chance). "
        "A network that is less accurate bare has less to lose, so both are told."
    )


def _above(found: Sequence[Mean]) -> int:
    """How many are shown to be above 0."""
    return sum(one.lo > 0 for one in found)


def _below(found: Sequence[Mean]) -> int:
    return sum(one.hi < 0 for one in found)


def _curves(rows: Sequence[Robustness], scale: str) -> Plot:
    """Unpruned against the headline cut of both networks, a field for each rectangle."""
    lines = [
        Line(
            label=f"{MODELS[row.model]}, {row.label}",
            looks=row.looks,
            colour=LIGHT.get(row.model, LIGHT["other"]),
            marker="s" if row.ratio else "o",
            dash=DASHED if row.ratio else SOLID,
        )
        for row in rows
        if row.ratio in (0.0, HEADLINE_RATIO)
    ]
    fields = {f"{family.capitalize()} ({kind(family)})": ((family,), lines) for family in _rectangles(rows)}
    return curve_fields(f"{TABLE}-curves", fields or {TITLE: ((), [])}, watermark=watermark(scale))


def cover_figures(rows: Sequence[Robustness]) -> Figures:
    """Every accuracy of every network behind every cover."""
    identity = ["model", "ratio", "seeds", "family", "kind", "level"]
    columns = [*identity, "covered_percent", "accuracy_percent", "accuracy_lo", "accuracy_hi", "macs"]
    figures = []
    for row in rows:
        own = {"model": row.model, "ratio": row.ratio, "seeds": len(row.records), "macs": row.macs}
        figures.append(own | {"family": "bare", "level": "0", "covered_percent": 0.0} | _accuracy(row, "bare", "0"))
        for family, level in sets_of(rows):
            share = 100 * row.records[0].result["covered"][family][level]
            place = {"family": family, "kind": kind(family), "level": level, "covered_percent": share}
            figures.append(own | place | _accuracy(row, family, level))
    return Figures(columns=columns, rows=figures)


def _accuracy(row: Robustness, family: str, level: str) -> dict[str, float]:
    one = row.accuracy(family, level)
    return {"accuracy_percent": one.percent, "accuracy_lo": one.lo, "accuracy_hi": one.hi}


def _footer(rows: Sequence[Robustness]) -> Pairs:
    records: list[Record] = [record for row in rows for record in row.records]
    if not records:
        return [("Cells", f"none {MISSING.removeprefix('not ')}")]
    return cover_footer(records)


def cover_footer(records: Sequence[Record]) -> Pairs:
    """Data, covers, intervals, machine and commit of records made by `bench.tables.covers.occlusion.looked`."""
    result = records[0].result
    data, covers = result["data"], result["covers"]
    placed = {family: found[PLACED] for family, found in result["covered"].items() if PLACED in found}
    shares = ", ".join(f"{family} {100 * share:.1f} %" for family, share in placed.items())
    by_kind = [f"{family}: {kind(family)}" for family in result["occluded"]]
    boxes = (
        "eye and mouth boxes are those of the bare faces"
        if covers["landmarks"]
        else "faces without landmarks: masks lie by the template of an aligned face, eye and mouth boxes are fixed"
    )
    return [
        ("Data", f"{data['name']}, test split, n = {len(data['truth']):,}; {'; '.join(data['notes'])}"),
        (
            "Covers",
            f"on the centre crop of {covers['crop']} px that every network sees, exact shares, nested as they grow, "
            f"seed {covers['seed']} and the face's position; {boxes}"
            + (f"; mean share covered: {shares}" if shares else ""),
        ),
        (
            "Seen, unseen",
            f"whether occlusion-aware pretraining may show the cover ({', '.join(by_kind)}); "
            "the training of MRF and VGGNet adds no covers",
        ),
        ("Intervals", "95 %, normal, over images; figures of two networks are subtracted image by image first"),
        ("Evaluation", "float32, the very networks of the other tables, nothing trained here"),
        ("Machine", machine_line(records)),
        ("Code", code_line(records)),
        ("Licence of the data", str(data["licence"])),
    ]
