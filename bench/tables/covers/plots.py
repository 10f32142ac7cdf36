"""Plots of what covers cost: accuracy against the covered share, and accuracy by share covered and channels removed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from bench.measure.stats import Mean, mean_over_images
from bench.pages.svg import LIGHT, RAMP, Plot, nothing
from bench.tables.covers.covered import kind, levels
from bench.tables.covers.looks import Looks
from bench.tables.covers.robustness import Robustness, sets_of
from fermodels.faces.occlude import RECTANGLES

GAP = 6.0
"""Between the largest share and the first placed cover, and between placed covers, on an axis of percent."""
FIELD, LABELS = 5.0, 0.75
"""Inches across one field of the surface, and what its row labels take of them."""
COLUMNS, LEGEND_LINE = 3, 0.21
"""Of the legend below the curves; a line's height in inches."""
Dash = str | tuple[float, tuple[float, ...]]
SOLID, DASHED, DOTTED = "-", (0, (4, 2)), (0, (1, 1.4))


@dataclass(frozen=True, kw_only=True)
class Line:
    """One network in a field of curves."""

    label: str
    looks: Looks
    colour: str
    marker: str = "o"
    dash: Dash = SOLID


Fields = Mapping[str, tuple[Sequence[str], Sequence[Line]]]
"""Title -> (rectangles whose mean curve is drawn, networks)."""


