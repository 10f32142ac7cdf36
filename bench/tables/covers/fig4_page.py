"""Fig 4 of paper 2 as files: how much of what a network looks at is the cover, and drawn faces with their maps.

python -m bench.report --table fig4
"""

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.measure.stats import Mean
from bench.pages.page import Figures, Page, Pairs, Part, watermark
from bench.pages.sheet import MISSING, Records, taken
from bench.pages.svg import LIGHT, MARKERS, Plot, nothing
from bench.records import Cell, Record
from bench.tables.covers.covered import PLACED, kind, levels
from bench.tables.covers.fig4 import FAMILIES, MAPS, MODELS, SHOWN, TABLE
from bench.tables.covers.looks import WORST
from bench.tables.covers.occlusion_page import cover_footer, told
from bench.tables.covers.plots import DASHED, SOLID
from fermodels.data.open_picture import open_picture
from fermodels.faces.occlude import RECTANGLES

TITLE = "Where the networks look while a face is covered"
KEYS = ("Network", "Map")
NOTE = (
    "The share of the attention map on the covered pixels, % [95 %]. Change: this share minus the share on the same "
    "pixels of the same face without the cover, in points. Below 0 the network looks away from the cover."
)
FORMS = {"on": "{:.2f}", "before": "{:.2f}", "change": "{:+.2f}"}
"""What a record tells of a map and a cover, and how it is written."""
TITLES = {"on": "Attention on the cover", "change": "What the cover changed"}
INKS = {"vggnet": "vggnet", "mrf": "mrf", "resnet18": "muted", "ocl-fgw-lgds": "other"}


@dataclass(frozen=True, kw_only=True)
class Saliency:
    """One map of one network."""

    model: str
    map: str
    record: Record

    def share(self, family: str, level: str, group: str = "all", of: str = "on") -> Mean | None:
        """Of the map's mass: "on" the cover, there "before", or the "change"; None where no map has any."""
        told = self.record.result["occluded"].get(family, {}).get(level, {}).get(self.map, {}).get(group, {})
        return Mean(**told[of]) if of in told else None

    def covered(self, family: str, level: str) -> float:
        """Mean share of the face that is covered, percent."""
        return 100 * self.record.result["covered"][family][level]

    @property
    def names(self) -> list[str]:
        return [MODELS[self.model], MAPS[self.map]]


def saliencies_of(records: Sequence[Record]) -> list[Saliency]:
    """Every map that a record tells of, in the order of `MODELS`."""
    own = {record.cell.model: record for record in records}
    found = [(model, own[model]) for model in MODELS if model in own]
    return [Saliency(model=model, map=name, record=record) for model, record in found for name in _maps(record)]


def _maps(record: Record) -> list[str]:
    by_level: Mapping[str, Any] = next(iter(record.result["occluded"].values()))
    there = next(iter(by_level.values()))
    return [name for name in MAPS if name in there]


def page_of(found: Records, *, data: str, scale: str, seeds: int | None = None) -> Page:
    """Everything that is told; `seeds` is what the records have."""
    rows = saliencies_of(taken(found, data=data, scale=scale, table=TABLE))
    there = {row.model for row in rows}
    families = [family for family in FAMILIES if rows and family in rows[0].record.result["occluded"]]
    rectangles = [family for family in families if family in RECTANGLES]
    parts = [part for family in rectangles for part in (_levels(rows, family), _levels(rows, family, "change"))]
    parts += [_answers(rows, families)] if rows else []
    parts = [replace(part, title=f"{letter}. {part.title}") for letter, part in zip("ABCDEFGHI", parts, strict=False)]
    plots = {"shares": _shares_plot(rows, rectangles, scale)}
    if pictures := _pictures(rows, scale):
        plots["faces"] = pictures
    return Page(
        name=TABLE,
        title=TITLE,
        data=data,
        scale=scale,
        seeds=1,
        sentences=_sentences(rows, rectangles),
        parts=parts,
        figures=_figures(rows, families),
        plots=plots,
        footer=_footer(rows, data),
        remarks={"Not measured": [name for model, name in MODELS.items() if model not in there]},
    )


