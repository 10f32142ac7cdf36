"""The session's bookkeeping, without a GPU: what is set, run, recorded, copied and kept, in which order."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from fake_engine import LARGEST, SIDES, Engine, Library, OnCpu
from torch import Tensor

from compress.runtimes import Session, Unavailable, engine_session
from compress.runtimes.buffers import BUFFERS
from compress.runtimes.engine_session import SHAPES, TensorRtSession

Opened = tuple[TensorRtSession, Engine, OnCpu]
Open = Callable[..., Opened]


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """Shapes of what was allocated, in order."""
    taken: list[tuple[int, ...]] = []

    def allocate(shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        taken.append(shape)
        return torch.full(shape, -1, dtype=dtype)

    for name in BUFFERS:
        monkeypatch.setitem(BUFFERS, name, allocate)
    return taken


@pytest.fixture
def opened(taken: list[tuple[int, ...]], tmp_path: Path) -> Open:
    (tmp_path / "net.engine").write_bytes(b"plan")

    def opened(engine: Engine | None = None, *, buffers: str = "torch", graphs: bool = False) -> Opened:
        engine, path = engine or Engine(), tmp_path / "net.engine"
        running = TensorRtSession(
            Library(engine), path, runtime="tensorrt", precision="fp32", buffers=buffers, graphs=graphs
        )
        running.gpu = gpu = OnCpu()
        taken.clear()
        return running, engine, gpu

    return opened


def images(batch: int, value: float = 1.0) -> dict[str, Tensor]:
    return {name: torch.full((batch, *sides), float(value)) for name, sides in SIDES.items()}


def right(found: dict[str, Tensor], batch: int, value: float = 1.0) -> bool:
    """Whether these are the outputs of `images`: six and four numbers were added up."""
    wanted = {"sum": torch.full((batch, 1), 10 * value), "twice": torch.full((batch, 2), 20 * value)}
    return found.keys() == wanted.keys() and all(torch.equal(found[name], wanted[name]) for name in wanted)


def test_shapes_come_first_then_addresses_then_one_run(opened: Open) -> None:
    running, engine, gpu = opened()
    assert isinstance(running, Session) and running.io.device == "cuda"
    assert right(running.run(images(3)), 3)
    assert engine.calls == [
        *("shape of face", "address of face", "shape of local", "address of local"),
        *("address of sum", "address of twice", "run on 7"),
    ]
    assert gpu.waits == 1 and gpu.copies == gpu.captures == 0


@pytest.mark.parametrize("graphs", [False, True])
@pytest.mark.parametrize("buffers", BUFFERS)
def test_answers_are_right_whatever_the_order_of_shapes(opened: Open, buffers: str, graphs: bool) -> None:
    running, _, _ = opened(buffers=buffers, graphs=graphs)
    for value, batch in enumerate((1, 3, 1, 1, 16, 3)):
        assert right(running.run(images(batch, value)), batch, value)
    apart = {name: tensor.transpose(0, 1).clone().transpose(0, 1) for name, tensor in images(2).items()}
    assert right(running.run(apart), 2), "memory in another order"


@pytest.mark.parametrize("graphs", [False, True])
@pytest.mark.parametrize("buffers", BUFFERS)
def test_outputs_are_the_callers(opened: Open, buffers: str, graphs: bool) -> None:
    running, _, _ = opened(buffers=buffers, graphs=graphs)
    first, second = running.run(images(2, 1)), running.run(images(2, 5))
    assert right(first, 2, 1) and right(second, 2, 5)


def test_a_shape_is_recorded_once_on_a_context_that_is_never_bound_again(opened: Open) -> None:
    running, engine, gpu = opened(graphs=True)
    assert not engine.contexts
    for batch in (1, 3):
        running.run(images(batch))
    engine.calls.clear()
    for value in range(50):
        for batch in (1, 3):
            assert right(running.run(images(batch, value)), batch, value)
    assert gpu.captures == len(engine.contexts) == 2
    assert set(engine.calls) == {"run on 9"}, "a graph breaks when its context gets other shapes or addresses"


def test_what_is_resident_is_not_copied_again(opened: Open) -> None:
    running, _, gpu = opened(graphs=True)
    own = running.resident(images(2, 3))
    before = gpu.copies
    assert right(running.run(own), 2, 3) and gpu.copies == before
    for tensor in own.values():
        tensor.fill_(4)
    assert right(running.run(own), 2, 4) and gpu.copies == before
    running.run(images(2))
    assert gpu.copies == before + 2
    running, _, _ = opened()
    given = images(2)
    assert all(running.resident(given)[name] is tensor for name, tensor in given.items())


def test_ten_thousand_replays_take_memory_once(opened: Open, taken: list[tuple[int, ...]]) -> None:
    running, engine, _ = opened(buffers="pycuda", graphs=True)
    batch = images(1)
    for _ in range(10_000):
        running.run(batch)
    assert len(taken) == 4 and len(engine.contexts) == 1


def test_only_the_shapes_run_last_are_kept(opened: Open, taken: list[tuple[int, ...]]) -> None:
    running, _, _ = opened(buffers="pycuda", graphs=True)
    batches = range(1, SHAPES + 1)
    for batch in batches:
        running.run(images(batch))
    taken.clear()
    for batch in reversed(batches):
        running.run(images(batch))
    assert not taken
    running.run(images(SHAPES + 1))
    taken.clear()
    for batch in batches[:-1]:
        running.run(images(batch))
    assert not taken, "the one that was run longest ago made room"
    running.run(images(SHAPES))
    assert taken


@pytest.mark.parametrize("graphs", [False, True])
def test_a_batch_that_the_engine_was_not_built_for_is_told_its_limits(opened: Open, graphs: bool) -> None:
    running, _, _ = opened(graphs=graphs)
    with pytest.raises(ValueError, match=r'"face" was given \(17, 3, 2\).*built for \(1, 3, 2\) to \(16, 3, 2\)'):
        running.run(images(LARGEST + 1))
    assert right(running.run(images(2)), 2)


def test_failures_are_sentences(opened: Open, taken: list[tuple[int, ...]], tmp_path: Path) -> None:
    running, engine, _ = opened()
    engine.broken.add(7)
    with pytest.raises(RuntimeError, match="tensorrt failed to run"):
        running.run(images(1))
    running, engine, _ = opened(graphs=True)
    engine.broken.add(8)
    with pytest.raises(RuntimeError, match=r"recorded as a CUDA graph.*failed to run.*graphs=False"):
        running.run(images(1))
    engine.broken.clear()
    assert right(running.run(images(1)), 1)
    engine = Engine()
    engine.memory = False
    with pytest.raises(RuntimeError, match="no memory for an execution context"):
        opened(engine)
    with pytest.raises(ValueError, match=r"cannot load .*net\.engine.*build it again"):
        TensorRtSession(Library(None), tmp_path / "net.engine", runtime="tensorrt", precision="fp32")


def test_a_missing_library_is_told_on_opening(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        raise Unavailable("pycuda is not installed")

    monkeypatch.setitem(BUFFERS, "pycuda", missing)
    with pytest.raises(Unavailable, match="pycuda"):
        opened(buffers="pycuda")


def test_for_graphs_rtx_makes_its_best_kernels_before_it_runs(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    kinds = SimpleNamespace(EAGER="eager")
    monkeypatch.setattr(Library, "DynamicShapesKernelSpecializationStrategy", kinds, raising=False)
    running, engine, _ = opened(graphs=True)
    running.run(images(1))
    ((settings,),) = engine.contexts
    assert settings.dynamic_shapes_kernel_specialization_strategy == "eager"
    _, engine, _ = opened()
    assert engine.contexts == [()]


def test_recent_keeps_its_values_when_a_new_one_cannot_be_made() -> None:
    recent: engine_session.Recent[int] = engine_session.Recent()
    for size in range(SHAPES):
        recent.get(((size,),), lambda size=size: size)

    def fails() -> int:
        raise ValueError("no")

    for _ in range(SHAPES):
        with pytest.raises(ValueError, match="no"):
            recent.get(((99,),), fails)
    assert [recent.get(((size,),), fails) for size in range(SHAPES)] == list(range(SHAPES))
