"""How large an experiment is: image sizes, network width and the schedules of its trainings.

A scale is a value; a variant is `replace(base, ...)`. Sizes keep the attention map at 7 x 7.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from compress.training.schedule import TrainConfig
from fermodels.training.augmentation import Augmentation
from fermodels.training.views import ViewConfig


@dataclass(frozen=True, kw_only=True)
class Scale:
    """One row of the table of scales in the README."""

    name: str
    stored: int
    """Side in pixels at which faces are kept; the random crop plays inside it."""
    size: int
    """Side of the face view."""
    local_size: int
    """Side of the eye and mouth views."""
    pools: int
    width: float
    """Share of the full VGG-16 widths."""
    dense: TrainConfig
    sparse: TrainConfig
    tune: TrainConfig
    """Fine-tuning of what ships."""
    control: TrainConfig
    """Fine-tuning of the random control and of the slim network that it is compared with."""
    pretrain: TrainConfig
    """Contrastive pretraining (paper 2)."""
    start: TrainConfig
    """Takes the place of `dense` for paper 2's networks, pretrained or not: Adam (digest, row 6)."""
    region_size: int
    """Side in pixels of paper 2's five regions."""
    start_epochs: Mapping[str, int] = field(default_factory=dict)
    """Epochs of `sparse`, `tune` and `control` for paper 2's networks, where they are others."""
    ablation: TrainConfig | None = None
    """Takes the place of `dense` in the tables that set many unpruned networks side by side (Tables 1 to 4, Fig 6);
    None: those are trained as long as the networks of Table 5, and are the same ones."""
    travel: float
    """How far the proximal step could move a gamma over the sparse stage, in units of the mean gamma at its start."""
    mask_weight: float = 0.03
    """alpha of the mask loss: it starts near 10 % of the cross-entropy (digest, row 10)."""
    mask_target: str = "mask"
    """Which reading of eq 6. "off-mask", as written, silences the map altogether (CONTRIBUTING.md, log)."""
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
    mirrored: bool = True
    """Also score the average with the mirrored view, which doubles the time of the last look."""
    calibration: int = 2048
    """Training faces on which batch norms are measured anew after a cut."""
    latency_runs: int = 100
    latency_seconds: float = 3.0
    compiled_ratios: tuple[float, ...] = (0.0, 0.6)
    """Shares of channels removed from the networks that the table of runtimes gives to torch.compile, which takes half
    a minute for each batch size; other runtimes take a second."""
    latency_attempts: int = 3
    """How often a noisy measurement is made before it is kept and flagged."""
    publishable: bool = True
    """False: watermarked, and never written to reports/."""

    @property
    def preprocessing(self) -> ViewConfig:
        """How the views of every network of this scale are made."""
        side = self.size // 2**self.pools
        return ViewConfig(size=self.size, local_size=self.local_size, map_side=side, confidence=self.confidence)


_CPU_DENSE = TrainConfig(epochs=24, batch=64, lr=0.05, warmup_epochs=0.5, label_smoothing=0.1)
_CPU_PRETRAIN = TrainConfig(epochs=30, batch=256, optimizer="adam", lr=1e-3, weight_decay=1e-6, warmup_epochs=2)
_CPU_START = TrainConfig(
    epochs=10, batch=64, optimizer="adam", lr=1e-3, weight_decay=1e-4, warmup_epochs=0.5, label_smoothing=0.1
)
"""Cosine from the first epoch: the paper's x 0.9 every 5 epochs begins after 80, which no CPU reaches."""
CPU = Scale(
    name="cpu",
    stored=64,
    size=56,
    local_size=28,
    pools=3,
    width=0.25,
    dense=_CPU_DENSE,
    sparse=replace(_CPU_DENSE, epochs=6, lr=0.03),
    tune=replace(_CPU_DENSE, epochs=10, lr=0.03, warmup_epochs=0.1),
    control=replace(_CPU_DENSE, epochs=2, lr=0.02, warmup_epochs=0.1),
    pretrain=_CPU_PRETRAIN,
    start=_CPU_START,
    region_size=40,
    control_distil_weight=0.0,
    travel=7.0,
)

_GPU_TUNE = replace(_CPU_DENSE, epochs=8, lr=0.01, warmup_epochs=0.1)
GPU = replace(
    CPU,
    name="gpu",
    latency_seconds=1.0,
    latency_attempts=2,
    control_distil_weight=1.0,
    stored=128,
    size=112,
    local_size=56,
    pools=4,
    width=1.0,
    dense=replace(_CPU_DENSE, epochs=40),
    sparse=replace(_CPU_DENSE, epochs=12, lr=0.02),
    tune=_GPU_TUNE,
    control=_GPU_TUNE,
    pretrain=replace(_CPU_PRETRAIN, epochs=100, warmup_epochs=5),
    start=replace(_CPU_START, epochs=40, lr=5e-4),
    region_size=112,
)

