"""The GPU as a session sees it: where tensors lie, the stream, and launches recorded as a CUDA graph.

Replaying a graph launches everything at once: it is the fair way to time a network whose launches take longer than its
computing (see `compress.timing.launch`).
"""

from collections.abc import Callable
from typing import Protocol, final

import torch
from torch import Tensor

Launch = Callable[[int], None]
"""Puts work on the stream of this handle, and returns without waiting for it."""


class Gpu(Protocol):
    """All that a session asks of its device, so that its bookkeeping can be tested without one."""

    def resident(self, tensor: Tensor) -> Tensor:
        """Contiguous and on the device: `tensor` itself where it is so already."""
        ...

    def copy(self, into: Tensor, given: Tensor) -> None:
        """Copies `given`, from wherever it lies, on the current stream."""
        ...

    def kept(self, tensor: Tensor) -> Tensor:
        """A copy that later runs do not overwrite."""
        ...

    def stream(self) -> int:
        """Handle of the current stream."""
        ...

    def synchronize(self) -> None:
        """Returns when the current stream is done."""
        ...

    def captured(self, launch: Launch) -> Callable[[], None]:
        """Runs `launch` once, then records it; what is returned replays the record on the current stream.

        Raises:
            RuntimeError: the work cannot be recorded.
        """
        ...


@final
class Cuda:
    """PyTorch's current GPU and stream."""

    def resident(self, tensor: Tensor) -> Tensor:
        return tensor.cuda().contiguous()

    def copy(self, into: Tensor, given: Tensor) -> None:
        with torch.inference_mode():  # which also lets tensors that were made in it be written to
            into.copy_(given)

    def kept(self, tensor: Tensor) -> Tensor:
        return tensor.clone()

    def stream(self) -> int:
        return torch.cuda.current_stream().cuda_stream

    def synchronize(self) -> None:
        torch.cuda.current_stream().synchronize()

    def captured(self, launch: Launch) -> Callable[[], None]:
        side = torch.cuda.Stream()  # the default stream cannot be recorded
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            launch(side.cuda_stream)  # new shapes are worked out in the first run, which must not be part of the graph
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=side, capture_error_mode="thread_local"):  # as trtexec records
            launch(side.cuda_stream)
        return graph.replay
