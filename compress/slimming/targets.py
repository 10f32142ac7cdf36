"""What a cut aims at: a share of the channels, of the MACs, of the parameters, or milliseconds on a runtime.

Shares differ in direction, as people use them: `ratio` is the share of channels that goes, `macs_share` and
`params_share` are the share that may stay.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Real

from torch import Tensor, nn

from compress.calling import Output
from compress.inputs import Example
from compress.slimming.groups import ChannelGroup
from compress.slimming.plan import Unit
from compress.slimming.select import Floor, Kept

UNITS: dict[str, Unit] = {"ratio": "channels", "macs_share": "macs", "params_share": "params", "target_ms": "ms"}
"""Keyword of `slim` -> what it counts."""
RATIO = 0.6
"""Where no target is given."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """One of `UNITS` and how much of it."""

    name: str = "ratio"
    wanted: float = RATIO
    runtime: str = "onnxruntime"
    batch: int = 1

    @property
    def unit(self) -> Unit:
        return UNITS[self.name]


@dataclass(frozen=True, kw_only=True)
class Subject:
    """The network to choose from, and how."""

    net: nn.Module
    example: Example
    output: Output | None
    groups: Sequence[ChannelGroup]
    scores: Mapping[str, Tensor]
    rule: str
    floor: Floor
    align: int
    trial: Callable[[Kept], nn.Module]
    """The network of these channels, to be timed."""


def one_target(asked: Mapping[str, float | None], *, runtime: str = "onnxruntime", batch: int = 1) -> Target:
    """The only one of `asked` (keyword -> value) that is not None, or the default.

    Args:
        runtime, batch: of `target_ms`.

    Raises:
        ValueError: there are several, or one out of range; no such runtime or batch.
    """
    given = {name: value for name, value in asked.items() if value is not None}
    if len(given) > 1:
        told = " and ".join(f"{name}={value}" for name, value in given.items())
        raise ValueError(f"{told}: a cut has one target, give one of {', '.join(UNITS)}")
    for name, wanted in given.items():
        _check(name, wanted)
    if "target_ms" in given:
        _check_place(runtime, batch)
    named = [{"name": name, "wanted": float(wanted)} for name, wanted in given.items()]
    return Target(runtime=runtime, batch=batch, **(named[0] if named else {}))


def _check(name: str, wanted: float) -> None:
    if not isinstance(wanted, Real) or not math.isfinite(wanted):
        raise ValueError(f"{name}={wanted!r}: give a finite number")
    if name.endswith("_share") and not 0 < wanted <= 1:
        raise ValueError(f"{name}={wanted}: the share that may stay, above 0 and at most 1; 0.4 removes 60 %")
    if name == "target_ms" and wanted <= 0:
        raise ValueError(f"target_ms={wanted}: milliseconds of a batch, above 0")


def _check_place(runtime: str, batch: int) -> None:
    from compress.runtimes import RUNTIMES

    if runtime not in RUNTIMES:
        raise ValueError(f'runtime="{runtime}": allowed are {", ".join(RUNTIMES)}')
    if type(batch) is not int or batch < 1:
        raise ValueError(f"batch={batch}: the number of images that run at once, 1 or more")
