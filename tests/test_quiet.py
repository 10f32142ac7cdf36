"""No test depends on a quiet machine: whoever reads a clock in a test stands here with the reason why it may."""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[1]
CLOCKS = {"perf_counter", "perf_counter_ns", "monotonic", "monotonic_ns", "process_time", "time", "stats"}
"""Names of what gives a time: of the module `time`, and pytest-benchmark's figures."""
ENABLED = "judged with --benchmark-enable only, which `make test` does not give"
HANG = "a limit of half a minute or more: it tells a hang, not a speed"
ALLOWED = {
    "bench/test_latency.py::test_the_fixture_times_the_work_and_not_its_start": ENABLED,
    "bench/test_prediction.py::test_a_photograph_of_512_px": ENABLED,
    "bench/test_prediction.py::test_an_exported_network_answers_at_once": ENABLED,
    "bench/test_prediction.py::test_ten_thousand_photographs_take_no_more_memory_than_two_thousand": "told, not judged",
    "bench/test_pretraining.py::seconds": ENABLED,
    "bench/test_regions.py::seconds": ENABLED,
    "bench/test_slimming.py::test_slimming_resnet50": ENABLED,
    "bench/test_slimming.py::test_slimming_the_full_mrf": ENABLED,
    "bench/test_training.py::seconds": ENABLED,
    "tests/bench/test_torchrun.py": HANG,
    "tests/compress/test_latency_target.py": "its clock is a formula",
    "tests/compress/test_processes.py": HANG,
    "tests/test_ray.py::killed_when": HANG,
    "tests/compress/test_runtimes.py::test_threads_rest_when_a_run_is_over": "processor time of this process alone",
}
"""File, or file::function -> why a clock may be read there."""


def readers(path: Path) -> set[str]:
    """Functions of a file that read a clock, as file::function; calls of `time.sleep` read none."""
    name, found = str(path.relative_to(ROOT)), set()
    for function in ast.walk(ast.parse(path.read_text())):
        if isinstance(function, ast.FunctionDef):
            for node in ast.walk(function):
                called = node.func if isinstance(node, ast.Call) else node
                word = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
                timed = isinstance(node, ast.Call) and word in CLOCKS - {"stats"}
                if timed or (isinstance(node, ast.Attribute) and word == "stats"):
                    found.add(f"{name}::{function.name}")
    return found


def test_every_test_that_reads_a_clock_says_why_it_may() -> None:
    files = [*(ROOT / "tests").rglob("test_*.py"), *(ROOT / "bench").glob("test_*.py")]
    found = set().union(*map(readers, files))
    unknown = {one for one in found if one not in ALLOWED and one.split("::")[0] not in ALLOWED}
    assert not unknown, f"no test depends on a quiet machine: {sorted(unknown)}"
    stale = {one for one in ALLOWED if one not in found and one not in {each.split("::")[0] for each in found}}
    assert not stale


def test_a_comparison_of_times_is_found(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(f"{__name__}.ROOT", tmp_path)
    bad = tmp_path / "test_bad.py"
    bad.write_text("def test_fast():\n    began = time.perf_counter()\n    assert time.perf_counter() - began < 1\n")
    assert readers(bad) == {"test_bad.py::test_fast"}
    bad.write_text("def test_fast(benchmark):\n    assert benchmark.stats.stats.median < 1\n")
    assert readers(bad) == {"test_bad.py::test_fast"}
