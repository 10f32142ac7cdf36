"""Fig 3 of paper 2 as files: curves of every method behind seen and unseen covers, areas, drops, the published ones.

python -m bench.report --table fig3
"""

from collections.abc import Callable, Sequence

from bench.make.networks import NETWORKS
from bench.pages.columns import magnitude
from bench.pages.page import Page, Part, watermark
from bench.pages.sheet import EMPTY, MISSING, Records, taken
from bench.pages.svg import LIGHT, MARKERS, RAMP, Plot
from bench.tables.covers.covered import kind
from bench.tables.covers.fig3 import (
    ERASING,
    FAMILIES,
    METHODS,
    OURS,
    PUBLISHED_DROPS,
    PUBLISHED_SOURCE,
    REFERENCE,
    TABLE,
)
from bench.tables.covers.looks import GROUPS, WORST
from bench.tables.covers.occlusion_page import (
    DROP_NOTE,
    KEYS,
    SHOWN_AS,
    cover_figures,
    cover_footer,
    not_shown,
    seeds_of,
    told,
)
from bench.tables.covers.plots import DASHED, DOTTED, SOLID, Line, curve_fields
from bench.tables.covers.robustness import Robustness, cells_of, covers_of, robustness_of
from fermodels.faces.occlude import RECTANGLES
from fermodels.handcrafted import FEATURES
from fermodels.training.erasing import AREA

TITLE = "Accuracy behind growing covers and masks"
INKS = ("muted", *RAMP[::2], "other", "mark")
"""Colours of methods that have none of their own, in turn."""


def page_of(found: Records, *, data: str, scale: str, seeds: int | None = None) -> Page:
    """Everything that is told; `seeds` is what the records have."""
    rows = robustness_of(taken(found, data=data, scale=scale, table=TABLE), METHODS, REFERENCE)
    records = [record for row in rows for record in row.records]
    published = ("Published numbers", f"{PUBLISHED_SOURCE}; other data and networks: an expected order, not a target")
    there = {row.model for row in rows}
    return Page(
        name=TABLE,
        title=TITLE,
        data=data,
        scale=scale,
        seeds=seeds_of(rows),
        sentences=_sentences(rows),
        parts=[_summary(rows), *(_levels(rows, group) for group in _groups(rows))],
        figures=cover_figures(rows),
        plots={"curves": _plot(rows, scale)},
        footer=[*(cover_footer(records) if records else []), published],
        remarks={
            "Not shown": not_shown(rows),
            "Not measured": [name for method, name in METHODS.items() if method not in there],
        },
    )


def _groups(rows: Sequence[Robustness]) -> list[str]:
    return [cover for cover in covers_of(rows) if cover in GROUPS]


def _rectangles(group: str) -> str:
    return ", ".join(family for family in FAMILIES if family in RECTANGLES and kind(family) == group)


def _summary(rows: Sequence[Robustness]) -> Part:
    columns: dict[str, Callable[[Robustness], str]] = {
        "Bare face, % [95 %]": lambda row: told(row.accuracy("", "0")),
    }
    for group in _groups(rows):
        columns[f"Area, {SHOWN_AS[group]}, % [95 %]"] = lambda row, group=group: told(row.area(group))
    for cover in covers_of(rows):
        title = f"Drop, {SHOWN_AS.get(cover, cover)}, points [95 %]"
        columns[title] = lambda row, cover=cover: told(row.drop(cover))
    if any(row.reference for row in rows):
        for cover in covers_of(rows):
            title = f"Drop against {METHODS[REFERENCE]}, {SHOWN_AS.get(cover, cover)}, points [95 %]"
            columns[title] = lambda row, cover=cover: told(row.excess(cover), "{:+.2f}")
    if seeds_of(rows) > 1:
        columns["Seeds"] = lambda row: EMPTY if row.model in FEATURES else f"{len(row.records)}"
    columns |= {
        "Parameters": lambda row: magnitude(row.records[0].result["cost"]["params"]),
        "Epochs": _epochs,
        "Paper: largest drop, points": lambda row: EMPTY,
    }
    body = [[_kind(row.model), METHODS[row.model], *(write(row) for write in columns.values())] for row in rows]
    gap = [EMPTY] * (len(columns) - 1)
    body += [["published", name, *gap, f"{drop:.2f}"] for name, drop in PUBLISHED_DROPS.items()]
    titles = [KEYS[0], "Method", *columns]
    cells = [*cells_of(rows), *([()] * len(PUBLISHED_DROPS))]
    note = " ".join([DROP_NOTE, TRAINED_NOTE, *([SEEDS_NOTE] if seeds_of(rows) > 1 else [])])
    return Part(title="A. Bare faces, areas and drops", keys=2, titles=titles, body=body, note=note, cells=cells)


