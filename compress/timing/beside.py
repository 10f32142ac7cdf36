"""How long networks take beside one another on a runtime of this machine, in milliseconds of a batch.

Networks are compared in turns, because a machine's own speed drifts by tens of percent within seconds, which moves both
turns of a pair alike. `compress.timing.latency` is for figures that are told; this is for choosing widths.
"""

import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from torch import Tensor, nn

from compress.calling import Output
from compress.exporting.graph import graph_of
from compress.exporting.onnx_file import onnx_from_graph
from compress.exporting.program import program_of
from compress.inputs import Example
from compress.runtimes import RUNTIMES, Session
from compress.timing.processor import cpu_model
from compress.timing.turns import Subject, measure_turns

DECILE = 10
"""Neighbours on a machine add time and never take any away: a low percentile is close to what a quiet one takes."""
MIN_RUNS, MIN_SECONDS, TURN_MS = 41, 0.8, 20.0
"""Of each network in one comparison: some forty turns, which take two seconds."""


@final
class RuntimeStopwatch:
    """Times networks as they are deployed, in float32, with as many threads as PyTorch has.

    Args:
        net: called with `example` (`compress.slim`); `output` says which of its tensors are computed.
        runtime: one of `compress.RUNTIMES`.
        batch: images that run at once.
        folder: for the exported files; they must lie there as long as this object is used.

    Raises:
        Unavailable: a package of the runtime is missing.
        ValueError: the network cannot be exported.
    """

    def __init__(
        self,
        net: nn.Module,
        example: Example,
        folder: Path,
        *,
        runtime: str,
        batch: int,
        output: Output | None = None,
    ) -> None:
        self.example, self.folder, self.output, self.runtime, self.batch = example, folder, output, runtime, batch
        self._opened = 0
        self._turns_ms: list[float] = []
        self._whole = self._run_of(net)
        self._compare(self._whole)

    @property
    def provenance(self) -> dict[str, Any]:
        """As the protocol says."""
        return {
            "cpu": cpu_model(),
            "system": f"{platform.system()} {platform.machine()}",
            "threads": torch.get_num_threads(),
            "runtime": self.runtime,
            "precision": "fp32",
            "batch": self.batch,
        }

    @property
    def whole_ms(self) -> float:
        return float(np.percentile(self._turns_ms, DECILE))

    def share(self, net: nn.Module) -> float:
        return self._compare(self._run_of(net))

    def _compare(self, run: Subject) -> float:
        taken = measure_turns(
            {"own": run, "whole": self._whole}, min_runs=MIN_RUNS, min_seconds=MIN_SECONDS, turn_ms=TURN_MS
        )
        self._turns_ms += taken["whole"].medians_ms.tolist()
        return float(np.median(taken["own"].medians_ms / taken["whole"].medians_ms))

    def _run_of(self, net: nn.Module) -> Subject:
        """One run of `net` on the runtime, on random inputs."""
        self._opened += 1
        graph, runtime = graph_of(net, self.example, output=self.output), RUNTIMES[self.runtime]
        path = onnx_from_graph(graph, program_of(graph), self.folder / f"{self._opened}.onnx", {})
        session = runtime.open(runtime.build(path, precision="fp32"), precision="fp32")
        batch = dict(zip(graph.inputs, _repeated(graph.example, self.batch), strict=True))
        return _subject(session, batch)


def _subject(session: Session, batch: Mapping[str, Tensor]) -> Subject:
    def run() -> None:
        session.run(batch)

    return run


def _repeated(example: tuple[Tensor, ...], batch: int) -> list[Tensor]:
    """A batch of the first image of `example`: what lies in it does not change the time."""
    return [one[:1].expand(batch, *one.shape[1:]).contiguous() for one in example]
