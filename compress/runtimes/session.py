"""The contract between a network that left PyTorch and whoever runs it.

Tensors cross the seam as PyTorch tensors on the session's device: on a CPU they share memory with NumPy, on a GPU they
are the buffers themselves. Every input is checked for name, type and shape, because runtimes answer a wrong one with
anything from a code to a crash.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from compress.libraries import Unavailable

__all__ = ["IO", "Resident", "Runtime", "Session", "TensorSpec", "Unavailable", "asked", "honoured", "onnx_file"]


@dataclass(frozen=True, kw_only=True)
class TensorSpec:
    """One input or output. None in `shape` is any size (the batch)."""

    name: str
    dtype: torch.dtype
    shape: tuple[int | None, ...]

    def fits(self, tensor: Tensor) -> bool:
        """Whether `tensor` may be fed here."""
        if tensor.dtype != self.dtype or tensor.ndim != len(self.shape):
            return False
        return all(wanted in (None, given) for wanted, given in zip(self.shape, tensor.shape, strict=True))

    def __str__(self) -> str:
        sides = ", ".join("any" if side is None else str(side) for side in self.shape)
        return f'"{self.name}" {str(self.dtype).removeprefix("torch.")} ({sides})'


@dataclass(frozen=True, kw_only=True)
class IO:
    """What a session eats and gives."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    device: str = "cpu"
    """Where it runs and its outputs lie; a batch from elsewhere is copied there first."""

    def check(self, batch: Mapping[str, Tensor]) -> None:
        """Refuses a batch that does not fit, naming the input, what was given and what is allowed."""
        wanted = {spec.name for spec in self.inputs}
        if batch.keys() != wanted:
            raise ValueError(f"inputs {sorted(batch)} given, but this session eats {', '.join(map(str, self.inputs))}")
        for spec in self.inputs:
            given = batch[spec.name]
            if not spec.fits(given):
                seen = f"{str(given.dtype).removeprefix('torch.')} {tuple(given.shape)}"
                raise ValueError(f"input {spec} was given {seen}: convert or resize it before running")


@runtime_checkable
class Session(Protocol):
    """An artefact ready to run."""

    io: IO
    runtime: str
    precision: str

    def run(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Outputs by name, ready for the reader when this returns. Raises ValueError for a batch that does not fit."""
        ...

    def precision_by_layer(self) -> dict[str, str]:
        """The precision in which each computing layer (convolution, product) really runs, by the runtime's own name."""
        ...


@runtime_checkable
class Resident(Protocol):
    """A session with inputs of its own."""

    def resident(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """`batch` where the session reads it: feeding that to `run` copies nothing."""
        ...


class Runtime(Protocol):
    """A way to run a network. `precisions` are those it can be asked for."""

    @property
    def name(self) -> str: ...

    @property
    def precisions(self) -> tuple[str, ...]: ...

    def build(self, onnx: Path, *, precision: str) -> Path:
        """The artefact that `open` takes, made of an exported ONNX file of that precision (see compress.export).

        Raises:
            Unavailable: the library, driver or device is missing.
            ValueError: a precision that this runtime does not have.
        """
        ...

    def open(self, artefact: Path, *, precision: str) -> Session:
        """A session on `artefact`; errors as for `build`."""
        ...


def onnx_file(path: Path) -> Path:
    """Itself, when it is a file; else the sentence that says how to get one."""
    if not path.is_file():
        raise ValueError(f"{path} is no file: export the network first (python -m compress.export)")
    return path


def asked(runtime: Runtime, precision: str) -> None:
    """Refuses a precision that `runtime` does not have."""
    if precision not in runtime.precisions:
        raise ValueError(f'{runtime.name} has no precision "{precision}": it has {", ".join(runtime.precisions)}')


def honoured(session: Session, allowed: Mapping[str, tuple[str, ...]]) -> Session:
    """Itself, when every computing layer runs in a precision that the request allows.

    Args:
        allowed: for each request, the precisions that count as honoured, and of which at least one layer must be the
            first.

    Raises:
        ValueError: a layer runs in another precision; the sentence names it.
    """
    found = session.precision_by_layer()
    wanted = allowed[session.precision]
    wrong = {layer: precision for layer, precision in found.items() if precision not in wanted}
    if wrong or wanted[0] not in found.values():
        some = ", ".join(f"{layer}: {precision}" for layer, precision in list(wrong.items())[:3]) or "no layer has it"
        raise ValueError(
            f"{session.runtime} was asked for {session.precision} and did not honour it ({some}; {len(wrong)} of "
            f"{len(found)} layers): the figure would carry the wrong name"
        )
    return session
