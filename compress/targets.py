"""What a cut aims at: a share of the channels, of the MACs, of the parameters, or milliseconds on a runtime.

Shares differ in direction, as people use them: `ratio` is the share of channels that goes, `macs_share` and
`params_share` are the share that may stay.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from compress.groups import ChannelGroup
from compress.select import Floor, Kept, select, select_within
from compress.widths import counter

UNITS = {"ratio": "channels", "macs_share": "macs", "params_share": "params", "target_ms": "ms"}
"""Keyword of `slim` -> what it counts."""
RATIO = 0.6
"""Where no target is given."""
TABLES = Path("reports/runs/latency")
"""Latency tables are kept here; safe to delete."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """One of `UNITS` and how much of it."""

    name: str = "ratio"
    wanted: float = RATIO
    runtime: str = "onnxruntime"
    batch: int = 1
    tables: Path = TABLES

    @property
    def unit(self) -> str:
        return UNITS[self.name]


@dataclass(frozen=True, kw_only=True)
class Subject:
    """The network to choose from, and how."""

    net: nn.Module
    groups: Sequence[ChannelGroup]
    scores: Mapping[str, Tensor]
    rule: str
    floor: Floor
    align: int
    trial: Callable[[Kept], nn.Module]
    """The network of these channels, to be timed."""


def one_target(asked: Mapping[str, float | None], **place: Any) -> Target:
    """The only one of `asked` (keyword -> value) that is not None, or the default.

    Raises:
        ValueError: there are several, or a share out of range.
    """
    given = {name: value for name, value in asked.items() if value is not None}
    if len(given) > 1:
        told = " and ".join(f"{name}={value:g}" for name, value in given.items())
        raise ValueError(f"{told}: a cut has one target, give one of {', '.join(UNITS)}")
    for name, wanted in given.items():
        if name.endswith("_share") and not 0 < wanted <= 1:
            raise ValueError(f"{name}={wanted}: the share that may stay, above 0 and at most 1; 0.4 removes 60 %")
        return Target(name=name, wanted=wanted, **place)
    return Target(**place)


def choose(target: Target, subject: Subject) -> tuple[Kept, dict[str, Any] | None]:
    """The channels that stay, and of a target in milliseconds what was measured (the key `timing` of a plan)."""
    if target.unit == "channels":
        kept = select(subject.scores, target.wanted, rule=subject.rule, floor=subject.floor, align=subject.align)
        return kept, None
    if subject.rule != "exact":
        raise ValueError(f'rule="{subject.rule}" knows a share of channels only: give ratio=, or rule="exact"')
    return _within_milliseconds(target, subject) if target.unit == "ms" else (_within_share(target, subject), None)


def _within_share(target: Target, subject: Subject) -> Kept:
    count = counter(subject.net, subject.groups, target.unit)
    whole = count({group.name: group.size for group in subject.groups})
    try:
        return select_within(
            subject.scores,
            lambda widths: count(widths) / whole,
            target.wanted,
            floor=subject.floor,
            align=subject.align,
        )
    except ValueError as error:
        raise ValueError(f"{target.name}={target.wanted:g}: {error}") from error


def _within_milliseconds(target: Target, subject: Subject) -> tuple[Kept, dict[str, Any]]:
    from compress.latency_table import LatencyTable
    from compress.latency_target import select_for_ms
    from compress.stopwatch import RuntimeStopwatch

    table = LatencyTable(RuntimeStopwatch(runtime=target.runtime, batch=target.batch), target.tables)
    timed = select_for_ms(subject, target.wanted, table)
    return timed.kept, timed.provenance | {"ms": timed.ms, "ms_before": timed.ms_before}