SEEDS_NOTE = (
    "Several seeds: means over them; an interval covers the choice of images only. A network is compared with "
    f"{METHODS[REFERENCE]} of the same seeds, a handcrafted method with the mean of all."
)
TRAINED_NOTE = (
    "Epochs: of pretraining (+) and of supervised training. Compare only networks with as many epochs. "
    f"Random erasing (Zhong et al. 2020): half of the training faces have a rectangle over {AREA[0]:.0%} to "
    f"{AREA[1]:.0%} of them, filled as the seen covers are. The other networks saw no cover in supervised training."
)


def _epochs(row: Robustness) -> str:
    if row.model in FEATURES:
        return EMPTY
    scale = row.records[0].config["scale"]
    first = f"{scale['pretrain']['epochs']} + " if NETWORKS[row.model].pretraining else ""
    return f"{first}{scale['dense']['epochs']}"


def _kind(method: str) -> str:
    return "handcrafted" if method in FEATURES else "network"


def _levels(rows: Sequence[Robustness], group: str) -> Part:
    families = rows[0].looks.families(group)
    along = rows[0].looks.along(families)
    body = [
        [_kind(row.model), METHODS[row.model], *(told(row.mean_accuracy(families, level)) for level in along)]
        for row in rows
    ]
    titles = [KEYS[0], "Method", *(f"{level} %" for level in along)]
    note = f"Accuracy on the test split, % [95 %], by the share covered; mean over {_rectangles(group)}."
    letter = "BC"[_groups(rows).index(group)]
    title = f"{letter}. Behind {group} rectangles"
    return Part(title=title, keys=2, titles=titles, body=body, note=note, cells=cells_of(rows))


def _sentences(rows: Sequence[Robustness]) -> list[str]:
    """For each group of covers: which method loses least at the largest share, and which names most there."""
    if not rows:
        return [f"Fig 3: {MISSING} yet."]
    said = []
    for group in _groups(rows):
        families = rows[0].looks.families(group)
        least = min(rows, key=lambda row: row.drop(group).percent)  # type: ignore[union-attr]
        best = max(rows, key=lambda row: row.mean_accuracy(families, WORST).percent)
        said.append(
            f"With {WORST} % of the face behind {group} rectangles ({_rectangles(group)}), "
            f"{METHODS[best.model]} is right most often, {told(best.mean_accuracy(families, WORST))} %, and "
            f"{METHODS[least.model]} loses least, {told(least.drop(group))} points of "
            f"{least.accuracy('', '0').percent:.2f} %."
        )
    return [*said, *_against_reference(rows)]


def _against_reference(rows: Sequence[Robustness]) -> list[str]:
    """What the proposed method and random erasing lose more or less than the reference, and what the paper's did."""
    published = PUBLISHED_DROPS["Proposed method"] - PUBLISHED_DROPS["Res18"]
    said = []
    for row in rows:
        if not row.reference or not (row.model == OURS or row.model.endswith(ERASING)):
            continue
        found = ", ".join(
            f"{SHOWN_AS.get(cover, cover)} {told(row.excess(cover), '{:+.2f}')}" for cover in covers_of(rows)
        )
        beside = f" (the paper's own, on other data: {published:+.2f})" if row.model == OURS else ""
        said.append(
            f"{METHODS[row.model]}, points lost against {METHODS[REFERENCE]} on the same images: {found}{beside}."
        )
    return said


def _plot(rows: Sequence[Robustness], scale: str) -> Plot:
    unnamed = list(dict.fromkeys(_plain(row) for row in rows if _plain(row) not in LIGHT))
    lines = [
        Line(
            label=METHODS[row.model],
            looks=row.looks,
            colour=LIGHT.get(_plain(row)) or LIGHT[INKS[unnamed.index(_plain(row)) % len(INKS)]],
            marker=MARKERS[i % len(MARKERS)],
            dash=DASHED if row.model in FEATURES else DOTTED if row.model.endswith(ERASING) else SOLID,
        )
        for i, row in enumerate(rows)
    ]
    fields = {
        f"{group.capitalize()}: {_rectangles(group)}": (rows[0].looks.families(group), lines) for group in _groups(rows)
    }
    return curve_fields(f"{TABLE}-curves", fields or {TITLE: ((), [])}, watermark=watermark(scale))


def _plain(row: Robustness) -> str:
    """The method of `row` without random erasing: both have one colour."""
    return row.model.removesuffix(ERASING)
