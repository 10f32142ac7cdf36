"""What a scale is: how large pictures and networks are, how networks are trained, how they are measured.

A scale is a value; a variant is `changed(base, ...)`; `bench.make.scales` holds those that there are.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, get_type_hints

import msgspec

from bench.make.methods import RECIPES
from compress.files import plain
from compress.training.schedule import TrainConfig
from fermodels.training.augmentation import Augmentation
from fermodels.training.views import ViewConfig


@dataclass(frozen=True, kw_only=True)
class Geometry:
    """How large pictures and networks are."""

    stored: int
    """Side in pixels at which faces are kept; the random crop plays inside it."""
    size: int
    """Side of the face view."""
    local_size: int
    """Side of the eye and mouth views."""
    region_size: int
    """Side in pixels of paper 2's five regions."""
    pools: int
    width: float
    """Share of the full VGG-16 widths."""


@dataclass(frozen=True, kw_only=True)
class Schedules:
    """What decides how networks are trained."""

    dense: TrainConfig
    sparse: TrainConfig
    """Under the penalty on gammas, where the recipe has one."""
    tune: TrainConfig
    """Fine-tuning of what ships."""
    control: TrainConfig
    """Fine-tuning of the random control and of the slim network that it is compared with."""
    pretrain: TrainConfig
    """Contrastive pretraining (paper 2)."""
    start: TrainConfig
    """Takes the place of `dense` for paper 2's networks, pretrained or not: Adam (docs/papers.md, 2.6)."""
    start_epochs: Mapping[str, int] = field(default_factory=dict)
    """Epochs of `sparse`, `tune` and `control` for paper 2's networks, where they are others."""
    ablation: TrainConfig | None = None
    """Takes the place of `dense` in the tables that set many unpruned networks side by side (Tables 1 to 4, Fig 6);
    None: those are trained as long as the networks of Table 5, and are the same ones."""
    travel: float
    """How far the proximal step could move a gamma over the sparse stage, in units of the mean gamma at its start."""
    recipe: str = "penalty"
    """The way to a slim network, one of `bench.make.methods.RECIPES`."""
    mask_weight: float = 0.03
    """alpha of the mask loss: it starts near 10 % of the cross-entropy (docs/papers.md, 1.10)."""
    mask_target: str = "mask"
    """Which reading of eq 6. "off-mask", as written, silences the map altogether (docs/experiments.md)."""
    confidence: float = 0.5
    """Landmarks below it do not enter the mask (eq 4)."""
    distil_weight: float = 1.0
    """Weight of the distillation term in the sparse stage; the teacher is the dense network."""
    tune_distil_weight: float = 1.0
    """The same in fine-tuning; a teacher makes an epoch of a slim network about 1.4 times as long."""
    control_distil_weight: float = 1.0
    """The same in the control's fine-tuning."""
    augmentation: Augmentation | None = None
    """Stronger changes of training faces than crop and flip, in every supervised stage."""
    dropout: float = 0.1
    limit: int | None = None
    """At most so many faces of each split, evenly spaced; None: all."""
    calibration: int = 2048
    """Training faces on which batch norms are measured anew after a cut."""

    def __post_init__(self) -> None:
        if self.recipe not in RECIPES:
            raise ValueError(f'recipe="{self.recipe}": allowed are {", ".join(RECIPES)}')


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """How often and how long is measured."""

    mirrored: bool = True
    """Also score the average with the mirrored view, which doubles the time of the last look."""
    latency_runs: int = 100
    latency_seconds: float = 3.0
    latency_attempts: int = 3
    """How often a noisy measurement is made before it is kept and flagged."""
    control_ratios: tuple[float, ...] | None = None
    """Shares of channels at which Table 5 has its control of random channels; None: at all of them, as paper 2's
    networks have it."""
    compiled_ratios: tuple[float, ...] = (0.0, 0.6)
    """Shares of channels removed from the networks that the table of runtimes gives to torch.compile, which takes half
    a minute for each batch size; other runtimes take a second."""

    @property
    def enough(self) -> dict[str, Any]:
        """How long subjects take turns (`compress.timing.turns.measure_turns`)."""
        return {"min_runs": self.latency_runs, "min_seconds": self.latency_seconds}


@dataclass(frozen=True, kw_only=True)
class Scale:
    """One row of the table of scales in the README."""

    name: str
    geometry: Geometry
    schedules: Schedules
    measurement: Measurement = Measurement()
    publishable: bool = True
    """False: watermarked, and never written to reports/."""

    @property
    def preprocessing(self) -> ViewConfig:
        """How the views of every network of this scale are made."""
        sizes = self.geometry
        side = sizes.size // 2**sizes.pools
        return ViewConfig(
            size=sizes.size, local_size=sizes.local_size, map_side=side, confidence=self.schedules.confidence
        )

    def described(self) -> dict[str, Any]:
        """Every field by its name, which no two parts share, as a record keeps them."""
        parts = {name: plain(getattr(self, name)) for name in PARTS}
        own = {"name": self.name, "publishable": self.publishable}
        return own | {name: value for part in parts.values() for name, value in part.items()}


PARTS = {"geometry": Geometry, "schedules": Schedules, "measurement": Measurement}
"""Field of `Scale` -> what it is composed of."""
PART_OF = {own.name: part for part, kind in PARTS.items() for own in fields(kind)}
"""Name of a field -> the part that holds it."""
SETTABLE = {name: hint for kind in PARTS.values() for name, hint in get_type_hints(kind).items()}
"""Name of a field -> its type."""


def changed(scale: Scale, **values: Any) -> Scale:
    """`scale` with other values of fields of its own or of its parts, by their names."""
    parts: dict[str, dict[str, Any]] = {}
    own = {name: value for name, value in values.items() if name not in PART_OF}
    for name in values.keys() - own.keys():
        parts.setdefault(PART_OF[name], {})[name] = values[name]
    return replace(scale, **own, **{part: replace(getattr(scale, part), **new) for part, new in parts.items()})


def with_field(scale: Scale, text: str) -> Scale:
    """`scale` with one setting, FIELD=VALUE or FIELD.FIELD=VALUE, the value as JSON or as a bare word.

    Raises:
        ValueError: no such field, or a value that it does not take.
    """
    place, equals, written = text.partition("=")
    name, _, inner = place.partition(".")
    if not equals or name not in SETTABLE or "/" in text:
        raise ValueError(f'"{text}" sets nothing: write FIELD=VALUE, FIELD one of {", ".join(SETTABLE)}')
    held = plain(getattr(getattr(scale, PART_OF[name]), name))
    if inner and not (isinstance(held, dict) and inner in held):
        known = ", ".join(f"{name}.{one}" for one in held) if isinstance(held, dict) else f"{name} alone"
        raise ValueError(f'"{text}": {place} is no field; there is {known}')
    try:
        value = msgspec.json.decode(written)
    except msgspec.DecodeError:
        value = written
    try:
        typed = msgspec.convert(held | {inner: value} if inner else value, SETTABLE[name])
    except msgspec.ValidationError as error:
        raise ValueError(f'"{text}": {error}') from error
    return changed(scale, **{name: typed})
