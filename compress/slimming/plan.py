"""The record of one cut: what was asked, what was done, which channels stay. JSON in and out.

A plan is enough to repeat the cut on the same network: `compress.apply(Plan.load(path), net, example)`. It is checked
whenever one is made, and its file carries a digest: an edited plan is refused, not obeyed.
"""

import json
import math
from dataclasses import asdict, dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import msgspec

from compress.files import digest, write_atomic
from compress.slimming.select import Floor

SCHEMA, OLD_SCHEMA = 2, 1
"""Plans of the old schema have no digest; they are read, and written as new ones."""
Unit = Literal["channels", "macs", "params", "ms"]
"""What a target counts."""
COLLAPSED_SHARE = 0.1
"""A layer that keeps less than this share of its channels is reported."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """One cut of one network."""

    requested: float
    """What was asked, in the unit of `target`."""
    rule: str
    criterion: str
    align: int
    floor: Floor
    seed: int
    absorb: bool
    kept: dict[str, tuple[int, ...]]
    """Group name -> indices of the channels that stay, ascending."""
    widths_before: dict[str, int]
    """Group name -> channels before the cut."""
    params_before: int
    params_after: int
    macs_before: int
    """Multiply-accumulates of one image of the network's own size, in its convolution and linear layers."""
    macs_after: int
    target: Unit = "channels"
    """"channels": share of the removable channels that goes. "macs", "params": share that may stay. "ms": milliseconds
    of a batch on the runtime in `timing`."""
    timing: dict[str, Any] | None = None
    """Of a target in milliseconds: where it was measured, and `ms` and `ms_before` of a batch."""
    whole: dict[str, str] = field(default_factory=dict)
    """Convolution that can't be cut -> the reason."""
    schema: int = field(default=SCHEMA)

    def __post_init__(self) -> None:
        self.check()

    def check(self) -> None:
        """Raises ValueError when the plan contradicts itself; `kept` can be changed after it was made."""
        counts = (self.params_before, self.params_after, self.macs_before, self.macs_after)
        if not math.isfinite(self.requested) or min(counts) < 1 or not self.kept:
            raise ValueError(f"requested={self.requested}, counts {counts}: a plan holds finite numbers, and layers")
        if (self.target == "ms") != isinstance((self.timing or {}).get("ms"), float):
            raise ValueError(f'target="{self.target}", timing={self.timing}: only milliseconds are measured')
        if odd := self.kept.keys() ^ self.widths_before.keys():
            raise ValueError(f"the plan keeps channels of other layers than it counts ({', '.join(sorted(odd))})")
        for name, channels in self.kept.items():
            _check_channels(name, channels, self.widths_before[name])

    @property
    def widths_after(self) -> dict[str, int]:
        """Group name -> channels that stay."""
        return {name: len(channels) for name, channels in self.kept.items()}

    @property
    def achieved(self) -> float:
        """What was reached of `requested`, in the same unit."""
        if self.target == "ms":
            assert self.timing is not None, "a target in milliseconds was measured"
            return self.timing["ms"]
        if self.target == "macs":
            return self.macs_after / self.macs_before
        return self.params_after / self.params_before if self.target == "params" else self.removed

    @property
    def removed(self) -> float:
        """Share of the removable channels that went, 0 to 1."""
        return 1 - sum(self.widths_after.values()) / sum(self.widths_before.values())

    @property
    def collapsed(self) -> tuple[str, ...]:
        """Groups that keep less than `COLLAPSED_SHARE`: look here first when accuracy does not come back."""
        after = self.widths_after
        return tuple(name for name, size in self.widths_before.items() if after[name] < COLLAPSED_SHARE * size)

    def after(self, first: "Plan") -> "Plan":
        """Both cuts as one plan of the network before the first: `self` was made in what `first` left.

        Raises:
            ValueError: it was made in another network.
        """
        if self.widths_before != first.widths_after:
            raise ValueError("this plan was not made in what the first one left: other widths; slim that network again")
        kept = {name: tuple(first.kept[name][i] for i in channels) for name, channels in self.kept.items()}
        before = {name: getattr(first, name) for name in ("widths_before", "params_before", "macs_before", "whole")}
        both = replace(self, kept=kept, target="channels", timing=None, requested=0.0, **before)
        return replace(both, requested=both.removed)

    def summary(self) -> dict[str, Any]:
        """The plan as it stands in a record: counts and widths, without the indices."""
        return {
            "rule": self.rule,
            "criterion": self.criterion,
            "align": self.align,
            "floor": asdict(self.floor),
            "absorb": self.absorb,
            "target": self.target,
            "timing": self.timing,
            "requested": self.requested,
            "achieved": self.achieved,
            "removed": self.removed,
            "channels_before": sum(self.widths_before.values()),
            "channels_after": sum(self.widths_after.values()),
            "widths_before": dict(self.widths_before),
            "widths_after": self.widths_after,
            "params_before": self.params_before,
            "params_after": self.params_after,
            "macs_before": self.macs_before,
            "macs_after": self.macs_after,
            "collapsed": list(self.collapsed),
        }

    def to_json(self) -> str:
        """The whole plan as JSON with its digest, equal plans as equal text."""
        content = asdict(self)
        return json.dumps(content | {"digest": digest(content)}, sort_keys=True) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "Plan":
        """The plan that `to_json` wrote.

        Raises:
            ValueError: not JSON, not a plan of this schema, or not as it was written.
        """
        try:
            content = msgspec.json.decode(text, type=dict[str, Any])
            said = content.pop("digest", None)
            plan = msgspec.convert(content, cls)
        except (msgspec.DecodeError, RecursionError, ValueError) as error:
            raise ValueError(f"this is no slimming plan ({error}); slim the network again") from error
        if plan.schema not in (OLD_SCHEMA, SCHEMA):
            raise ValueError(f"this plan has schema {plan.schema}, this version reads {SCHEMA}; slim the network again")
        if plan.schema == SCHEMA and said != digest(content):
            raise ValueError("this plan was edited or damaged: its digest is another; slim the network again")
        return replace(plan, schema=SCHEMA)

    def save(self, path: Path | str) -> None:
        """Writes the plan to `path`, all at once."""
        write_atomic(Path(path), self.to_json())

    @classmethod
    def load(cls, path: Path | str) -> "Plan":
        """Reads a plan; a bad file raises ValueError with its name."""
        try:
            return cls.from_json(Path(path).read_text())
        except (OSError, UnicodeDecodeError, ValueError) as error:
            raise ValueError(f"{path}: {error}") from error


def _check_channels(name: str, channels: tuple[int, ...], width: int) -> None:
    """Raises ValueError unless `channels` are different ones of 0 .. `width` - 1, ascending, at least one."""
    whole = all(type(channel) is int for channel in channels)
    if not (channels and whole and all(a < b for a, b in pairwise((-1, *channels, width)))):
        raise ValueError(f"{name} keeps {list(channels)[:9]} of {width} channels: ascending whole numbers below it")
