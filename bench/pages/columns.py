"""What a table is made of: values with units and formats, columns over values, panels of columns.

A value has a key that carries its unit (`accuracy_percent`, `p50_ms_b1`) and a format; a column is a heading and a
template over such keys, so a new column is one line of data.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass


def magnitude(count: float) -> str:
    """A count with its SI letter: 31094159 -> 31.09 M; small networks keep the M: 461729 -> 0.46 M."""
    for size, letter, least in ((1e9, "G", 1e9), (1e6, "M", 1e4), (1e3, "k", 1e3)):
        if count >= least:
            return f"{count / size:.{2 if count < 100 * size else 1}f} {letter}"
    return f"{count:.0f}"


def round_magnitude(count: float) -> str:
    """As `magnitude`, without zeros behind the point: for the ticks of an axis.

    >>> round_magnitude(5e6)
    '5 M'
    """
    return re.sub(r"\.0+ ", " ", magnitude(count))


def percent(share: float) -> str:
    """A share in whole percent.

    >>> percent(0.6)
    '60 %'
    """
    return f"{100 * share:.0f} %"


def recall_key(name: str) -> str:
    """Key of the recall of the class `name`, which may be written in any letters and signs."""
    return "recall_" + re.sub(r"\W", lambda sign: f"_{ord(sign[0]):x}_", name)


def probability(p: float) -> str:
    return "<0.001" if p < 0.001 else f"{p:.3f}"


FORMATS: dict[str, Callable[[float], str]] = {
    "percent": lambda value: f"{value:.2f}",
    "share": lambda value: f"{value:.2f}",  # like percent, but a setting: no spread over seeds
    "reduction": lambda value: f"-{value:.1f} %" if value >= 0 else f"+{-value:.1f} %",
    "points": lambda value: f"{value:+.2f}",
    "probability": probability,
    "count": magnitude,
    "million": lambda value: f"{value:.2f} M",
    "giga": lambda value: f"{value:.2f} G",
    "ms": lambda value: f"{value:.2f}" if value < 100 else f"{value:.1f}",
    "factor": lambda value: f"{value:.2f}x",
    "whole": lambda value: f"{value:.0f}",
    "nats": lambda value: f"{value:.3f}",
}


def _latency_values(batch: int) -> dict[str, str]:
    return {
        f"p50_ms_b{batch}": "ms",
        f"p90_ms_b{batch}": "ms",
        f"spread_percent_b{batch}": "percent",
        f"noisy_b{batch}": "whole",
        f"images_per_s_b{batch}": "whole",
        f"speedup_b{batch}": "factor",
        f"speedup_b{batch}_lo": "factor",
        f"speedup_b{batch}_hi": "factor",
    }


VALUES: dict[str, str] = {
    "requested_percent": "whole",
    "achieved_percent": "share",
    "accuracy_percent": "percent",
    "accuracy_lo": "percent",
    "accuracy_hi": "percent",
    "difference_points": "points",
    "difference_lo": "points",
    "difference_hi": "points",
    "mcnemar_p": "probability",
    "class_mean_percent": "percent",
    "macro_f1_percent": "percent",
    "majority_percent": "share",
    "leak_free_percent": "percent",
    "leak_free_lo": "percent",
    "leak_free_hi": "percent",
    "leak_free_n": "whole",
    "flip_percent": "percent",
    "last_percent": "percent",
    "best_on_test_percent": "percent",
    "validation_percent": "percent",
    "test_n": "whole",
    "cut_percent": "percent",
    "absorbed_percent": "percent",
    "recalibrated_percent": "percent",
    "params": "count",
    "params_removed_percent": "reduction",
    "macs": "count",
    "macs_removed_percent": "reduction",
    "macs_factor": "factor",
    "weights_bytes": "count",
    "collapsed_layers": "whole",
    **_latency_values(1),
    **_latency_values(32),
    "short_percent": "percent",
    "control_percent": "percent",
    "control_gap_points": "points",
    "control_gap_lo": "points",
    "control_gap_hi": "points",
    "control_p": "probability",
    "control_macs_removed_percent": "reduction",
    "published_percent": "percent",
    "published_difference_points": "points",
    "published_params_million": "million",
    "published_params_removed_percent": "reduction",
    "published_macs_giga": "giga",
    "published_macs_removed_percent": "reduction",
}
"""Every value of a row and its format in `FORMATS`; the order is the order of the CSV's columns."""

