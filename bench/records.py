"""Cells and records: one JSON file per measured cell, written by the machine and never edited.

A table is a pure rendering of such files (`bench.pages`). A record holds the whole configuration, the results with
their raw samples, the environment, and the commit; so a figure can be traced to the run that made it.
"""

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from compress.files import plain, write_atomic

SCHEMA = 1
_FLAT_LIST = re.compile(r'\[\n\s*([^\[\]{}"]*?)\n\s*\]')
"""A list of numbers as json.dumps spreads it. Strings hold no raw newline, so nothing inside one can match."""


@dataclass(frozen=True, kw_only=True, order=True)
class Cell:
    """What one record measures: the coordinates of a row."""

    table: str
    data: str
    """Name of the data set, without its path: a record must not carry somebody's folders."""
    scale: str
    model: str
    variant: str
    """dense: trained without sparsity; sparse: after the sparse stage, uncut; slim: cut; random, short: its control;
    timed: cut by measured milliseconds; svm: a handcrafted baseline."""
    ratio: float
    """Requested share of channels to remove, 0 to 1."""
    seed: int
    runtime: str = ""
    """Name in `compress.runtimes.RUNTIMES`, where the table tells them apart."""
    precision: str = ""

    @property
    def id(self) -> str:
        network = f"{self.model}-{self.variant}-{round(self.ratio * 100):02d}-s{self.seed}"
        return "-".join(part for part in (network, self.runtime, self.precision) if part)

    @property
    def path(self) -> Path:
        """Where the record lies below the records folder."""
        return Path(self.table) / self.data / self.scale / f"{self.id}.json"


@dataclass(frozen=True, kw_only=True)
class Record:
    """One measured cell. `result` is documented in `bench.make.pipeline.result_of` and read by `bench.tables`."""

    cell: Cell
    config: dict[str, Any]
    """Every setting of every stage that led to this cell."""
    result: dict[str, Any]
    environment: dict[str, Any]
    commit: str
    dirty: bool
    """True when the code that measures differed from `commit` (`compress.timing.machine.commit`)."""
    created: str
    """UTC, ISO 8601, to the second."""
    schema: int = field(default=SCHEMA)

    @property
    def key(self) -> str | None:
        """Digest of everything that led to the network measured."""
        return self.config.get("key")


def dumps(value: Any) -> str:
    """JSON, one key a line for readable diffs, a list of numbers on one line."""
    text = json.dumps(plain(value), indent=1, sort_keys=True)
    return _FLAT_LIST.sub(lambda match: f"[{' '.join(match[1].split())}]", text) + "\n"


def save(record: Record, root: Path) -> Path:
    """Writes `record` below `root` atomically; returns its path."""
    path = root / record.cell.path
    write_atomic(path, dumps(record))
    return path


def load(path: Path) -> Record:
    """Reads one record.

    Raises:
        ValueError: the file is not JSON of this schema; the sentence names the file and the mend.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        schema = content["schema"]
        record = Record(cell=Cell(**content.pop("cell")), **content) if schema == SCHEMA else None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} is not a record ({error}); delete it and run bench.report again") from error
    if record is None:
        raise ValueError(f"{path} has schema {schema}, this version reads {SCHEMA}; measure the cell again")
    return record


def made_by(path: Path, key: str) -> bool:
    """Whether the record at `path` exists and measures the network of this key."""
    return path.exists() and load(path).key == key


def load_all(root: Path, *, table: str, data: str, scale: str) -> dict[Cell, Record]:
    """Every record of one table, data set and scale, sorted by cell; empty when there is none."""
    folder = root / table / data / scale
    records = [load(path) for path in sorted(folder.glob("*.json"))]
    return {record.cell: record for record in sorted(records, key=lambda record: record.cell)}
