"""The folder of one training in the cache: what lies in it, read, and who makes it.

What cannot be read is a ValueError that says what to delete: everything here can be made again.
"""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, NotRequired, TypedDict

from msgspec import Meta
from torch import nn

from bench.schema import Predictions, Trained
from compress.locks import locked
from compress.slimming.plan import Plan
from compress.training import processes
from compress.typed_json import read_json
from fermodels import checkpoint

OUTCOME = "outcome.json"
"""Written last: a stage with it is done."""
STATE = "state.pt"
"""There while it trains."""
PLAN, CUT = "plan.json", "cut.json"
"""Beside a cut network: what all cuts so far removed; validation predictions right after the last one."""


Some = Annotated[dict[str, Any], Meta(min_length=1)]


class Outcome(TypedDict):
    """What `outcome.json` holds."""

    described: Some
    """Everything that decides the outcome; `stage` is the name."""
    history: Some
    """As in `compress.training.state.History`, and what trained it."""
    predictions: NotRequired[dict[str, Predictions]]
    """By measure; of a pretraining, none."""
    parents: NotRequired[dict[str, Trained]]


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A finished training."""

    folder: Path
    key: str

    @cached_property
    def outcome(self) -> Outcome:
        """How the training went, and its predictions."""
        return read_json(self.folder / OUTCOME, Outcome, what="outcome of a training", mend=self._again)

    @property
    def plan(self) -> Plan:
        """How the network was cut."""
        try:
            return Plan.load(self.folder / PLAN)
        except ValueError as error:
            raise ValueError(f"{error}. {self._again}") from error

    @property
    def after_cut(self) -> dict[str, Predictions]:
        """Predictions on validation after each step of the cut."""
        mend = f"Delete {self.folder / PLAN}: the next run makes both again"
        return read_json(self.folder / CUT, dict[str, Predictions], what="account of a cut", mend=mend)

    @property
    def _again(self) -> str:
        return f"Delete the folder {self.folder}: the next run makes it again"

    @property
    def done(self) -> bool:
        return (self.folder / OUTCOME).exists()

    def once(self, make: Callable[[], None], file: str = OUTCOME, *, together: bool = False) -> "Stage":
        """This stage with `file` in its folder: `make` writes it, unless it is there or another run is at it.

        Args:
            together: every process of torchrun calls `make`; else the first one does.
        """
        path, lock = self.folder / file, self.folder / "lock"
        if processes.from_first(lambda: lock.exists() or not path.exists()):  # a killed run has left its lock
            with locked(lock, self.folder.name) if processes.rank() == 0 else nullcontext():
                if not processes.from_first(path.exists):
                    make() if together else processes.from_first(make)
                if processes.rank() == 0 and self.done:
                    (self.folder / STATE).unlink(missing_ok=True)
        return self

    @property
    def lineage(self) -> dict[str, Trained]:
        """Every training that led here by the name of its stage, the parents first, this one last."""
        trained_on = self.outcome["history"].get("trained_on", {})
        own: Trained = {"key": self.key, "commit": trained_on.get("commit", "unknown")}
        return self.outcome.get("parents", {}) | {self.outcome["described"]["stage"]: own}

    def net(self) -> nn.Module:
        """The chosen network."""
        try:
            return checkpoint.load(self.folder / "chosen")[0]
        except (OSError, ValueError) as error:
            raise ValueError(f"{error}. {self._again}") from error


def stage_by_key(runs: Path, model: str, name: str, key: str) -> Stage:
    """Where the stage lies that a record names by `config["key"]`, finished or not."""
    return Stage(folder=runs / f"{model}-{name}-{key[:16]}", key=key)