NETWORK_VALUES: dict[str, str] = {
    "above_points": "points",
    "above_lo": "points",
    "above_hi": "points",
    "above_p": "probability",
    "ece_percent": "percent",
    "ece_scaled_percent": "percent",
    "nll": "nats",
    "nll_scaled": "nats",
    "temperature": "share",
    "occluded_percent": "percent",
    "occluded_change_points": "points",
    "passing_percent": "share",
    "map_all_percent": "percent",
    "map_right_percent": "percent",
    "map_wrong_percent": "percent",
    "map_mask_percent": "share",
    "published_rafdb_percent": "percent",
    "published_affectnet_percent": "percent",
}
"""Further values of whole networks (Tables 1 to 4, Fig 6)."""
FORMAT_OF = VALUES | NETWORK_VALUES


@dataclass(frozen=True, kw_only=True)
class Column:
    """A heading and what stands below it: a template over keys of `FORMAT_OF` (or of `recall_key`)."""

    title: str
    """With the unit of the numbers below it."""
    text: str
    """`{key}` becomes the formatted value; the cell is empty when the first key has no value."""
    optional: bool = False
    """Left out when no row has a value for it."""


ACCURACY = Column(title="Accuracy, % [95 %]", text="{accuracy_percent} [{accuracy_lo}, {accuracy_hi}]")
DIFFERENCE = Column(title="Difference, points [95 %]", text="{difference_points} [{difference_lo}, {difference_hi}]")
CLASS_MEAN = Column(title="Class mean, %", text="{class_mean_percent}")
MACRO_F1 = Column(title="Macro-F1, %", text="{macro_f1_percent}")
LEAK_FREE = Column(
    title="Leak-free, % [95 %]", text="{leak_free_percent} [{leak_free_lo}, {leak_free_hi}]", optional=True
)


@dataclass(frozen=True, kw_only=True)
class Panel:
    """A readable part of a wide table; all panels have the same rows."""

    letter: str
    title: str
    columns: tuple[Column, ...]
    note: str = ""
    per_class: bool = False
    """Followed by one column of recall for every class of the data set."""


def detail_panel(letter: str) -> Panel:
    """The networks chosen in other ways, and the recall of every class."""
    columns = (
        Column(title="Chosen on validation, %", text="{accuracy_percent}"),
        Column(title="Last epoch, %", text="{last_percent}"),
        Column(title="Best on test, %", text="{best_on_test_percent}", optional=True),
        Column(title="With flip, %", text="{flip_percent}", optional=True),
        Column(title="Majority class, %", text="{majority_percent}"),
    )
    note = "Best on test is for comparison with papers only: it picks the epoch on the test split. Recall in %."
    return Panel(
        letter=letter, title="Three-number report and recall per class", columns=columns, note=note, per_class=True
    )


@dataclass(frozen=True, kw_only=True)
class Published:
    """One published row. `macs_giga` is what the paper calls FLOPs; the reductions are its own figures, in percent."""

    accuracy_percent: float
    params_million: float
    params_removed_percent: float | None
    macs_giga: float
    macs_removed_percent: float | None


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table of a paper: its rows (models x variants x ratios), its panels, and the paper's own numbers."""

    name: str
    title: str
    models: dict[str, str]
    """Name in `bench.make.networks.NETWORKS` -> name printed."""
    ratios: tuple[float, ...]
    """Shares of channels removed by the criterion, and by the random control."""
    paper_ratios: tuple[float, ...]
    panels: tuple[Panel, ...]
    published: dict[tuple[str, float], Published]
    published_source: str
    headline_ratio: float
