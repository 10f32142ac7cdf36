"""On what a figure was measured: machine, versions, commit, and how busy the machine was.

Records are public: nothing here names a host, a user or a folder.
"""

import os
import platform
import subprocess
import time
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil
import torch

from compress.timing.origin import Origin
from compress.timing.processor import cpu_model

PACKAGES = ("numpy", "torch-pruning", "fvcore", "pillow", "safetensors", "onnx", "onnxruntime", "openvino", "tensorrt")
"""Besides torch, the packages that can move a figure; those not installed are left out."""
SOURCES = ("fermodels", "compress", "bench")
"""What makes a tree dirty: the code that measures. Reports are written while measuring, and prose moves no figure."""
PRESSURE = Path("/proc/pressure/cpu")
GOVERNOR = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
DRIVER_FIELDS = ("driver_version", "power.limit", "clocks.max.sm", "persistence_mode")


@dataclass(frozen=True, kw_only=True)
class Load:
    """How busy the machine is. A figure the system does not give is None."""

    at: float
    """Seconds on the monotonic clock: only differences mean something."""
    load1: float | None
    """Runnable tasks, averaged over one minute."""
    pressure_avg10: float | None
    """Percent of the last 10 s in which some task waited for a processor (Linux pressure stall information)."""
    stalled_us: int | None
    """Microseconds since boot in which some task waited for a processor."""


def environment() -> dict[str, Any]:
    """CPU, GPU, memory, system and versions, as JSON's own types; a figure the system does not give is None."""
    return {
        "cpu": {
            "model": cpu_model(),
            "cores": psutil.cpu_count(logical=False),
            "logical_cores": psutil.cpu_count(),
            "usable_cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None,
            "capability": torch.backends.cpu.get_cpu_capability(),
            "governor": _line(GOVERNOR),
        },
        "ram_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "os": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
        "threads": torch.get_num_threads(),
        "versions": {"torch": str(torch.__version__)} | _versions(),
        "gpu": _gpu(),
    }


def commit(folder: Path = Path(__file__).parent) -> tuple[str, bool]:
    """(sha of HEAD, whether the measuring code differs from it); ("unknown", True) outside a checkout.

    A package installed into some other project's repository is not part of it: only a tracked file counts.

    Args:
        folder: a package folder of the repository asked about.
    """
    try:
        _git(folder, "ls-files", "--error-unmatch", "--", "__init__.py")
        sha = _git(folder, "rev-parse", "HEAD")
        changes = _git(folder, "status", "--porcelain", "--", *(f":(top){name}" for name in SOURCES))
    except (OSError, subprocess.SubprocessError):
        return "unknown", True
    return sha, bool(changes)


def origin() -> Origin:
    """This code, this machine, now."""
    sha, dirty = commit()
    created = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    return Origin(commit=sha, dirty=dirty, created=created, environment=environment())


def machine_load(pressure: Path = PRESSURE) -> Load:
    """The load now; `pressure` is Linux's file, absent elsewhere."""
    stall = _stall(pressure)
    return Load(
        at=time.monotonic(),
        load1=round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        pressure_avg10=float(stall["avg10"]) if stall else None,
        stalled_us=int(stall["total"]) if stall else None,
    )


def stalled_percent(before: Load, after: Load) -> float | None:
    """Percent of the time from `before` to `after` in which some task waited for a processor."""
    if before.stalled_us is None or after.stalled_us is None or after.at <= before.at:
        return None
    return round((after.stalled_us - before.stalled_us) / (after.at - before.at) / 1e4, 2)


def load_between(before: Load, after: Load) -> dict[str, Any]:
    """Both loads and the share of waiting, as a record keeps them."""
    told = [{"load1": load.load1, "pressure_avg10": load.pressure_avg10} for load in (before, after)]
    return {"before": told[0], "after": told[1], "stalled_percent": stalled_percent(before, after)}


def _versions() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _gpu() -> dict[str, Any] | None:
    if not torch.cuda.is_available():
        return None
    properties = torch.cuda.get_device_properties(torch.cuda.current_device())
    return {
        "model": properties.name,
        "capability": f"{properties.major}.{properties.minor}",
        "memory_gib": round(properties.total_memory / 2**30, 1),
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),
        "float32_convolutions": "TF32" if torch.backends.cudnn.allow_tf32 else "IEEE float32",
    } | _driver(str(getattr(properties, "uuid", "")))


def _driver(uuid: str) -> dict[str, str | None]:
    """What the driver's own tool says of the card in use; without it every answer is None."""
    which = [f"--id=GPU-{uuid}"] if uuid else []
    command = ["nvidia-smi", *which, f"--query-gpu={','.join(DRIVER_FIELDS)}", "--format=csv,noheader"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return dict.fromkeys(DRIVER_FIELDS)
    values = (value.strip() for value in answer.partition("\n")[0].split(","))
    return dict(zip(DRIVER_FIELDS, values, strict=False))


def _git(folder: Path, *arguments: str) -> str:
    # a hook's GIT_DIR would answer for the repository being committed to, not for the one that holds this code
    clean = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    command = ["git", "--no-optional-locks", "-C", str(folder), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=20, check=True, env=clean).stdout.strip()


def _stall(pressure: Path) -> dict[str, str] | None:
    """The "some" line of a pressure file: {"avg10": "0.56", ..., "total": "2403618"}."""
    text = _line(pressure)
    if text is None or not text.startswith("some "):
        return None
    return dict(item.split("=", 1) for item in text.split()[1:])


def _line(path: Path) -> str | None:
    try:
        return path.read_text().split("\n", 1)[0].strip() or None
    except OSError:
        return None
