"""A folder that compress.export wrote, timed: what can run from it, and how fast each is beside eager float32 PyTorch.

All sessions of one batch size take turns in one process, so every ratio is paired.
"""

import shlex
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from compress.exporting.onnx_file import onnx_name
from compress.exporting.program import PROGRAM, load_program
from compress.exporting.signed_onnx import described
from compress.files import plain
from compress.runtimes import RUNTIMES, Session, Unavailable
from compress.timing.energy import energy_of
from compress.timing.footprint import opened_file, peak_memory
from compress.timing.latency import subject_of_session, summarise
from compress.timing.turns import Progress, Samples, Subject, measure_turns

Kind = tuple[str, str]
"""Runtime and precision."""
REFERENCE: Kind = ("torch", "fp32")
"""What every other runtime and precision of the same network is compared with."""
ON_REQUEST = ("torch-compile",)
"""Runtimes that are timed only when asked for by name: they compile for minutes."""
PRECISIONS = tuple(dict.fromkeys(precision for runtime in RUNTIMES.values() for precision in runtime.precisions))
SILENT = ("ratio_to_dense", "launch")
"""What a record's latency has and a single network's has not."""


@dataclass(frozen=True, kw_only=True)
class Ready:
    """An artefact that runs here."""

    session: Session
    artefact_bytes: int


def kinds_in(folder: Path, runtimes: Sequence[str] = (), precisions: Sequence[str] = ()) -> list[Kind]:
    """Everything that can run from what lies in `folder`; eager float32 PyTorch, the reference, is always the first.

    Args:
        runtimes: those asked for by name; none: all but `ON_REQUEST`.
        precisions: those asked for by name; none: those whose file is there.

    Raises:
        ValueError: no deployed folder, a name that does not exist, or a file that is not there for what was asked for.
    """
    _deployed(folder)
    _known("--runtime", runtimes, RUNTIMES)
    _known("--precision", precisions, PRECISIONS)
    names = runtimes or [name for name in RUNTIMES if name not in ON_REQUEST]
    wanted = [(name, own) for name in names for own in RUNTIMES[name].precisions if not precisions or own in precisions]
    idle = {*runtimes, *precisions} - {word for kind in wanted for word in kind}
    if idle:
        have = "; ".join(f"{name} has {', '.join(RUNTIMES[name].precisions)}" for name in names)
        raise ValueError(f"nothing to time for {', '.join(sorted(idle))}: {have}")
    absent = [kind for kind in wanted if not _lies(folder, kind)]
    found = [kind for kind in wanted if kind not in absent]
    if absent and (precisions or not found):
        raise ValueError(_mend(folder, absent[0]))
    return list(dict.fromkeys([REFERENCE, *found]))


def open_all(folder: Path, kinds: Iterable[Kind]) -> tuple[dict[Kind, Ready], dict[Kind, str]]:
    """What runs here, and for what does not the sentence why.

    Raises:
        Unavailable, ValueError: the reference does not run.
    """
    ready: dict[Kind, Ready] = {}
    missing: dict[Kind, str] = {}
    for kind in kinds:
        print(f"opening {' '.join(kind)}", file=sys.stderr, flush=True)
        try:
            session, size = opened_file(folder / onnx_name(kind[1]), *kind)
        except (Unavailable, ValueError) as reason:
            if kind == REFERENCE:
                raise
            missing[kind] = str(reason)
        else:
            ready[kind] = Ready(session=session, artefact_bytes=int(size["artefact_bytes"]))
    return ready, missing


def runnable(ready: Mapping[Kind, Ready], batch: int) -> tuple[dict[Kind, Subject], dict[Kind, str]]:
    """A subject of every session that has run once at `batch`, and for the others the sentence why not.

    Raises:
        ValueError: the reference does not run at this batch size.
    """
    subjects: dict[Kind, Subject] = {}
    missing: dict[Kind, str] = {}
    for kind, one in ready.items():
        subject = subject_of_session(one.session, batch)
        try:
            subject()
        except Exception as error:  # the runtimes' errors share no base class; too little memory, too large a batch
            missing[kind] = f"does not run at batch {batch} ({str(error).strip() or repr(error)})"
        else:
            subjects[kind] = subject
    if REFERENCE in missing:
        raise ValueError(f"{' '.join(REFERENCE)}, the reference, {missing[REFERENCE]}: ask for smaller batches")
    return subjects, missing


