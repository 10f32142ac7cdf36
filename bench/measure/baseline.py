"""What `--benchmark-compare` compares with: found, whole, and of this machine, or one sentence before anything runs.

pytest-benchmark warns instead, in the middle of its work, and its comparisons pass where nothing was compared.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypedDict

import msgspec
import pytest
from pytest_benchmark.logger import Logger
from pytest_benchmark.storage.file import FileStorage
from pytest_benchmark.utils import get_machine_id

from bench.verdicts import environment_changes

MACHINE = ("cpu", "gpu", "os", "threads")
"""Parts of the environment without which two times are no comparison; of others, a difference is only told."""


class Stats(TypedDict):
    """Seconds, and how many."""

    min: float
    max: float
    mean: float
    stddev: float
    median: float
    iqr: float
    outliers: str
    ops: float
    rounds: int
    iterations: int


class Case(TypedDict):
    """One timed case of a saved run."""

    fullname: str
    stats: Stats


class Saved(TypedDict):
    """A run as `--benchmark-save` leaves it."""

    machine_info: dict[str, Any]
    benchmarks: list[Case]


def found(config: pytest.Config) -> list[Path]:
    """The files that `--benchmark-compare` means, all of them whole; none where it was not given.

    Raises:
        pytest.UsageError: there is none, or one is no saved run; or a gate was asked for without a comparison.
    """
    asked, gate = (config.getoption(f"benchmark_{name}", None) for name in ("compare", "compare_fail"))
    if gate and not asked:
        raise pytest.UsageError("--benchmark-compare-fail: give --benchmark-compare, too, which says with what")
    if not asked:
        return []
    place = str(config.getoption("benchmark_storage")).removeprefix("file://")
    storage = FileStorage(place, logger=Logger(), default_machine_id=get_machine_id())
    try:
        files = storage.query("[0-9][0-9][0-9][0-9]_") if asked is True else storage.query(asked)
    except ValueError as error:
        raise pytest.UsageError(f"--benchmark-compare {asked}: {error}") from None
    if not files:
        what = "" if asked is True else f" that matches {asked}"
        raise pytest.UsageError(
            f"--benchmark-compare: {place} holds no saved run{what}; --benchmark-save=NAME saves one"
        )
    for file in files:
        _whole(file)
    return files[-1:] if asked is True else files


def _whole(file: Path) -> None:
    try:
        saved = msgspec.convert(json.loads(file.read_bytes()), Saved)
        json.dumps(saved, allow_nan=False)
    except (OSError, ValueError, RecursionError, msgspec.MsgspecError) as error:
        mend = "delete it, and save one with --benchmark-save=NAME"
        raise pytest.UsageError(f"--benchmark-compare: {file} is no saved run ({error}): {mend}") from None


def changes(saved: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What differs from the machine of a saved run, and moves no time much.

    Raises:
        pytest.UsageError: it is another machine, or another number of threads.
    """
    different = environment_changes(saved, now)
    if other := [change for change in different if change.split(" ")[0].split(".")[0] in MACHINE]:
        raise pytest.UsageError(
            f"--benchmark-compare: the saved run is of another machine or set-up ({', '.join(other)}): "
            "times compare on one; save one here with --benchmark-save=NAME"
        )
    return different


def compared(session: Any) -> None:
    """Whether what was timed has something to be compared with; `session` is pytest-benchmark's.

    Raises:
        pytest.UsageError: `--benchmark-compare-fail` was given, and nothing was timed or a case is in no saved run.
    """
    if not session.compare_fail:
        return
    if not session.benchmarks:
        raise pytest.UsageError("--benchmark-compare-fail: nothing was timed; --benchmark-enable switches timing on")
    known = {name for mapping in session.compared_mapping.values() for name in mapping}
    alone = [one.fullname for one in session.benchmarks if one and one.fullname not in known]
    if alone:
        raise pytest.UsageError(
            f"--benchmark-compare-fail: {len(alone)} of {len(session.benchmarks)} cases are in no saved run, "
            f"like {alone[0]}: save them with --benchmark-save=NAME, or select with -k what was saved"
        )
