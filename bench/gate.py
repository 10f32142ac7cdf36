"""The gate: is anything in a folder of new records worse than in a folder of old ones?

    python -m bench.gate reports/records/table5/fer2013/cpu out/records/table5/fer2013/cpu

Every cell of OLD is looked for in NEW and judged by what OLD holds of accuracy, MACs, parameters, median latency and
its factors to other networks (`bench.verdicts`). Status 0: no regression; 1: a regression or a missing cell; 2: a
mistake in the input. A figure that cannot be compared (other machine, other settings) is told, counted, and under
--strict a failure. The last line of standard output is JSON.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console

from bench import records
from bench.pages.terminal import terminal_table
from bench.records import Cell, Record
from bench.verdicts import (
    ACCURACY,
    FAIL,
    MACS,
    OUTCOMES,
    PARAMS,
    PASS,
    SECTIONS,
    Limits,
    Verdict,
    compare,
    untimed_before,
)
from compress.exit_status import exit_status
from compress.program import program

EXAMPLE = "reports/records/table5/fer2013/cpu"
KEYS = ("Network", "Cell", "Verdict")
TITLES = {ACCURACY: "Accuracy, points [95 %]", MACS: MACS, PARAMS: "Parameters"}
"""Headings of the checks that need another one than their name."""


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line. Unknown options and values end the program with a sentence and status 2."""
    parser = argparse.ArgumentParser(
        prog=program("bench.gate"),
        description="Compares two folders of records cell by cell: accuracy, MACs, parameters, latency, factors.",
        epilog="Status 0: no regression; 1: a regression or a missing cell; 2: a mistake in the input.",
    )
    parser.add_argument("old", type=Path, metavar="OLD", help=f"folder of records, like {EXAMPLE}")
    parser.add_argument("new", type=Path, metavar="NEW", help="folder of records of the same table")
    parser.add_argument(
        "--latency-tolerance",
        type=float,
        default=Limits.latency,
        metavar="SHARE",
        help="allowed increase of the median latency, as a share (default: %(default)s)",
    )
    parser.add_argument(
        "--accuracy-tolerance",
        type=float,
        default=Limits.accuracy,
        metavar="POINTS",
        help="allowed loss of accuracy in percentage points (default: %(default)s)",
    )
    parser.add_argument("--strict", action="store_true", help="fail also if two records cannot be compared")
    return parser.parse_args(argv)


def opened(folder: Path) -> dict[Cell, Record]:
    """The records in `folder`, sorted by cell.

    Raises:
        ValueError: no folder, no record in it, or a file that is no record or lacks what its neighbours have.
    """
    paths = records.paths(folder)
    if not paths:
        raise ValueError(f"{folder} holds no record: give a folder such as {EXAMPLE}")
    found = [records.load(path) for path in paths]
    needed = [name for name in SECTIONS if any(name in record.result for record in found)]
    if needed in ([], ["data"]):
        raise ValueError(f"{folder} holds no accuracy, cost or latency: the gate compares records of bench.report")
    for path, record in zip(paths, found, strict=True):
        absent = [] if record.result.get("missing") else [name for name in needed if name not in record.result]
        if absent:
            raise ValueError(f"{path} has no {', '.join(absent)}, others beside it have: measure it again")
    return {record.cell: record for record in sorted(found, key=lambda record: record.cell)}


def judge(old: Mapping[Cell, Record], new: Mapping[Cell, Record], limits: Limits) -> list[Verdict]:
    """A verdict for every cell of `old`, in its order.

    Raises:
        ValueError: the two have no cell in common.
    """
    if not old.keys() & new.keys():
        kinds = [f"{cell.table}/{cell.data}/{cell.scale}" for cell in (next(iter(old)), next(iter(new)))]
        raise ValueError(f"OLD ({kinds[0]}) and NEW ({kinds[1]}) have no cell in common: compare records of one table")
    return [compare(record, new.get(cell), limits) for cell, record in old.items()]


def additions(old: Mapping[Cell, Record], new: Mapping[Cell, Record]) -> list[str]:
    """What only NEW has: cells, and latencies of cells that both have."""
    cells = [cell.id for cell in new if cell not in old]
    timed = {cell.id: untimed_before(old[cell], record) for cell, record in new.items() if cell in old}
    return cells + [f"{name} ({', '.join(keys)})" for name, keys in timed.items() if keys]


def titles(verdicts: Sequence[Verdict]) -> list[str]:
    """Names of the checks that any cell has, in the order of their first appearance."""
    names = dict.fromkeys(check.name for verdict in verdicts for check in verdict.checks if check.figure != "-")
    return list(names)


def body(verdicts: Sequence[Verdict], names: Sequence[str]) -> list[list[str]]:
    """One line per cell: network, cell, verdict, and the figure of every check in `names`."""
    lines = []
    for verdict in verdicts:
        figures = {check.name: check.figure for check in verdict.checks}
        lines.append(
            [verdict.cell.model, verdict.cell.id, verdict.outcome, *(figures.get(name, "-") for name in names)]
        )
    return lines


def summary(verdicts: Sequence[Verdict], extra: Sequence[str], *, strict: bool) -> dict[str, Any]:
    """The last line of standard output; `passed` is what the status says."""
    by_outcome = {name: [one.cell.id for one in verdicts if one.outcome == name] for name in OUTCOMES}
    accepted = len(by_outcome[PASS]) + (0 if strict else len(verdicts) - len(by_outcome[PASS]) - len(by_outcome[FAIL]))
    counts = {name.replace(" ", "_"): len(ids) for name, ids in by_outcome.items()}
    told = {"cells": len(verdicts), **counts, "failed": by_outcome[FAIL], "extra": list(extra)}
    return told | {"strict": strict, "passed": accepted == len(verdicts)}


def run(given: argparse.Namespace) -> int:
    """Prints the table, a reason for every cell, and the summary; 0 when the gate is open."""
    limits = Limits(latency=given.latency_tolerance, accuracy=given.accuracy_tolerance)
    old, new = opened(given.old), opened(given.new)
    verdicts, extra = judge(old, new, limits), additions(old, new)
    names = titles(verdicts)
    headings = [*KEYS, *(TITLES.get(name, f"{name}, NEW / OLD [95 %]") for name in names)]
    console = Console(width=None if sys.stdout.isatty() else 300, highlight=False)
    console.print(terminal_table(f"{given.new} against {given.old}", headings, body(verdicts, names), texts=len(KEYS)))
    for verdict in verdicts:
        console.print(f"{verdict.outcome:>14}  {verdict.cell.id}: {verdict.reason}", soft_wrap=True, markup=False)
    for name in extra:
        console.print(f"{'only in NEW':>14}  {name}", soft_wrap=True, markup=False)
    told = summary(verdicts, extra, strict=given.strict)
    print(json.dumps(told | {"tolerances": asdict(limits)}))
    return 0 if told["passed"] else 1


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; a mistake in the input is one sentence on standard error and status 2."""
    given = arguments(argv)
    return exit_status("bench.gate", lambda: run(given))


if __name__ == "__main__":
    sys.exit(main())
