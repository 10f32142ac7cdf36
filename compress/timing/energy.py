"""Joules per image, where the machine tells: counters of the processor packages (Linux RAPL) or of the GPU (NVML).

    energy_of(subject_of_session(session, 32), 32)

A counter is that of whole packages, or of the whole GPU: what else runs there is in it, and so is the power that the
machine takes when it is idle. No figure is corrected for that.
"""

import importlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

POWERCAP = Path("/sys/class/powercap")
"""Where Linux keeps the counters of a processor: one folder per package, and below it parts that are in it already."""
ENDLESS_UJ = 2**64
"""Span of a counter that does not start anew."""


@dataclass(frozen=True, kw_only=True)
class Energy:
    """What the runs of one subject took."""

    joules_per_image: float
    """Of the whole packages or the whole GPU, idle power included."""
    counter: str
    """ "rapl": all processor packages; "nvml": the GPU in use."""
    runs: int
    seconds: float


class NoCounter(RuntimeError):
    """No energy can be read; the sentence says why."""


@dataclass(frozen=True)
class _Counter:
    name: str
    read_uj: Callable[[], int]
    """Microjoules since some moment. Raises NoCounter."""
    span_uj: int
    """After so many it starts anew."""

    def since(self, before: int) -> int:
        return (self.read_uj() - before) % self.span_uj


def energy_of(
    subject: Callable[[], None],
    batch: int,
    seconds: float = 1.0,
    *,
    device: str = "cpu",
    root: Path = POWERCAP,
    clock: Callable[[], float] = time.perf_counter,
) -> Energy | None:
    """Runs `subject` again and again and tells the energy per image; idle power is included, never subtracted.

    None, without a single run, where no counter can be read; None too where the counter stood still.

    Args:
        subject: returns when its output is ready; it runs at least once.
        batch: images per run.
        seconds: shortest time. A package's counter moves every millisecond, a GPU's some ten times a second.
        device: where the subject computes: "cpu" reads the processor packages, "cuda" the GPU in use, never both.
        root: Linux's folder of power zones.
        clock: seconds.
    """
    try:
        counters = _counters(device, root)
        before = [one.read_uj() for one in counters]
        start, runs, spent = clock(), 0, 0.0
        while not runs or spent < seconds:
            subject()
            runs, spent = runs + 1, clock() - start
        joules = sum(one.since(first) for one, first in zip(counters, before, strict=True)) / 1e6
    except NoCounter:
        return None
    if not joules:
        return None
    return Energy(joules_per_image=joules / runs / batch, counter=counters[0].name, runs=runs, seconds=spent)


def why_no_energy(device: str = "cpu", root: Path = POWERCAP) -> str:
    """The sentence why `energy_of` tells nothing here; empty where there is a counter."""
    try:
        for one in _counters(device, root):
            one.read_uj()
    except NoCounter as reason:
        return str(reason)
    return ""


def _counters(device: str, root: Path) -> list[_Counter]:
    return [_gpu()] if device.startswith("cuda") else _packages(root)


def _packages(root: Path) -> list[_Counter]:
    """Packages only: their cores and memory are zones of their own, and so may be the whole board."""
    zones = [zone for zone in sorted(root.glob("intel-rapl:*")) if _text(zone / "name").startswith("package")]
    if not zones:
        raise NoCounter(f"no energy of the processor: {root} has no package (virtual machines rarely show one)")
    ranges = {zone: _number(zone / "max_energy_range_uj") for zone in zones}
    return [_Counter("rapl", partial(_number, zone / "energy_uj"), span) for zone, span in ranges.items()]


def _number(path: Path) -> int:
    try:
        return int(_text(path))
    except ValueError as error:
        raise NoCounter(f"no energy of the processor: {path} holds no number") from error


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except PermissionError as error:
        raise NoCounter(f"no energy of the processor: only root may read it (sudo chmod a+r {path})") from error
    except OSError as error:
        raise NoCounter(f"no energy of the processor: {path} cannot be read ({error.strerror})") from error


def _gpu() -> _Counter:
    if not torch.cuda.is_initialized():
        raise NoCounter("no energy of the GPU: none is in use")
    try:
        nvml: Any = importlib.import_module("pynvml")
    except ImportError as error:
        raise NoCounter(f"no energy of the GPU: pip install nvidia-ml-py ({error})") from error
    uuid = torch.cuda.get_device_properties(torch.cuda.current_device()).uuid

    def told(ask: Callable[..., Any], *given: Any) -> Any:
        try:
            return ask(*given)
        except nvml.NVMLError as error:
            raise NoCounter(f"no energy of the GPU: NVML does not tell it ({error})") from error

    told(nvml.nvmlInit)
    handle = told(nvml.nvmlDeviceGetHandleByUUID, f"GPU-{uuid}")
    read_mj = partial(told, nvml.nvmlDeviceGetTotalEnergyConsumption, handle)
    read_mj()
    return _Counter("nvml", lambda: 1000 * read_mj(), ENDLESS_UJ)
