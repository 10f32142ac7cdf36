"""pytest-benchmark, made honest: it neither waits for a GPU nor keeps host names out of its JSON. Both are mended here.

Every suite in this folder gets the `benchmark` fixture below, so no suite can forget to synchronise.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

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


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Without timing, a suite only proves that it works: its slow members are then deselected, which pytest counts."""
    timing = config.getoption("benchmark_enable") or not config.getoption("benchmark_disable")
    if timing or config.getoption("markexpr"):
        return
    here = Path(__file__).parent
    slow = [item for item in items if here in item.path.parents and item.get_closest_marker("slow")]
    config.hook.pytest_deselected(items=slow)
    items[:] = [item for item in items if item not in slow]