def _levels(rows: Sequence[Saliency], family: str, of: str = "on") -> Part:
    columns, text = levels(family), FORMS[of]
    body = [[*row.names, *(told(row.share(family, level, of=of), text) for level in columns)] for row in rows]
    titles = [*KEYS, *(f"{level} % covered" for level in columns)]
    title = f"{TITLES[of]}: {family} ({kind(family)} in occlusion-aware training)"
    return Part(title=title, keys=2, titles=titles, body=body, note=NOTE, cells=_cells(rows))


def _answers(rows: Sequence[Saliency], families: Sequence[str]) -> Part:
    """Right and wrong answers apart, behind the largest cover of each family."""
    largest = [(family, levels(family)[-1]) for family in families]
    body = []
    for row in rows:
        found = [row.share(*one, group, "change") for one in largest for group in ("right", "wrong")]
        body.append([*row.names, *(told(each, FORMS["change"]) for each in found)])
    titles = [*KEYS]
    for family, level in largest:
        size = f"{rows[0].covered(family, level):.0f} % covered"
        titles += [f"{family}, {size}: right", f"{family}: wrong"]
    note = f"{NOTE} Right, wrong: faces whose expression is named rightly behind the cover, and the others."
    title = "What the cover changed, right and wrong answers apart"
    return Part(title=title, keys=2, titles=titles, body=body, note=note, cells=_cells(rows))


def _cells(rows: Sequence[Saliency]) -> list[tuple[Cell]]:
    return [(row.record.cell,) for row in rows]


def _sentences(rows: Sequence[Saliency], rectangles: Sequence[str]) -> list[str]:
    """For each map, what it gives the largest rectangle, against the bare face's map on the same pixels."""
    if not rows:
        return [f"Fig 4: {MISSING} yet."]
    said = []
    for row in rows:
        parts = []
        for family in rectangles:
            before, on, change = (row.share(family, WORST, of=of) for of in ("before", "on", "change"))
            if before is not None and on is not None and change is not None:
                moved = f"{told(change, FORMS['change'])} points: {_verdict(change)}"
                parts.append(f"{before.percent:.1f} -> {on.percent:.1f} % on {family} ({moved})")
        if parts:
            cover = f"a rectangle over {WORST} % of the face"
            said.append(f"{MODELS[row.model]}, {MAPS[row.map]}, {cover}: {', '.join(parts)}.")
    return said


def _verdict(change: Mean) -> str:
    if change.hi < 0:
        return "it looks away"
    return "drawn to the cover" if change.lo > 0 else "no change is shown"


def _figures(rows: Sequence[Saliency], families: Sequence[str]) -> Figures:
    """What every map gives to every cover, over all faces and over those named rightly and wrongly."""
    names = [f"{of}_{end}" for of in FORMS for end in ("percent", "lo", "hi")]
    identity = ["model", "map", "family", "kind", "level", "covered_percent", "answers", "n"]
    sets = [(family, level) for family in families for level in levels(family)]
    told = [_told(row, *one, group) for row in rows for one in sets for group in ("all", "right", "wrong")]
    return Figures(columns=[*identity, *names], rows=told)


def _told(row: Saliency, family: str, level: str, group: str) -> dict[str, object]:
    told: dict[str, object] = {"model": row.model, "map": row.map, "family": family, "kind": kind(family)}
    told |= {"level": level, "covered_percent": row.covered(family, level), "answers": group}
    told["n"] = row.record.result["occluded"][family][level][row.map][group]["n"]
    for of in FORMS:
        if (one := row.share(family, level, group, of)) is not None:
            told |= {f"{of}_percent": one.percent, f"{of}_lo": one.lo, f"{of}_hi": one.hi}
    return told


