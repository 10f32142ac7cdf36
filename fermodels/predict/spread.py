"""`predict` over many files: as tasks of Ray, and into a file that a second call continues.

A task is a chunk of paths, opened where it runs: every machine sees the files, the model and the working folder under
the same names. A lost worker's chunk runs again. The rows are those of the local command.
"""

import csv
import io
import json
import os
from collections.abc import Callable, Container, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from itertools import islice
from pathlib import Path

from compress.cluster import RETRIES, cluster, outcome
from compress.escaping import csv_cell
from compress.files import atomic_path
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


def continued(path: Path, top: int) -> tuple[Writer, Callable[[File], bool]]:
    """A writer that appends rows to `path`, and whether a file has its rows there already.

    The last file in it is done again: whoever was killed may not have written all of its rows.

    Raises:
        ValueError: another suffix than those of `FORMS`, or a file with other columns.
    """
    form = FORMS.get(path.suffix.lower())
    if form is None:
        raise ValueError(f"--out {path}: the suffix says the form, {' or '.join(FORMS)}")
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    kept, done = (_kept_csv if form == "csv" else _kept_json)(text, path, top)
    with atomic_path(path) as temporary:
        stream = temporary.open("w", encoding="utf-8", newline="")
        write = WRITERS[form](stream, top)
        stream.write(kept)
        stream.flush()
    return write, lambda file: _name(file, form) in done


def _name(file: File, form: str) -> str:
    name = file.file if isinstance(file, Frame) else told(file)
    return str(csv_cell(name)) if form == "csv" else name


def _kept_json(text: str, path: Path, top: int) -> tuple[str, Container[str]]:
    lines = text.split("\n")[:-1]
    found = [json.loads(line) for line in lines]
    _must_be(path, all(list(row) == columns(top) for row in found))
    names = [row["file"] for row in found]
    whole = [line for line, name in zip(lines, names, strict=True) if name != names[-1]]
    return "".join(f"{line}\n" for line in whole), set(names) - set(names[-1:])


def _kept_csv(text: str, path: Path, top: int) -> tuple[str, Container[str]]:
    found = list(csv.reader(io.StringIO(text, newline="")))
    found = found if text.endswith("\n") else found[:-1]
    _must_be(path, not found or found[0] == columns(top))
    names = [row[0] for row in found[1:]]
    kept = io.StringIO()
    csv.writer(kept, lineterminator="\n").writerows(row for row in found[1:] if row[0] != names[-1])
    return kept.getvalue(), set(names) - set(names[-1:])


def _must_be(path: Path, same: bool) -> None:
    if not same:
        raise ValueError(f"--out {path} has other columns: give the --top of the first call, or another file")
