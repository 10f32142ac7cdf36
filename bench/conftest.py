"""pytest-benchmark, made honest: it neither waits for a GPU nor keeps host names out of its JSON, and a comparison that
cannot be made ends in its own traceback, or passes. All are mended here.

Every suite in this folder gets the `benchmark` fixture below, so no suite can forget to synchronise.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pytest_benchmark.fixture import BenchmarkFixture
from pytest_benchmark.session import PerformanceRegression

from bench.measure import baseline
from compress.timing.latency import synchronised
from compress.timing.machine import environment


class SynchronisedBenchmark(BenchmarkFixture):
    """pytest-benchmark's fixture; every timed call ends when the GPU, where one is in use, has finished."""

    def __call__(self, function_to_benchmark: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        synchronised(lambda: None)()  # work still under way would be charged to the first call
        return super().__call__(synchronised(function_to_benchmark), *args, **kwargs)

    def pedantic(self, target: Callable[..., Any], *args: Any, **options: Any) -> Any:
        synchronised(lambda: None)()
        if options.get("setup") is not None:
            options["setup"] = synchronised(options["setup"])
        return super().pedantic(synchronised(target), *args, **options)


@pytest.fixture
def benchmark(benchmark: BenchmarkFixture) -> BenchmarkFixture:
    """The plugin insists on its own class, and builds the object itself: so the object changes its class."""
    benchmark.__class__ = SynchronisedBenchmark
    return benchmark


@pytest.hookimpl(optionalhook=True)
def pytest_benchmark_update_machine_info(config: pytest.Config, machine_info: dict[str, Any]) -> None:
    """Saved runs describe the machine as records do; the plugin would add the name of the host."""
    machine_info.clear()
    machine_info.update(environment())


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """A saved run that is not there, or broken, ends the run before it begins."""
    baseline.found(config)


@pytest.hookimpl(optionalhook=True, tryfirst=True)
def pytest_benchmark_compare_machine_info(
    benchmarksession: Any, machine_info: dict[str, Any], compared_benchmark: dict[str, Any]
) -> None:
    """In place of the plugin's warning, which our tests' settings would make an error."""
    for change in baseline.changes(compared_benchmark["machine_info"], machine_info):
        benchmarksession.logger.info(f"since the saved run: {change}", newline=False)
    compared_benchmark["machine_info"] = machine_info


@pytest.hookimpl(wrapper=True)
def pytest_terminal_summary(config: pytest.Config) -> Iterator[None]:
    """A regression is the plugin's list of cases, one line, and status 1."""
    try:
        yield
    except PerformanceRegression:
        pytest.exit("the cases above are slower than --benchmark-compare-fail allows", returncode=1)
    baseline.compared(config._benchmarksession)  # type: ignore[attr-defined]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Without timing, a suite only proves that it works: its slow members are then deselected, which pytest counts."""
    timing = config.getoption("benchmark_enable") or not config.getoption("benchmark_disable")
    if timing or config.getoption("markexpr"):
        return
    here = Path(__file__).parent
    slow = [item for item in items if here in item.path.parents and item.get_closest_marker("slow")]
    config.hook.pytest_deselected(items=slow)
    items[:] = [item for item in items if item not in slow]
