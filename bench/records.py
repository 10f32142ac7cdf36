"""Cells and records: one JSON file per measured cell, written by the machine and never edited.

A table is a pure rendering of such files (`bench.pages`). A record holds the whole configuration, the results with
their raw samples, the environment, and the commit; so a figure can be traced to the run that made it.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec

from bench.schema import Result, Trained
from compress.files import plain, write_atomic
from compress.timing.origin import Origin

SCHEMA: Final = 2
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
    ratio: Annotated[float, msgspec.Meta(ge=0, le=1)]
    """Requested share of channels to remove."""
    seed: Annotated[int, msgspec.Meta(ge=0)]
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
    """One measured cell."""

    cell: Cell
    config: dict[str, Any]
    """Every setting of every stage that led to this cell."""
    result: Result
    environment: dict[str, Any]
    commit: str
    """Of the code that measured; `lineage` says which code trained."""
    dirty: bool
    """True when the code that measures differed from `commit` (`compress.timing.machine.commit`)."""
    created: str
    """UTC, ISO 8601, to the second."""
    lineage: Mapping[str, Trained] = field(default_factory=dict)
    """Every training that led to the network measured, by the name of its stage."""
    times: Origin | None = None
    """Where the times come from, when it is not where the rest does: networks are timed in turns, so all are timed
    anew when one joins them."""
    schema: Literal[2] = SCHEMA

    @property
    def key(self) -> str | None:
        """Digest of everything that led to the network measured."""
        return self.config.get("key")

    @property
    def timing(self) -> Origin:
        """Which code took the times, on what machine, and when."""
        return self.times or Origin(
            commit=self.commit, dirty=self.dirty, created=self.created, environment=self.environment
        )


def dumps(value: Any) -> str:
    """JSON, one key a line for readable diffs, a list of numbers on one line.

    Raises:
        ValueError: NaN or infinity is among the numbers.
    """
    text = json.dumps(plain(value), indent=1, sort_keys=True, allow_nan=False)
    return _FLAT_LIST.sub(lambda match: f"[{' '.join(match[1].split())}]", text) + "\n"


def save(record: Record, root: Path) -> Path:
    """Writes `record` below `root` atomically; returns its path.

    Raises:
        ValueError: the record is not of this schema; nothing is written.
    """
    path = root / record.cell.path
    try:
        content = plain(record)
        msgspec.convert(content, Record)
        text = dumps(content)
    except ValueError as error:
        raise ValueError(f"{record.cell.id} cannot be recorded: {error}") from error
    write_atomic(path, text)
    return path


def load(path: Path) -> Record:
    """Reads one record.

    Raises:
        ValueError: the file is not JSON of this schema; the sentence names the file, the place and the mend.
    """
    try:
        content = msgspec.json.decode(path.read_bytes())
        schema = content["schema"]
        if schema == SCHEMA:
            checked = msgspec.convert(content, Record)
            return Record(**content | {"cell": checked.cell})
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is not a record ({error}); delete it and run bench.report again") from error
    mend = f"python reports/migrate.py {path.parent}" if schema == 1 else "measure the cell again"
    raise ValueError(f"{path} has schema {schema}, this version reads {SCHEMA}: {mend}")


def paths(folder: Path, pattern: str = "*.json") -> list[Path]:
    """The records' files, sorted; what a killed run left half-written begins with a dot and is none."""
    return sorted(path for path in folder.glob(pattern) if not path.name.startswith("."))


def made_by(path: Path, key: str) -> bool:
    """Whether the record at `path` exists and measures the network of this key."""
    return path.exists() and load(path).key == key


def load_all(root: Path, *, table: str, data: str, scale: str, beside: Sequence[str] = ()) -> dict[Cell, Record]:
    """Every record of one table, data set and scale, sorted by cell; empty when there is none.

    Args:
        beside: other tables whose records of the same data set and scale are read, too.
    """
    records = [load(path) for name in (table, *beside) for path in paths(root / name / data / scale)]
    return {record.cell: record for record in sorted(records, key=lambda record: record.cell)}
