"""The plot of our networks among others on FER2013: accuracy against parameters, which all publish, unlike MACs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from bench.pages.columns import round_magnitude
from bench.pages.page import Page
from bench.pages.svg import LIGHT, Plot


@dataclass(frozen=True)
class Peer:
    """A network that others have published."""

    name: str
    params: float
    percent: float
    """Accuracy on PrivateTest."""
    how: str = ""
    below: bool = False
    """Its name stands left of the mark and lower, else beside it."""


PUBLISHED = (
    Peer("Cotter 2019", 0.5e6, 68.4, "at most"),
    Peer("Cotter 2019", 2.5e6, 70.9, "about", below=True),
    Peer("MicroExpNet 2026", 1.2e6, 71.2, "teacher of VGGFace2"),
    Peer("VGG variants", 10e6, 73.4, "ten crops"),
    Peer("Residual Masking", 140e6, 74.1, "ImageNet"),
)
"""From their abstracts and repositories, whatever crops, data and choice of epoch they had. The VGG variants tell 73.1
to 73.7 %, and 10 M parameters or more."""
SIZE = (7.2, 4.6)


def peers_plot(page: Page, ours: Sequence[dict[str, Any]], rivals: Sequence[dict[str, Any]]) -> Plot:
    """Slim networks of a page of prune ratios, the networks that ship, and others.

    Args:
        ours: records of `bench.shipped`; those of drawn faces alone are left out.
        rivals: records of `bench.rival`.
    """
    return Plot("peers", SIZE, "", lambda figure: _draw(figure, page, ours, rivals))


def _draw(figure: Figure, page: Page, ours: Sequence[dict[str, Any]], rivals: Sequence[dict[str, Any]]) -> None:
    axes = figure.add_axes((0.1, 0.13, 0.87, 0.77))
    axes.set_title("FER2013 PrivateTest: ours as measured, others as published")
    axes.set_xscale("log")
    axes.grid(True, axis="y", linewidth=0.8)
    axes.set_xlabel("parameters")
    axes.set_ylabel("Accuracy on test, %")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: round_magnitude(value)))
    for model, name in (("mrf", "MRF, full width"), ("vggnet", "VGGNet, full width")):
        rows = [row for row in page.figures.rows if row["model"] == model and row["variant"] in ("dense", "slim")]
        known = sorted((row["params"], row["accuracy_percent"]) for row in rows if row.get("accuracy_percent"))
        if not known:
            continue
        axes.plot(
            *zip(*known, strict=True),
            color=LIGHT[model],
            marker="o",
            markersize=5,
            label=f"{name}, unpruned to slimmest",
        )
    for one in ours:
        _point(
            axes, one["name"], one["plan"]["params_after"], one["accuracy"]["overall"], "other", f"{one['name']}, ships"
        )
    for one in rivals:
        _point(
            axes,
            one["name"],
            one["params"],
            one["accuracy"]["overall"],
            "ink",
            f"{one['name']} {one['version']}, measured by us",
        )
    x, y = [peer.params for peer in PUBLISHED], [peer.percent for peer in PUBLISHED]
    hollow = {"linestyle": "none", "marker": "D", "markersize": 5, "markerfacecolor": LIGHT["page"]}
    axes.plot(x, y, color=LIGHT["muted"], label="published by others", **hollow)
    for peer in PUBLISHED:
        told = f"{peer.name} ({peer.how})" if peer.how else peer.name
        _name(axes, told, peer.params, peer.percent, "muted", below=peer.below)
    axes.set_xlim(3e4, 5e8)
    axes.legend(loc="lower right")


def _point(axes: Axes, name: str, params: float, share: float, colour: str, label: str) -> None:
    axes.plot([params], [100 * share], color=LIGHT[colour], marker="s", markersize=6, linestyle="none", label=label)
    _name(axes, name, params, 100 * share, colour)


def _name(axes: Axes, text: str, x: float, y: float, colour: str, *, below: bool = False) -> None:
    place: Any = {"xytext": (-7, 0), "ha": "right", "va": "center"}
    if below:
        place = {"xytext": (-7, -4), "ha": "right", "va": "top"}
    axes.annotate(text, (x, y), fontsize=7.5, color=LIGHT[colour], textcoords="offset points", **place)
