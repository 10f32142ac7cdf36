"""Latency over ratio, runtime, precision and batch of MRF, on one thread: for watching the code, not for the tables.

    pytest bench/test_latency.py --benchmark-enable --benchmark-only --benchmark-save=before
    pytest bench/test_latency.py --benchmark-enable --benchmark-only \
        --benchmark-compare --benchmark-compare-fail=median:10%

The second command ends with an error when the median of any case has risen by more than 10 %. Networks are those of the
committed records where their stages are cached, otherwise random (`bench.measure.suite_networks`): the name of a case
says which, so the two are never compared. `--benchmark-group-by=group` puts the ratios of a case below each other;
`-m "not slow"` leaves out what takes minutes (torch.compile, two of the ratios), as does every run without
--benchmark-enable.
"""

import threading
import time
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from bench.measure.suite_networks import SuiteNetworks, network, recorded
from compress.runtimes import IO, RUNTIMES, Unavailable
from compress.timing.latency import subject_of_session

RATIOS = (0.0, 0.4, 0.5, 0.6)
SMOKE = (0.0, 0.6)
"""The ratios that are timed without the slow cases."""
BATCHES = (1, 32)
WORK_S = 0.1


def _ratio(ratio: float) -> Any:
    marks = () if ratio in SMOKE else pytest.mark.slow
    return pytest.param(ratio, id=f"{100 * ratio:.0f}%-{'trained' if recorded(ratio) else 'random'}", marks=marks)


def _cases() -> list[Any]:
    slow = {"torch-compile": pytest.mark.slow}
    return [
        pytest.param(name, precision, id=f"{name}-{precision}", marks=slow.get(name, ()))
        for name, runtime in RUNTIMES.items()
        for precision in runtime.precisions
    ]


@pytest.fixture(scope="session")
def networks(tmp_path_factory: pytest.TempPathFactory) -> SuiteNetworks:
    return SuiteNetworks(tmp_path_factory.mktemp("networks"))


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """One thread repeats well on a shared machine, where several wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize(("runtime", "precision"), _cases())
@pytest.mark.parametrize("ratio", [_ratio(ratio) for ratio in RATIOS])
def test_latency(
    benchmark: Any, networks: SuiteNetworks, ratio: float, runtime: str, precision: str, batch: int
) -> None:
    try:
        opened = networks.open(ratio, runtime, precision)
    except Unavailable as missing:
        pytest.skip(str(missing))
    benchmark.group = f"{runtime} {precision}, batch {batch}"
    benchmark.extra_info.update(opened.network.facts, accuracy=opened.network.accuracy(precision), ratio=ratio)
    benchmark.extra_info.update(artefact_bytes=opened.built.artefact_bytes, build_s=opened.built.build_s, threads=1)
    benchmark(subject_of_session(opened.session, batch))
    assert (opened.session.runtime, opened.session.precision) == (runtime, precision)


@pytest.mark.parametrize("ratio", [ratio for ratio in RATIOS if ratio])
def test_a_cut_network_has_fewer_macs_and_parameters(ratio: float) -> None:
    whole, cut = network(0.0).facts, network(ratio).facts
    assert all(cut[name] < whole[name] for name in ("macs", "params"))


class Asynchronous:
    """A session on a device of its own: `run` starts 0.1 s of work and returns at once."""

    runtime, precision, io = "fake", "fp32", IO(inputs=(), outputs=())

    def __init__(self) -> None:
        self.work = threading.Thread()

    def run(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        self.work = threading.Thread(target=time.sleep, args=(WORK_S,))
        self.work.start()
        return {}

    def wait(self) -> None:
        if self.work.ident is not None:
            self.work.join()

    def precision_by_layer(self) -> dict[str, str]:
        return {}


def test_the_fixture_times_the_work_and_not_its_start(benchmark: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    session = Asynchronous()
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "synchronize", session.wait)
    session.run({})
    assert session.work.is_alive(), "the session itself does not wait"
    benchmark.pedantic(session.run, ({},), rounds=3)
    assert not session.work.is_alive()
    if benchmark.stats is not None:  # None under --benchmark-disable; tests/bench/test_suites.py enables it
        assert benchmark.stats.stats.min >= WORK_S


def test_the_fixture_waits_for_the_gpu_after_every_call(benchmark: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[str] = []
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: events.append("wait"))
    benchmark.pedantic(partial(events.append, "work"), setup=lambda: events.append("setup"), rounds=3)
    assert events[0] == "wait"
    assert events[1:] == ["setup", "wait", "work", "wait"] * (len(events) // 4)
    assert events.count("work") >= 1
