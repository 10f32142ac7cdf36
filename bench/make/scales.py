"""The scales there are, and what is set otherwise on the command line.

Sizes keep the attention map at 7 x 7. A setting stands in the name of its scale, "cpu+dense.epochs=12", and so in the
path and the cell of every record made with it.
"""

from collections.abc import Sequence
from dataclasses import replace

from bench.make.scale import Geometry, Scale, Schedules, changed, with_field
from compress.training.schedule import TrainConfig
from fermodels.training.augmentation import Augmentation

_CPU_DENSE = TrainConfig(epochs=24, batch=64, lr=0.05, warmup_epochs=0.5, label_smoothing=0.1)
_CPU_PRETRAIN = TrainConfig(epochs=30, batch=256, optimizer="adam", lr=1e-3, weight_decay=1e-6, warmup_epochs=2)
_CPU_START = TrainConfig(
    epochs=10, batch=64, optimizer="adam", lr=1e-3, weight_decay=1e-4, warmup_epochs=0.5, label_smoothing=0.1
)
"""Cosine from the first epoch: the paper's x 0.9 every 5 epochs begins after 80, which no CPU reaches."""
CPU = Scale(
    name="cpu",
    geometry=Geometry(stored=64, size=56, local_size=28, region_size=40, pools=3, width=0.25),
    schedules=Schedules(
        dense=_CPU_DENSE,
        sparse=replace(_CPU_DENSE, epochs=6, lr=0.03),
        tune=replace(_CPU_DENSE, epochs=10, lr=0.03, warmup_epochs=0.1),
        control=replace(_CPU_DENSE, epochs=2, lr=0.02, warmup_epochs=0.1),
        pretrain=_CPU_PRETRAIN,
        start=_CPU_START,
        control_distil_weight=0.0,
        travel=7.0,
    ),
)

_GPU_TUNE = replace(_CPU_DENSE, epochs=8, lr=0.01, warmup_epochs=0.1)
GPU = changed(
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
_SHORT = changed(
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
PAPER = changed(
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
QUICK = changed(
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
STRONG = changed(
    CPU,
    name="strong",
    augmentation=Augmentation(),
    dense=_STRONG_DENSE,
    sparse=replace(_STRONG_DENSE, epochs=8, lr=0.06, warmup_epochs=0.5),
    recipe="taylor",
    tune=replace(_STRONG_DENSE, epochs=24, lr=0.05, warmup_epochs=0.5, label_smoothing=0.0, ema=0.998),
    control=replace(_STRONG_DENSE, epochs=4, lr=0.05, warmup_epochs=0.2),
)
"""The widths of `cpu` by the recipe of small networks that train from scratch: strong views, a large rate, longer; cut
without a sparse stage, by Taylor scores, and recovered for long."""
WIDE = changed(STRONG, name="wide", width=0.5, dense=replace(_STRONG_DENSE, epochs=60), control_ratios=(0.6,))
"""Half of the papers' widths."""

SCALES = {scale.name: scale for scale in (QUICK, CPU, STRONG, WIDE, GPU, PAPER)}

_SYNTHETIC_DENSE = replace(_CPU_DENSE, epochs=8, batch=32, lr=0.04)
_SYNTHETIC_TUNE = replace(_SYNTHETIC_DENSE, epochs=1, lr=0.03, warmup_epochs=0.1)
FOR_DATA = {
    # Table 4 alone has nine networks, some with three seeds: 24 epochs of each would be ten hours on two cores
    # an epoch of paper 2's network takes twice as long as one of MRF; 4 of 10 epochs are as large a share as 10 of 24
    ("cpu", "fer2013"): changed(
        CPU, ablation=replace(_CPU_DENSE, epochs=6), start_epochs={"sparse": 4, "tune": 4, "control": 1}
    ),
    ("gpu", "fer2013"): _SHORT,
    # about 3,200 photographs to train on: smaller batches for as many steps
    ("cpu", "lfw"): changed(
        CPU, dense=replace(_CPU_DENSE, batch=32), ablation=replace(_CPU_DENSE, batch=32, epochs=12)
    ),
    ("cpu", "synthetic"): changed(
        CPU,
        dense=_SYNTHETIC_DENSE,
        recipe="taylor",
        sparse=replace(_SYNTHETIC_DENSE, epochs=3, lr=0.02),
        # the time of two epochs more comes from the controls, of which one ratio is enough for a demonstration
        tune=replace(_SYNTHETIC_TUNE, epochs=5),
        control=_SYNTHETIC_TUNE,
        control_ratios=(0.6,),
        start_epochs={"tune": 3},
        pretrain=replace(_CPU_PRETRAIN, epochs=40, batch=128),
        start=replace(_CPU_START, epochs=16, batch=32),
        travel=6.0,
        mirrored=False,
        calibration=512,
        latency_attempts=1,
    ),
}
"""Schedules of their own for data sets of another size: 20 epochs of a small set would be a minute of training."""


SET = "+"
"""Between the name of a scale and each of its settings."""


def with_settings(name: str, settings: Sequence[str]) -> str:
    """Name of the scale `name` with `settings` like "dense.epochs=12", in the order of the alphabet."""
    return SET.join([name, *sorted(text.replace(" ", "") for text in settings)])


def titled(name: str) -> str:
    """The scale in few words: settings that `with_settings` wrote into its name are counted."""
    base, *settings = name.split(SET)
    return f"{base} + {len(settings)} setting{'s' if len(settings) > 1 else ''}" if settings else base


def scale_for(name: str, data: str) -> Scale:
    """The scale `name`, as `with_settings` writes it, as it applies to the data set named `data`.

    Raises:
        ValueError: an unknown scale or field, or a value that the field does not take.
    """
    base, *settings = name.split(SET)
    if base not in SCALES:
        raise ValueError(f'no scale "{base}": the scales are {", ".join(SCALES)}')
    scale = FOR_DATA.get((base, data), SCALES[base])
    for text in settings:
        scale = with_field(scale, text)
    return replace(scale, name=name)
