"""What a cut aims at: a share of the channels, of the MACs, of the parameters, or milliseconds on a runtime.

Shares differ in direction, as people use them: `ratio` is the share of channels that goes, `macs_share` and
`params_share` are the share that may stay.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from compress.inputs import Example
from compress.slimming.groups import ChannelGroup
from compress.slimming.select import Floor, Kept

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
    example: Example
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
