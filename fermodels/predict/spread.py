"""`predict` over many files: as tasks of Ray, and into a file that a second call continues.

A task is a chunk of paths, opened where it runs: every machine sees the files, the model and the working folder under
the same names. A lost worker's chunk runs again. The rows are those of the local command.
"""

import csv
import io
import json
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

from compress.cluster import RETRIES, cluster, outcome
from compress.escaping import csv_cell
from compress.files import atomic_path, digest, must_be_writable, plain, write_json
from compress.locks import locked
from compress.typed_json import read_json
from fermodels.predict.models import open_model
from fermodels.predict.pictures import Frame
from fermodels.predict.predictor import SMALLEST, Predictor, Region, predictions
from fermodels.predict.rows import WRITERS, Row, Writer, columns, rows
from fermodels.predict.sources import frames, told

CHUNK = 64
"""Files of one task."""
AHEAD = 2
"""Tasks that are submitted for each CPU: one runs, one waits."""
FORMS = {".csv": "csv", ".jsonl": "json"}
"""Suffix of an output file -> the form of its rows."""
File = Path | Frame
"""A frame stands for a folder that could not be searched."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything that makes a `Predictor`, and a row."""

    model: str
    runtime: str | None = None
    precision: str | None = None
    device: str | None = None
    detector: str | None = "mtcnn"
    roi: Region | None = None
    smallest: float = SMALLEST
    turns: bool = False
    every: int = 1
    top: int = 1

    def told(self, predictor: Predictor) -> dict[str, Any]:
        """What rows depend on: of the model what it says of itself, whatever its place is called."""
        names = ("precision", "detector", "roi", "smallest", "turns", "every")
        return {"model": digest(predictor.model.about)} | {name: getattr(self, name) for name in names}

    def predictor(self) -> Predictor:
        model = open_model(self.model, runtime=self.runtime, precision=self.precision, device=self.device)
        return Predictor(model, self.detector, roi=self.roi, smallest=self.smallest, turns=self.turns)


def spread(
    files: Iterable[File], settings: Settings, *, address: str | None = None, ordered: bool = True
) -> Iterator[Row]:
    """The rows of `files` from the tasks of a Ray, by default in the order of `files`.

    Args:
        address: of a cluster; None: a Ray of this machine's own.
        ordered: else chunks come as they are done.

    Raises:
        Unavailable: Ray is not installed.
        ConnectionError: there is no cluster, or one chunk's workers were lost again and again.
    """
    with cluster(address, os.cpu_count() or 1) as ray:
        task = ray.remote(max_retries=RETRIES, num_cpus=1)(_rows_of)
        most = AHEAD * max(1, int(ray.cluster_resources().get("CPU", 1)))
        given, waiting, folder = iter(files), [], os.getcwd()
        while True:
            while len(waiting) < most and (chunk := list(islice(given, CHUNK))):
                waiting.append(task.remote(chunk, settings, folder))
            if not waiting:
                return
            first = waiting[0] if ordered else ray.wait(waiting, num_returns=1)[0][0]
            waiting.remove(first)
            yield from outcome(ray, first)


def _rows_of(chunk: list[File], settings: Settings, folder: str) -> list[Row]:
    os.chdir(folder)
    stream = opened(chunk, settings.every)
    answers = predictions(_predictor(settings), stream)
    return [row for frame, faces in answers for row in rows(frame, faces, settings.top)]


_predictor = cache(Settings.predictor)
"""One for each worker."""


def opened(files: Iterable[File], every: int) -> Iterator[Frame]:
    """The frames of files as `fermodels.predict.sources.files_of` gives them."""
    for file in files:
        yield from [file] if isinstance(file, Frame) else frames([file], every=every)


@contextmanager
def continued(path: Path, top: int, settings: dict[str, Any]) -> Iterator[tuple[Writer, Callable[[File], bool]]]:
    """A writer that appends rows to `path`, and whether a file has its rows there already. Another process that writes
    to the same file is waited for.

    The last file in it is done again: whoever was killed may not have written all of its rows. What led to the rows
    (`settings`) is kept beside them.

    Raises:
        ValueError: another suffix than those of `FORMS`, no rows of this command, or rows of other settings.
    """
    form = FORMS.get(path.suffix.lower())
    if form is None:
        raise ValueError(f"--out {path}: the suffix says the form, {' or '.join(FORMS)}")
    must_be_writable(path)
    place = Path(os.path.realpath(path))
    with locked(place.with_name(f".{place.name}.lock"), f"predict --out {path}"):
        kept, done = _kept(path, form, top)
        _refuse_others(place, settings, bool(done))
        with atomic_path(place) as temporary:
            stream = temporary.open("w", encoding="utf-8", newline="")
            write = WRITERS[form](stream, top)
            stream.write(kept)
            stream.flush()
        with stream:
            yield write, lambda file: _name(file, form) in done


def _kept(path: Path, form: str, top: int) -> tuple[str, set[str]]:
    """The rows in `path` that stay, and the files whose rows they are.

    Raises:
        ValueError: there are no rows of this command, or rows with another `top`.
    """
    data = path.read_bytes() if path.exists() else b""
    end = data.rfind(b"\n") + 1
    read = _kept_csv if form == "csv" else _kept_json
    try:
        return read(data[:end].decode(), data[end:].decode("utf-8", "ignore"), top)
    except (csv.Error, ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"--out {path} holds no rows of this command and --top ({error}): name another file") from None


def _refuse_others(path: Path, settings: dict[str, Any], begun: bool) -> None:
    """Raises ValueError where the rows in `path` come from other settings; else notes these beside it."""
    beside = path.with_name(f"{path.name}.settings.json")
    if begun and beside.is_file():
        before = read_json(beside, dict[str, Any], what="settings of rows", mend=f"Name another file than {path}")
        if other := [name for name, value in plain(settings).items() if before.get(name) != value]:
            raise ValueError(f"--out {path} has rows of another {', '.join(other)}: name another file")
    write_json(beside, settings)


def _name(file: File, form: str) -> str:
    name = file.file if isinstance(file, Frame) else told(file)
    return str(csv_cell(name)) if form == "csv" else name


def _kept_json(whole: str, rest: str, top: int) -> tuple[str, set[str]]:
    """The lines that stay and the files whose rows they are; `rest` is what was written of a last one."""
    lines = whole.split("\n")[:-1]
    found = [json.loads(line) for line in lines]
    _must_be(all(list(row) == columns(top) for row in found) and _begins(rest, '{"file": "'))
    names = [str(row["file"]) for row in found]
    kept = [line for line, name in zip(lines, names, strict=True) if name != names[-1]]
    return "".join(f"{line}\n" for line in kept), set(names) - set(names[-1:])


def _kept_csv(whole: str, rest: str, top: int) -> tuple[str, set[str]]:
    """As `_kept_json`."""
    head, *found = [row for row in csv.reader(io.StringIO(whole, newline="")) if row] or [columns(top)]
    _must_be(head == columns(top) and all(len(row) == len(head) for row in found))
    _must_be(bool(whole) or ",".join(head).startswith(rest))
    names = [row[0] for row in found]
    kept = io.StringIO()
    csv.writer(kept, lineterminator="\n").writerows(row for row in found if row[0] != names[-1])
    return kept.getvalue(), set(names) - set(names[-1:])


def _begins(text: str, start: str) -> bool:
    return text.startswith(start) or start.startswith(text)


def _must_be(same: bool) -> None:
    if not same:
        raise ValueError("it has other columns")
