"""The record of one cut: what was asked, what was done, which channels stay. JSON in and out.

A plan is enough to repeat the cut on the same network: `compress.apply(Plan.load(path), net)`.
"""

import json
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from compress.files import write_atomic
from compress.slimming.select import Floor

SCHEMA = 1
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
    """Multiply-accumulates of one image of the network's own size."""
    macs_after: int
    target: str = "channels"
    """"channels": share of the removable channels that goes. "macs", "params": share that may stay. "ms": milliseconds
    of a batch on the runtime in `timing`."""
    timing: dict[str, Any] | None = None
    """Of a target in milliseconds: where it was measured, and `ms` and `ms_before` of a batch."""
    schema: int = field(default=SCHEMA)

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
        """The whole plan as JSON, equal plans as equal text."""
        return json.dumps(asdict(self), sort_keys=True) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "Plan":
        """The plan that `to_json` wrote.

        Raises:
            ValueError: not JSON, or not a plan of this schema.
        """
        try:
            content = json.loads(text)
            content["floor"] = Floor(**content["floor"])
            content["kept"] = {name: tuple(map(int, channels)) for name, channels in content["kept"].items()}
            plan = cls(**content)
        except (json.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
            names = [entry.name for entry in fields(cls)]
            raise ValueError(f"this is no slimming plan ({error}); its keys are {names}") from error
        if plan.schema != SCHEMA:
            raise ValueError(f"this plan has schema {plan.schema}, this version reads {SCHEMA}; slim the network again")
        if set(plan.kept) != set(plan.widths_before):
            raise ValueError("this plan keeps channels of other layers than it counts; slim the network again")
        return plan

    def save(self, path: Path | str) -> None:
        """Writes the plan to `path`, all at once."""
        write_atomic(Path(path), self.to_json())

    @classmethod
    def load(cls, path: Path | str) -> "Plan":
        """Reads a plan; a bad file raises ValueError with its name."""
        try:
            return cls.from_json(Path(path).read_text())
        except (UnicodeDecodeError, ValueError) as error:
            raise ValueError(f"{path}: {error}") from error
