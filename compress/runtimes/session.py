"""The contract between a network that left PyTorch and whoever runs it.

Tensors cross the seam as PyTorch tensors: on a CPU they share memory with NumPy. Every input is checked for name, type
and shape, because runtimes answer a wrong one with anything from a code to a crash, and an empty batch with the answers
of the one before.
"""

import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, final

import torch
from torch import Tensor


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

    def check(self, batch: Mapping[str, Tensor]) -> int:
        """Size of the batch; one that does not fit is refused, naming what was given and what is allowed."""
        wanted = {spec.name for spec in self.inputs}
        if batch.keys() != wanted:
            raise ValueError(f"inputs {sorted(batch)} given, but this session eats {', '.join(map(str, self.inputs))}")
        for spec in self.inputs:
            given = batch[spec.name]
            if not spec.fits(given):
                seen = f"{str(given.dtype).removeprefix('torch.')} {tuple(given.shape)}"
                raise ValueError(f"input {spec} was given {seen}: convert or resize it before running")
        sizes = {name: len(tensor) for name, tensor in batch.items()}
        if len(set(sizes.values())) > 1:
            raise ValueError(f"inputs of different batch sizes: {sizes}; give as many of each")
        return next(iter(sizes.values()))

    def nothing(self) -> dict[str, Tensor]:
        """The outputs of an empty batch."""
        shapes = {spec.name: (0, *(side or 0 for side in spec.shape[1:])) for spec in self.outputs}
        return {
            spec.name: torch.empty(shapes[spec.name], dtype=spec.dtype, device=self.device) for spec in self.outputs
        }


class Session(ABC):
    """An artefact ready to run. Threads may share it: it runs one batch at a time, and outputs are the caller's."""

    def __init__(self, io: IO, *, runtime: str, precision: str) -> None:
        self.io, self.runtime, self.precision = io, runtime, precision
        self._turn = threading.Lock()

    @final
    def run(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Outputs by name, ready for the reader when this returns; of an empty batch empty.

        Raises:
            ValueError: `batch` does not fit.
        """
        if not self.io.check(batch):
            return self.io.nothing()
        with self._turn:
            return self._run(batch)

    @abstractmethod
    def _run(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """`run` of a batch that fits and is not empty, one at a time."""

    @abstractmethod
    def precision_by_layer(self) -> dict[str, str]:
        """The precision in which each computing layer (convolution, product) really runs, by the runtime's own name."""

    def resident(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """`batch` where the session reads it: feeding that to `run` copies nothing."""
        return {name: tensor.to(self.io.device) for name, tensor in batch.items()}


@contextmanager
def as_sentence(runtime: str) -> Iterator[None]:
    """What a runtime raises while it runs a network becomes ValueError."""
    try:
        yield
    except Exception as error:  # the errors of runtimes share no base class
        reason = " ".join(str(error).split())[:300]
        raise ValueError(f"{runtime} cannot run this network ({reason}): export it again") from error


@dataclass(frozen=True, kw_only=True)
class Target:
    """What an artefact is built for; runtimes that take an ONNX file as it is need none of it."""

    batches: tuple[int, int, int] = (1, 32, 128)
    """Smallest, best and largest batch."""
    capabilities: tuple[str, ...] = ()
    """Compute capabilities of GPUs, like "8.6"; none: the GPU at hand. Only TensorRT for RTX builds for absent ones."""
    workspace_mib: int = 1024
    """Upper limit of scratch memory while running."""

    def __post_init__(self) -> None:
        low, best, high = self.batches
        if not 1 <= low <= best <= high:
            raise ValueError(f"batches={self.batches}: smallest, best, largest, each at least 1 and rising")


ANY = Target()


class Runtime(Protocol):
    """A way to run a network. `precisions` are those it can be asked for."""

    @property
    def name(self) -> str: ...

    @property
    def precisions(self) -> tuple[str, ...]: ...

    def require(self) -> None:
        """Raises Unavailable where its library is missing: ask before a long export."""
        ...

    def source(self, onnx: Path) -> Path:
        """The file that `build` reads: `onnx`, or one beside it."""
        ...

    def build(self, onnx: Path, *, precision: str, target: Target = ANY) -> Path:
        """The artefact that `open` takes, made of an exported ONNX file of that precision, or of what lies beside it.

        Raises:
            Unavailable: the library, driver or device is missing.
            ValueError: a precision that this runtime does not have, or a file that is damaged.
        """
        ...

    def open(self, artefact: Path, *, precision: str) -> Session:
        """A session on `artefact`; errors as for `build`."""
        ...


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
