"""What is recorded: the second run, on a stream of its own, after the first has settled new shapes."""

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
import torch

from compress.runtimes.cuda_graphs import Cuda


def test_work_runs_once_on_a_side_stream_before_it_is_recorded_there(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    current = SimpleNamespace(cuda_stream=0)
    side = SimpleNamespace(cuda_stream=5, wait_stream=lambda other: seen.append(f"5 waits for {other.cuda_stream}"))

    @contextmanager
    def on(stream: SimpleNamespace) -> Iterator[None]:
        seen.append(f"on {stream.cuda_stream}")
        yield

    @contextmanager
    def recording(graph: SimpleNamespace, *, stream: SimpleNamespace, capture_error_mode: str) -> Iterator[None]:
        seen.append(f"record {stream.cuda_stream}")
        yield
        seen.append("recorded")

    for name, value in {
        "Stream": lambda: side,
        "current_stream": lambda: current,
        "stream": on,
        "CUDAGraph": lambda: SimpleNamespace(replay=lambda: seen.append("replay")),
        "graph": recording,
    }.items():
        monkeypatch.setattr(torch.cuda, name, value)
    replay = Cuda().captured(lambda stream: seen.append(f"run on {stream}"))
    assert seen == ["5 waits for 0", "on 5", "run on 5", "record 5", "run on 5", "recorded"]
    replay()
    assert seen[-1] == "replay"


def test_buffers_made_in_inference_mode_can_be_filled_outside_of_it() -> None:
    with torch.inference_mode():
        into = torch.zeros(3)
    Cuda().copy(into, torch.ones(3, requires_grad=True))
    assert into.tolist() == [1, 1, 1]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")
def test_on_a_gpu_the_record_reads_and_writes_the_same_memory_each_time() -> None:
    given, found = torch.zeros(4, device="cuda"), torch.zeros(4, device="cuda")

    def double(stream: int) -> None:
        torch.mul(given, 2, out=found)

    replay = Cuda().captured(double)
    for value in (1, 5):
        Cuda().copy(given, torch.full((4,), float(value)))
        replay()
        Cuda().synchronize()
        assert found.tolist() == [2.0 * value] * 4
