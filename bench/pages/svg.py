"""How plots become SVG text: one style, repeatable bytes, and colours that follow a page's theme.

Built on matplotlib's objects, never on pyplot's global state. A fixed salt, no metadata and axes at fixed places make
the bytes repeat. Colours are Okabe and Ito's and one blue ramp; marker and label always tell the same as the colour.
"""

import io
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

PALETTE = {
    "ink": ("#1b1f24", "#e6e9ee"),
    "muted": ("#5c6672", "#9aa5b1"),
    "grid": ("#dde2e8", "#2f3640"),
    "page": ("#fffffe", "#14181d"),
    "mrf": ("#0072b2", "#56b4e9"),
    "vggnet": ("#d55e00", "#ff9a4d"),
    "other": ("#009e73", "#3fd0a4"),
    "before": ("#c9d3de", "#3b4652"),
    "mark": ("#b3261e", "#ff8a80"),
    "ramp0": ("#7fb2dd", "#2f6ba3"),
    "ramp1": ("#5596cc", "#4a8cc7"),
    "ramp2": ("#2f78b5", "#73aee0"),
    "ramp3": ("#155a96", "#a1caee"),
    "ramp4": ("#08335f", "#d6e8fa"),
}
"""Name -> (colour on a light page, on a dark page). Every light colour is used for one name only: `inline` finds it."""
LIGHT = {name: light for name, (light, _) in PALETTE.items()}
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
"""What no XML may hold."""
MARKERS = ("o", "s", "^", "D", "v", "P")
RAMP = tuple(name for name in PALETTE if name.startswith("ramp"))
STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "text.parse_math": False,  # a name may hold a dollar sign
    "font.family": ["DejaVu Sans"],
    "font.size": 9.5,
    "axes.titlesize": 10.5,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": LIGHT["muted"],
    "axes.labelcolor": LIGHT["ink"],
    "axes.axisbelow": True,
    "axes.facecolor": "none",
    "figure.facecolor": LIGHT["page"],
    "grid.color": LIGHT["grid"],
    "text.color": LIGHT["ink"],
    "xtick.color": LIGHT["muted"],
    "ytick.color": LIGHT["muted"],
    "xtick.labelcolor": LIGHT["ink"],
    "ytick.labelcolor": LIGHT["ink"],
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "lines.linewidth": 1.8,
}


@dataclass(frozen=True, eq=False)
class Plot:
    """A plot that is drawn when its text is asked for: a page's sentences need none."""

    name: str
    """Salt of the ids in the file; plots of one page need different ones."""
    inches: tuple[float, float]
    watermark: str
    """Stamped across it; empty for a result."""
    draw: Callable[[Figure], None]
    """Puts everything on an empty figure."""

    @cached_property
    def svg(self) -> str:
        """The file's text."""
        with mpl.rc_context({**STYLE, "svg.hashsalt": self.name}), warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Glyph")  # text stays text: the reader's fonts have other scripts
            figure = Figure(figsize=self.inches)
            FigureCanvasSVG(figure)
            self.draw(figure)
            if self.watermark:
                _stamp(figure, self.watermark)
            stream = io.StringIO()
            figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None})
        # the renderer leaves blanks at the ends of lines, which editors and hooks would strip from a committed file
        return "\n".join(line.rstrip() for line in CONTROL.sub(" ", stream.getvalue()).split("\n")[:-1]) + "\n"


def inline(svg: str, name: str) -> str:
    """The text of a plot as an element of a page: unique ids, CSS variables `--<name of PALETTE>`, any width."""
    body = svg[svg.index("<svg") :]
    for ours, colour in LIGHT.items():
        body = body.replace(colour, f"var(--{ours})")
    body = re.sub(r'\bid="', f'id="{name}-', body)
    body = re.sub(r'(href="#|url\(#)', rf"\g<1>{name}-", body)
    return re.sub(r'<svg ([^>]*?)width="[^"]*"', r'<svg \1width="100%"', body, count=1).replace(
        'height="', 'data-height="', 1
    )


def nothing(axes: Axes, what: str) -> None:
    """Axes that say what is missing instead of showing an empty scale."""
    axes.set_xticks([])
    axes.set_yticks([])
    text = f"{what}: not measured"
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", color=LIGHT["muted"])


def _stamp(figure: Figure, text: str) -> None:
    figure.text(0.5, 0.5, text, ha="center", va="center", rotation=24, fontsize=20, alpha=0.35, color=LIGHT["mark"])