def timed(
    ready: Mapping[Kind, Ready],
    subjects: Mapping[Kind, Subject],
    batch: int,
    *,
    runs: int,
    seconds: float,
    progress: Progress | None = None,
) -> list[dict[str, Any]]:
    """One row for each of `subjects`, measured in turns: a record's latency, cost, energy and the paired ratio.

    Args:
        runs, seconds: at least so many runs and so many seconds of runs of each.
    """
    named = {" ".join(kind): subject for kind, subject in subjects.items()}
    turns = measure_turns(named, min_runs=runs, min_seconds=seconds, progress=progress)
    return [_row(kind, ready[kind], subject, turns, batch) for kind, subject in subjects.items()]


def _row(kind: Kind, one: Ready, subject: Subject, turns: Mapping[str, Samples], batch: int) -> dict[str, Any]:
    own = turns[" ".join(kind)]
    figures = summarise(own, batch=batch, runtime=kind[0], precision=kind[1])
    figures = replace(figures, memory=peak_memory(subject))
    row = {name: value for name, value in plain(figures).items() if name not in SILENT}
    row |= {"artefact_bytes": one.artefact_bytes, "times_as_fast": None}
    row |= {"energy": plain(energy_of(subject, batch, device=one.session.io.device))}
    if kind == REFERENCE:
        return row
    pair = own.ratio_to(turns[" ".join(REFERENCE)])
    faster = {"factor": 1 / pair.ratio, "lo": 1 / pair.interval[1], "hi": 1 / pair.interval[0]}
    return row | {"times_as_fast": faster}


def _deployed(folder: Path) -> None:
    """Refuses what `compress.export` did not write, and files of another network than the program's."""
    if not folder.is_dir():
        raise ValueError(f"{folder} is no folder: give the one that python -m compress.export wrote (--out)")
    if not (folder / PROGRAM).is_file():
        command = shlex.join(["python", "-m", "compress.export", "CHECKPOINT", "--out", str(folder)])
        raise ValueError(f"{folder} holds no {PROGRAM}, nothing was exported into it: {command}")
    weights = load_program(folder / PROGRAM)[1]["weights"]
    files = [folder / name for name in dict.fromkeys(map(onnx_name, PRECISIONS))]
    strangers = [file.name for file in files if file.is_file() and described(file).get("weights") != weights]
    if strangers:
        raise ValueError(
            f"{', '.join(strangers)} in {folder} {'comes' if len(strangers) == 1 else 'come'} from another network "
            f"than {PROGRAM}: export again what shall be timed, or delete it"
        )


def _known(option: str, given: Iterable[str], allowed: Iterable[str]) -> None:
    if unknown := [name for name in given if name not in allowed]:
        raise ValueError(f"{option} {','.join(unknown)}: allowed are {', '.join(allowed)}")


def _lies(folder: Path, kind: Kind) -> bool:
    """Whether the file that `kind` is built from lies in `folder`."""
    return RUNTIMES[kind[0]].source(folder / onnx_name(kind[1])).is_file()


def _mend(folder: Path, kind: Kind) -> str:
    """The sentence with the command that makes the ONNX file of `kind`."""
    file = onnx_name(kind[1])
    precision = Path(file).stem
    runtime = "onnxruntime" if precision in RUNTIMES["onnxruntime"].precisions else kind[0]
    words = ["CHECKPOINT", "--runtime", runtime, "--precision", precision, "--out", str(folder)]
    words += ["--data", "NAME:PATH"] if precision == "int8" else []
    command = shlex.join(["python", "-m", "compress.export", *words])
    return f"{folder} holds no {file}, which {' '.join(kind)} needs: {command}"