def _footer(rows: Sequence[Saliency], data: str) -> Pairs:
    if not rows:
        return [("Cells", "none measured")]
    maps = (
        "own map: eq 3 of paper 1, eq 6 of paper 2 laid back from the five regions; Grad-CAM: of the named class, on "
        "the last features of the face's trunk; both resized to the face view, maps that are 0 everywhere left out"
    )
    faces = "shown as drawn, the first of the test split" if _strips(rows) else f"those of {data} are not reproduced"
    return [*cover_footer([row.record for row in rows]), ("Maps", maps), ("Faces", faces)]


def _strips(rows: Sequence[Saliency]) -> list[tuple[Saliency, str]]:
    return [(row, found) for row in rows if (found := row.record.result["examples"].get(row.map))]


def _shares_plot(rows: Sequence[Saliency], rectangles: Sequence[str], scale: str) -> Plot:
    """What the cover changed against the share covered, a field for each rectangle; below 0 it is shunned."""

    def draw(figure: Figure) -> None:
        fields = max(1, len(rectangles))
        for i in range(fields):
            axes = figure.add_axes((0.08 + i / fields, 0.29, 1 / fields - 0.11, 0.62))
            if not rectangles:
                nothing(axes, "attention on the cover")
                return
            _field(axes, rows, rectangles[i])
        figure.legend(*axes.get_legend_handles_labels(), loc="lower center", ncols=2, fontsize=8)

    return Plot(f"{TABLE}-shares", (4.6 * max(1, len(rectangles)), 5.0), watermark(scale), draw)


def _field(axes: Axes, rows: Sequence[Saliency], family: str) -> None:
    axes.set_title(f"{family.capitalize()} ({kind(family)})", pad=10)
    shares = [float(level) for level in levels(family)]
    axes.axhline(0, color=LIGHT["muted"], linewidth=1, linestyle=":")
    for i, row in enumerate(rows):
        found = [
            (share, row.share(family, level, of="change")) for share, level in zip(shares, levels(family), strict=True)
        ]
        known = [(share, one) for share, one in found if one is not None]
        colour, dash = LIGHT[INKS[row.model]], DASHED if row.map == "cam" else SOLID
        look = {"color": colour, "linestyle": dash, "marker": MARKERS[i % len(MARKERS)], "markersize": 4.5}
        along = [share for share, _ in known]
        axes.plot(along, [one.percent for _, one in known], label=", ".join(row.names), **look)
        band = {"color": colour, "alpha": 0.13, "linewidth": 0}
        axes.fill_between(along, [one.lo for _, one in known], [one.hi for _, one in known], **band)
    axes.set_xlabel("share of the face covered, %")
    axes.set_ylabel("mass on the cover, change in points")
    axes.grid(True, linewidth=0.8)


def _pictures(rows: Sequence[Saliency], scale: str) -> Plot | None:
    """The strips of every map below each other; None where there are none."""
    strips = [(row, _pixels(text)) for row, text in _strips(rows)]
    if not strips:
        return None
    height, width = strips[0][1].shape[:2]
    inches = (7.2, 0.35 + len(strips) * (7.2 * height / width + 0.3))

    def draw(figure: Figure) -> None:
        each = (1 - 0.35 / inches[1]) / len(strips)
        for i, (row, pixels) in enumerate(strips):
            axes = figure.add_axes((0, 1 - 0.35 / inches[1] - (i + 1) * each, 1, each - 0.3 / inches[1]))
            axes.imshow(pixels, interpolation="none")
            axes.set_title(", ".join(row.names), pad=4)
            axes.axis("off")
        names = [
            "bare" if cover == "bare" else cover if level == PLACED else f"{cover} {level} %" for cover, level in SHOWN
        ]
        for i, name in enumerate(names):
            figure.text((i + 0.5) / len(names), 1 - 0.15 / inches[1], name, ha="center", va="center", fontsize=8.5)

    return Plot(f"{TABLE}-faces", inches, watermark(scale), draw)


def _pixels(text: str) -> np.ndarray:
    return np.asarray(open_picture(io.BytesIO(base64.b64decode(text))).image)
