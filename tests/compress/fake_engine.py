"""A TensorRT of Python: its engine reads and writes the addresses it is given. Its GPU has the machine's memory."""

import ctypes
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace

import torch
from torch import Tensor

LARGEST = 16
SIDES = {"face": (3, 2), "local": (4,)}


class Context:
    """Adds up each image of both inputs: `sum` is (batch, 1), `twice` is (batch, 2)."""

    def __init__(self, engine: "Engine") -> None:
        self.engine = engine
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.addresses: dict[str, int] = {}

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        self.engine.calls.append(f"shape of {name}")
        fits = shape[0] <= LARGEST
        self.shapes |= {name: shape} if fits else {}
        return fits

    def set_tensor_address(self, name: str, address: int) -> bool:
        self.engine.calls.append(f"address of {name}")
        self.addresses[name] = address
        return True

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        assert self.shapes.keys() == SIDES.keys(), "TensorRT answers -1 before it knows all inputs"
        return (self.shapes["face"][0], 1 if name == "sum" else 2)

    def execute_async_v3(self, stream: int) -> bool:
        self.engine.calls.append(f"run on {stream}")
        if stream in self.engine.broken:
            return False
        read = torch.cat([self._at(name, self.shapes[name]).flatten(1) for name in SIDES], 1)
        for name, factor in (("sum", 1), ("twice", 2)):
            self._at(name, self.get_tensor_shape(name)).copy_(factor * read.sum(1, keepdim=True))
        return True

    def _at(self, name: str, shape: tuple[int, ...]) -> Tensor:
        n = torch.Size(shape).numel()
        return torch.frombuffer((ctypes.c_float * n).from_address(self.addresses[name]), dtype=torch.float32).view(
            shape
        )


class Engine:
    """As TensorRT's, with two inputs and two outputs of any batch up to `LARGEST`."""

    tensors = {**{name: (-1, *sides) for name, sides in SIDES.items()}, "sum": (-1, 1), "twice": (-1, 2)}  # noqa: RUF012
    num_io_tensors = len(tensors)

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.broken: set[int] = set()
        self.contexts: list[tuple] = []
        self.memory = True

    def get_tensor_name(self, index: int) -> str:
        return list(self.tensors)[index]

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return self.tensors[name]

    def get_tensor_mode(self, name: str) -> str:
        return "in" if name in SIDES else "out"

    def get_tensor_dtype(self, name: str) -> SimpleNamespace:
        return SimpleNamespace(name="FLOAT")

    def get_tensor_profile_shape(self, name: str, profile: int) -> list[tuple[int, ...]]:
        return [(batch, *SIDES[name]) for batch in (1, 4, LARGEST)]

    def create_runtime_config(self) -> SimpleNamespace:
        return SimpleNamespace()

    def create_execution_context(self, *settings: SimpleNamespace) -> Context | None:
        self.contexts.append(settings)
        return Context(self) if self.memory else None


class Library:
    """TensorRT as a session uses it."""

    TensorIOMode = SimpleNamespace(INPUT="in")
    ILogger = type("ILogger", (), {"__init__": lambda self: None})

    def __init__(self, engine: Engine | None) -> None:
        self.__name__ = "imagined"
        self.engine = engine

    def Runtime(self, logger: object) -> SimpleNamespace:
        return SimpleNamespace(deserialize_cuda_engine=lambda plan: self.engine)


class OnCpu:
    """A GPU in the machine's memory. A graph launches again, on its own stream."""

    def __init__(self) -> None:
        self.captures, self.copies, self.waits = 0, 0, 0

    def resident(self, tensor: Tensor) -> Tensor:
        return tensor.contiguous()

    def copy(self, into: Tensor, given: Tensor) -> None:
        self.copies += 1
        into.copy_(given)

    def kept(self, tensor: Tensor) -> Tensor:
        return tensor.clone()

    def stream(self) -> int:
        return 7

    def synchronize(self) -> None:
        self.waits += 1

    def captured(self, launch: Callable[[int], None]) -> Callable[[], None]:
        self.captures += 1
        launch(8)
        return partial(launch, 9)