def curve_fields(name: str, fields: Fields, *, watermark: str) -> Plot:
    """A field for each title: accuracy in percent with its 95 % band against the covered percent.

    Covers whose size the face gives stand right of the curves.
    """
    legend = LEGEND_LINE * -(-max(len(lines) for _, lines in fields.values()) // COLUMNS)

    def draw(figure: Figure) -> None:
        left, gap = 0.62 / figure.get_figwidth(), 0.22 / figure.get_figwidth()
        low_edge = (0.55 + legend) / figure.get_figheight()
        width = (1 - left) / len(fields)
        low, high = _limits(fields)
        for i, (title, (families, lines)) in enumerate(fields.items()):
            axes = figure.add_axes((left + i * width, low_edge, width - gap, 2.9 / figure.get_figheight()))
            axes.set_title(title, pad=10)
            if not lines:
                nothing(axes, "accuracy")
                continue
            _curves(axes, families, lines)
            axes.set_ylim(low, high)
            axes.set_xlabel("share of the face covered, %")
            if i == 0:
                axes.set_ylabel("Accuracy on test, % (bands: 95 %)")
            else:
                axes.set_yticklabels([])
        figure.legend(*axes.get_legend_handles_labels(), loc="lower center", ncols=COLUMNS)

    return Plot(name, (0.6 + 4.1 * max(1, len(fields)), 3.9 + legend), watermark, draw)


def _points(line: Line, families: Sequence[str]) -> dict[str, Mean]:
    """Label of a place on the axis -> accuracy there: the curve of `families`, then the placed covers."""
    looks = line.looks
    curve = {level: mean_over_images(looks.at(families, level)) for level in looks.along(families)}
    return curve | {cover: mean_over_images(looks.at((cover,), levels(cover)[0])) for cover in looks.placed}


def _curves(axes: Axes, families: Sequence[str], lines: Sequence[Line]) -> None:
    along = lines[0].looks.along(families)
    shares = [float(level) for level in along]
    for i, line in enumerate(lines):
        points = _points(line, families)
        curve = [points.pop(level) for level in along]
        look = {"color": line.colour, "marker": line.marker, "markersize": 4.5, "linestyle": line.dash}
        axes.plot(shares, [one.percent for one in curve], label=line.label, **look)
        band = {"color": line.colour, "alpha": 0.13, "linewidth": 0}
        axes.fill_between(shares, [one.lo for one in curve], [one.hi for one in curve], **band)
        for place, one in zip(_places(shares[-1], len(points)), points.values(), strict=True):
            x = place + (i - (len(lines) - 1) / 2) * min(0.8, 0.8 * GAP / max(1, len(lines) - 1))
            bar = [[one.percent - one.lo], [one.hi - one.percent]]
            axes.errorbar(x, one.percent, yerr=bar, fmt=line.marker, color=line.colour, markersize=4.5, elinewidth=1.1)
    covers = list(lines[0].looks.placed)
    places = _places(shares[-1], len(covers))
    names = [f"{share:.0f}" for share in shares[::2]]
    axes.set_xticks([*shares[::2], *places], [*names, *covers], fontsize=8)
    if covers:
        axes.axvline(shares[-1] + GAP / 2, color=LIGHT["muted"], linewidth=0.8, linestyle=":")
    axes.grid(True, axis="y", linewidth=0.8)


def _places(last: float, covers: int) -> list[float]:
    return [last + GAP * (i + 1) for i in range(covers)]


def _limits(fields: Fields) -> tuple[float, float]:
    means = [one for families, lines in fields.values() for line in lines for one in _points(line, families).values()]
    low, high = min((one.lo for one in means), default=0.0), max((one.hi for one in means), default=100.0)
    return low - 0.05 * (high - low), high + 0.03 * (high - low)


def surface_plot(name: str, rows: Sequence[Robustness], titles: Mapping[str, str], *, watermark: str) -> Plot:
    """Accuracy in percent by channels removed (down) and cover (across), a field for each network and rectangle."""
    families = tuple(dict.fromkeys(family for family, _ in sets_of(rows) if family in RECTANGLES))
    models = [model for model in titles if any(row.model == model for row in rows)]
    size = (FIELD * max(1, len(models)), 0.5 + 2.5 * max(1, len(families)))

    def draw(figure: Figure) -> None:
        if not rows:
            nothing(figure.add_axes((0.05, 0.05, 0.9, 0.9)), "accuracy")
            return
        shown = [row.accuracy(family, level).percent for row in rows for family, level in sets_of(rows)]
        shown += [row.accuracy("", "0").percent for row in rows]
        width, height = 1 / len(models), 1 / len(families)
        for i, family in enumerate(families):
            for j, model in enumerate(models):
                left = (j + LABELS / FIELD) * width
                place = (left, 1 - (i + 0.87) * height, (1 - (LABELS + 0.12) / FIELD) * width, 0.68 * height)
                axes = figure.add_axes(place)
                axes.set_title(f"{titles[model]}, {family} ({kind(family)})", pad=8)
                own = [row for row in rows if row.model == model]
                _field(axes, own, family, (min(shown), max(shown)))

    return Plot(name, size, watermark, draw)


def _field(axes: Axes, rows: Sequence[Robustness], family: str, limits: tuple[float, float]) -> None:
    """One cell for each network and cover, its accuracy written in it; the deeper the colour, the higher."""
    sets = [(family, level) for level in ("0", *levels(family))]
    sets += [(cover, levels(cover)[0]) for cover in rows[0].looks.placed]
    low, high = limits
    for down, row in enumerate(rows):
        for across, (cover, level) in enumerate(sets):
            percent = row.accuracy(cover, level).percent
            step = min(len(RAMP) - 1, int(len(RAMP) * (percent - low) / max(high - low, 1e-9)))
            edge = {"edgecolor": LIGHT["page"], "linewidth": 1.2}
            axes.add_patch(Rectangle((across, down), 1, 1, facecolor=LIGHT[RAMP[step]], **edge))
            ink = LIGHT["ink" if step < 2 else "page"]
            axes.text(across + 0.5, down + 0.5, f"{percent:.1f}", ha="center", va="center", fontsize=8, color=ink)
    axes.set_xlim(0, len(sets))
    axes.set_ylim(len(rows), 0)
    names = [f"{level} %" if cover == family else cover for cover, level in sets]
    axes.set_xticks([i + 0.5 for i in range(len(sets))], names, fontsize=8)
    axes.set_yticks([i + 0.5 for i in range(len(rows))], [row.label for row in rows], fontsize=8)
    axes.tick_params(length=0)
    for side in axes.spines.values():
        side.set_visible(False)
