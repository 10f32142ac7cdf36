"""How long a layer or a whole network takes on a runtime of this machine, in milliseconds.

A time here is the low decile of many runs: neighbours on a machine add time and never take any away, and on a quiet one
it is close to the median. Networks are compared in turns, because a machine's own speed drifts.
`compress.timing.latency` is for figures that are told; this is for choosing widths.
"""

import platform
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import nn

from compress.runtimes import RUNTIMES, Session, Unavailable
from compress.slimming.layers import Geometry

TIMED = {"onnxruntime": ("onnxruntime", "onnx"), "openvino": ("openvino", "openvino")}
"""Runtimes that open a layer's ONNX file as it is -> the package whose version decides their times, and its extra."""
CPUINFO = Path("/proc/cpuinfo")
PROBE_SECONDS, PROBE_RUNS = 0.015, 7
NETWORK_SECONDS, NETWORK_RUNS = 1.0, 50
DECILE = 10
TURNS, TURN_SECONDS, TURN_RUNS = 41, 0.02, 3


class Stopwatch(Protocol):
    """What a latency table is measured with."""

    @property
    def provenance(self) -> dict[str, Any]:
        """All that decides a time besides the network, as JSON's own types."""
        ...

    def probe_ms(self, geometry: Geometry, fan_in: int, fan_out: int | None) -> float:
        """Time of the file of `compress.slimming.layer_onnx` for one batch; None: without the layer."""
        ...

    def network_ms(self, net: nn.Module) -> float:
        """Time of the network as it is deployed, for one batch."""
        ...

    def network_ratio(self, net: nn.Module, other: nn.Module) -> float:
        """How many times as long as `other` it takes, both as deployed and in turns."""
        ...


@dataclass(frozen=True, kw_only=True)
class RuntimeStopwatch:
    """Times in float32 on a runtime, with as many threads as PyTorch has."""

    runtime: str
    batch: int

    def __post_init__(self) -> None:
        if self.runtime not in TIMED:
            raise ValueError(f'runtime="{self.runtime}": layers are timed on {", ".join(TIMED)}; take one of them')
        if self.batch < 1:
            raise ValueError(f"batch={self.batch}: the number of images that run at once, 1 or more")

    @property
    def provenance(self) -> dict[str, Any]:
        """As the protocol says.

        Raises:
            Unavailable: a package is missing; the sentence names its extra.
        """
        versions = {package: _version(package, extra) for package, extra in (("onnx", "onnx"), TIMED[self.runtime])}
        return {
            "cpu": cpu_model(),
            "system": f"{platform.system()} {platform.machine()}",
            "threads": torch.get_num_threads(),
            "runtime": self.runtime,
            "versions": versions,
            "precision": "fp32",
            "batch": self.batch,
        }

    def probe_ms(self, geometry: Geometry, fan_in: int, fan_out: int | None) -> float:
        from compress.slimming.layer_onnx import onnx_from_layer

        with tempfile.TemporaryDirectory() as folder:
            path = onnx_from_layer(geometry, fan_in, fan_out, Path(folder) / "layer.onnx")
            run = self._run(path, images=geometry.images)
            return low_decile_ms(run, seconds=PROBE_SECONDS, runs=PROBE_RUNS)

    def network_ms(self, net: nn.Module) -> float:
        with self._network(net) as run:
            return low_decile_ms(run, seconds=NETWORK_SECONDS, runs=NETWORK_RUNS)

    def network_ratio(self, net: nn.Module, other: nn.Module) -> float:
        with self._network(net) as run, self._network(other) as beside:
            return ratio_in_turns(run, beside)

    @contextmanager
    def _network(self, net: nn.Module) -> Iterator[Callable[[], object]]:
        """One run of the network as it is deployed, as long as its file lives."""
        from compress.exporting.onnx_file import onnx_from_net

        with tempfile.TemporaryDirectory() as folder:
            yield self._run(onnx_from_net(_deployed(net), Path(folder) / "net.onnx", {}))

    def _run(self, path: Path, *, images: int = 1) -> Callable[[], object]:
        runtime = RUNTIMES[self.runtime]
        session = runtime.open(runtime.build(path, precision="fp32"), precision="fp32")
        return partial(session.run, _feed(session, self.batch * images))


def low_decile_ms(
    run: Callable[[], object], *, seconds: float, runs: int, clock: Callable[[], int] = time.perf_counter_ns
) -> float:
    """The 10th percentile of the times of `run`, after three runs that do not count.

    Args:
        seconds, runs: it is run until both are reached.
        clock: nanoseconds.
    """
    for _ in range(3):
        run()
    times: list[int] = []
    while len(times) < runs or sum(times) < seconds * 1e9:
        start = clock()
        run()
        times.append(clock() - start)
    return float(np.percentile(times, DECILE)) / 1e6


def ratio_in_turns(
    run: Callable[[], object], other: Callable[[], object], *, clock: Callable[[], int] = time.perf_counter_ns
) -> float:
    """Time of `run` over that of `other`: the median over `TURNS` pairs of turns that lie next to each other.

    A shared machine's speed drifts by tens of percent within seconds, which moves both turns of a pair alike.
    """
    pairs = [[_turn_ms(one, clock) for one in (run, other)] for _ in range(TURNS)]
    return float(np.median([own / beside for own, beside in pairs]))


def _turn_ms(run: Callable[[], object], clock: Callable[[], int]) -> float:
    """Median of the runs of one turn; its first, which wakes threads and caches, does not count."""
    run()
    times: list[int] = []
    while len(times) < TURN_RUNS or sum(times) < TURN_SECONDS * 1e9:
        start = clock()
        run()
        times.append(clock() - start)
    return float(np.median(times)) / 1e6


def cpu_model() -> str:
    """The processor's name, as far as the system tells it."""
    try:
        lines = CPUINFO.read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if line.lower().startswith("model name"))
    return next(names, platform.processor() or platform.machine())


def _version(package: str, extra: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError as error:
        raise Unavailable(f"{package} is not installed: pip install 'fermodels[{extra}]'") from error


def _feed(session: Session, batch: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    shapes = {spec.name: [batch, *(side or 1 for side in spec.shape[1:])] for spec in session.io.inputs}
    return {name: torch.rand(shape, generator=generator) for name, shape in shapes.items()}


def _deployed(net: Any) -> Any:
    """The graph whose time counts: preprocessing inside, faces aligned at the network's own size."""
    from fermodels.predict.deployed import Deployed
    from fermodels.training.views import ViewConfig

    size = net.config.size
    config = ViewConfig(size=size, local_size=getattr(net.config, "local_size", size))
    return Deployed(deepcopy(net).cpu().float(), config, stored=size)
