"""Samples of known times on a quiet machine."""

from dataclasses import replace

import numpy as np

from compress.timing.machine import Load
from compress.timing.turns import Samples

QUIET = Load(at=0.0, load1=0.1, pressure_avg10=0.0, stalled_us=0)
AFTER = replace(QUIET, at=10.0)


def samples(ms: np.ndarray) -> Samples:
    """One run a turn."""
    return Samples(ms=ms, warmup_runs=20, stable=True, before=QUIET, after=AFTER)