_SHORT_DENSE = replace(_CPU_DENSE, epochs=20, batch=128, lr=0.07)
_SHORT_TUNE = replace(_SHORT_DENSE, epochs=5, lr=0.03, warmup_epochs=0.1)
_SHORT = replace(
    GPU,
    dense=_SHORT_DENSE,
    sparse=replace(_SHORT_DENSE, epochs=6, lr=0.04),
    tune=_SHORT_TUNE,
    control=_SHORT_TUNE,
    pretrain=replace(_CPU_PRETRAIN, epochs=100, batch=512, warmup_epochs=5),
    start=replace(_CPU_START, epochs=8, batch=128, lr=5e-4),
    start_epochs={"sparse": 3, "tune": 2, "control": 2},
    compiled_ratios=(),
    latency_attempts=1,
)
"""The full width in ten minutes of one H100 or H200: what `bench/gpu.sh` trains."""

_PAPER_DENSE = TrainConfig(epochs=60, lr=0.01, schedule="step", step_epochs=20, step_factor=0.1)
_PAPER_TUNE = replace(_PAPER_DENSE, epochs=20, lr=0.001, schedule="cosine")
PAPER = replace(
    CPU,
    name="paper",
    control_distil_weight=1.0,
    stored=256,
    size=224,
    local_size=224,
    pools=5,
    width=1.0,
    dropout=0.0,
    dense=_PAPER_DENSE,
    sparse=replace(_PAPER_DENSE, epochs=20, schedule="cosine"),
    tune=_PAPER_TUNE,
    control=_PAPER_TUNE,
    pretrain=replace(_CPU_PRETRAIN, epochs=800, warmup_epochs=10),
    start=replace(_CPU_START, epochs=120, batch=128, lr=2.5e-4, label_smoothing=0.0),
    region_size=112,
)

_QUICK_TUNE = replace(_CPU_DENSE, epochs=1, batch=32, lr=0.01)
QUICK = replace(
    CPU,
    name="quick",
    tune_distil_weight=0.0,
    width=0.125,
    limit=160,
    dense=replace(_CPU_DENSE, epochs=1, batch=32),
    sparse=replace(_CPU_DENSE, epochs=1, batch=32, lr=0.02),
    tune=_QUICK_TUNE,
    control=_QUICK_TUNE,
    pretrain=replace(_CPU_PRETRAIN, epochs=2, batch=32, warmup_epochs=0.2),
    start=replace(_CPU_START, epochs=1, batch=32),
    latency_runs=5,
    latency_seconds=0.0,
    latency_attempts=1,
    publishable=False,
)

_STRONG_DENSE = TrainConfig(epochs=36, batch=128, lr=0.1, nesterov=True, warmup_epochs=1, label_smoothing=0.1)
STRONG = replace(
    CPU,
    name="strong",
    augmentation=Augmentation(),
    dense=_STRONG_DENSE,
    sparse=replace(_STRONG_DENSE, epochs=10, lr=0.05),
    tune=replace(_STRONG_DENSE, epochs=20, lr=0.05, warmup_epochs=0.5, ema=0.995),
    control=replace(_STRONG_DENSE, epochs=4, lr=0.05, warmup_epochs=0.2),
)
"""The widths of `cpu` by the recipe of small networks that train from scratch: strong views, a large rate, longer."""
WIDE = replace(STRONG, name="wide", width=0.5, dense=replace(_STRONG_DENSE, epochs=60))
"""Half of the papers' widths."""

SCALES = {scale.name: scale for scale in (QUICK, CPU, STRONG, WIDE, GPU, PAPER)}

_SYNTHETIC_DENSE = replace(_CPU_DENSE, epochs=8, batch=32, lr=0.04)
_SYNTHETIC_TUNE = replace(_SYNTHETIC_DENSE, epochs=1, lr=0.03, warmup_epochs=0.1)
FOR_DATA = {
    # Table 4 alone has nine networks, some with three seeds: 24 epochs of each would be ten hours on two cores
    # an epoch of paper 2's network takes twice as long as one of MRF; 4 of 10 epochs are as large a share as 10 of 24
    ("cpu", "fer2013"): replace(
        CPU, ablation=replace(_CPU_DENSE, epochs=6), start_epochs={"sparse": 4, "tune": 4, "control": 1}
    ),
    ("gpu", "fer2013"): _SHORT,
    # about 3,200 photographs to train on: smaller batches for as many steps
    ("cpu", "lfw"): replace(
        CPU, dense=replace(_CPU_DENSE, batch=32), ablation=replace(_CPU_DENSE, batch=32, epochs=12)
    ),
    ("cpu", "synthetic"): replace(
        CPU,
        dense=_SYNTHETIC_DENSE,
        sparse=replace(_SYNTHETIC_DENSE, epochs=3, lr=0.02),
        tune=_SYNTHETIC_TUNE,
        tune_distil_weight=0.0,
        control=_SYNTHETIC_TUNE,
        pretrain=replace(_CPU_PRETRAIN, epochs=40, batch=128),
        start=replace(_CPU_START, epochs=16, batch=32),
        travel=6.0,
        mirrored=False,
        calibration=512,
        latency_attempts=1,
    ),
}
"""Schedules of their own for data sets of another size: 20 epochs of a small set would be a minute of training."""


def scale_for(name: str, data: str) -> Scale:
    """The scale `name` as it applies to the data set named `data`.

    Raises:
        ValueError: an unknown scale.
    """
    if name not in SCALES:
        raise ValueError(f'no scale "{name}": the scales are {", ".join(SCALES)}')
    return FOR_DATA.get((name, data), SCALES[name])
