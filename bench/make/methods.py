"""Ways to a slim network as data: lists of steps, and the controls that could refute them.

`bench.make.recipes` makes the stages; here stands in which order, and with what. The schedule of each kind of step is
the scale's (`bench.make.scale.Schedules`), whose field `recipe` names the way that Table 5 goes.
"""

from dataclasses import dataclass, replace
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class Train:
    """The unpruned network from fresh weights, by `Schedules.dense`."""


@dataclass(frozen=True, kw_only=True)
class Penalise:
    """Training under an L1 penalty on gammas, by `Schedules.sparse`."""

    weights: Literal["width", "macs"] = "width"
    """Which layers feel it most: the widest, or those whose channels cost most MACs."""


@dataclass(frozen=True, kw_only=True)
class Cut:
    """Channels go, batch norms are measured anew."""

    criterion: str
    """One of `compress.CRITERIA`, or of `bench.make.references.REFERENCES`."""
    part: float = 1.0
    """Of the ratio asked for: below 1 in the first of several passes."""
    same_macs: bool = False
    """Instead of the share of channels, the MACs of the scale's own recipe at that share are met."""


@dataclass(frozen=True, kw_only=True)
class Recover:
    """Fine-tuning after a cut, by `Schedules.tune`, with the unpruned network as teacher."""

    length: float = 1.0
    """By that of the schedule."""


@dataclass(frozen=True, kw_only=True)
class Fresh:
    """A network of the widths that another method found, with fresh weights, trained by `Schedules.dense`."""

    of: str
    """Name of that method."""
    length: Literal["dense", "epochs", "compute"]
    """As many epochs as the unpruned network had; as it and the recovery had together; or as many as cost the MACs of
    both and of the teacher."""


Step = Train | Penalise | Cut | Recover | Fresh


@dataclass(frozen=True, kw_only=True)
class Method:
    """One row of the table of methods."""

    title: str
    steps: tuple[Step, ...]

    @property
    def penalised(self) -> bool:
        return any(isinstance(step, Penalise) for step in self.steps)


RECIPES = {
    "taylor": Method(title="Taylor scores, one cut", steps=(Train(), Cut(criterion="taylor"), Recover())),
    "passes": Method(
        title="Taylor scores, two passes",
        steps=(
            Train(),
            Cut(criterion="taylor", part=2 / 3),
            Recover(length=1 / 4),
            Cut(criterion="taylor"),
            Recover(),
        ),
    ),
    "penalty": Method(
        title="L1 penalty by width, smallest gammas", steps=(Train(), Penalise(), Cut(criterion="gamma"), Recover())
    ),
    "penalty-macs": Method(
        title="L1 penalty by MACs, smallest gammas",
        steps=(Train(), Penalise(weights="macs"), Cut(criterion="gamma"), Recover()),
    ),
}
"""Name -> what a scale can name as its recipe."""

RANDOM = "random-channels"
"""The method that is a control of every criterion."""
LONGER = 6
"""By how much the recovery is longer in the rows that ask whether it was long enough."""
_LONGER = f", recovered {LONGER} times as long"
TORCH_PRUNING = {"tp-bnscale": "BNScale", "tp-magnitude": "Magnitude", "tp-groupnorm": "GroupNorm"}
"""Method -> the importance of Torch-Pruning that it cuts by."""


def methods(own: str) -> dict[str, Method]:
    """Every row of the table of methods: the recipes, and what the recipe `own` has to beat."""
    group_norm = _with_cut(own, criterion="group_norm", same_macs=True)
    return RECIPES | {
        RANDOM: Method(title="Control: random channels", steps=_with_cut(own, criterion="random")),
        "uniform": Method(
            title="Control: every layer cut alike, the same MACs",
            steps=_with_cut(own, criterion="uniform", same_macs=True),
        ),
        **{
            name: Method(title=f"Torch-Pruning {kind}", steps=_with_cut(own, criterion=f"torch-pruning {kind}"))
            for name, kind in TORCH_PRUNING.items()
        },
        "scratch": Method(
            title="Control: the same widths from scratch, the same compute", steps=(Fresh(of=own, length="compute"),)
        ),
        "scratch-epochs": Method(
            title="Control: the same widths from scratch, as many epochs", steps=(Fresh(of=own, length="epochs"),)
        ),
        "narrow": Method(
            title="Control: a narrower unpruned network, the same MACs", steps=(Fresh(of="uniform", length="dense"),)
        ),
        "group-norm-macs": Method(title="Group norm, the same MACs", steps=group_norm),
        "long": Method(title=f"{RECIPES[own].title}{_LONGER}", steps=_recovered_longer(RECIPES[own].steps)),
        "group-norm-macs-long": Method(
            title=f"Group norm, the same MACs{_LONGER}", steps=_recovered_longer(group_norm)
        ),
    }


def _with_cut(own: str, **changes: object) -> tuple[Step, ...]:
    """The steps of the recipe `own` with other cuts."""
    return tuple(replace(step, **changes) if isinstance(step, Cut) else step for step in RECIPES[own].steps)


def _recovered_longer(steps: tuple[Step, ...]) -> tuple[Step, ...]:
    return tuple(replace(step, length=LONGER * step.length) if isinstance(step, Recover) else step for step in steps)
