"""Damages inputs of every kind, the same ones for the same seed, and counts how each ends.

A forked worker reads one input after the other: what it has imported once is there for all, and where it crashes or
hangs, the next worker goes on behind the input that did it.
"""

import json
import multiprocessing
import os
import random
import shutil
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

import psutil

SLOW_S = 10.0
"""Seconds of processor time after which an input counts as a hang and its worker is killed: they tell a hang on a busy
machine, too."""
ASLEEP = 30
"""So many times as long may an input take by the clock, in which a worker that waits for ever uses no processor."""
TOKENS = (b"", b"\0", b"-1", b"NaN", b"1e999", b"null", b"[]", b"{}", b'"', b",", b"\xff", b"9" * 40, b"[" * 2000)
ODD = (None, True, -1, 0, 3, 1.5, 1e308, 10**30, "", "x", "nan", "\ud800", [], [0], [[]], {}, {"a": 1}, "n" * 3000)
"""What stands in JSON where something else was due."""


class Kind(NamedTuple):
    """One kind of input."""

    make: Callable[[], bytes]
    """A right one; the driver damages it."""
    consume: Callable[[Path], Any]
    """Reads the file; may raise ValueError."""
    name: str = "input"
    """Of the file."""
    signed: bool = False
    """It carries a digest: what is read of a damaged one is what is read of the right one, or nothing."""


@dataclass(kw_only=True)
class Outcome:
    """How many inputs were read, refused, or did what none may."""

    ends: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    """Kind, number and the last lines of what went wrong."""


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """All inputs of a run: number -> kind and content."""

    kinds: Mapping[str, Kind]
    right: Mapping[str, bytes]
    wanted: Mapping[str, Any]
    """What is read of the right ones that are signed."""
    seed: int
    folder: Path

    def name(self, number: int) -> str:
        return list(self.kinds)[number % len(self.kinds)]

    def content(self, number: int) -> bytes:
        whole, chance = self.right[self.name(number)], random.Random(f"{self.seed} {number}")
        return odd_json(whole, chance) if whole[:1] in b"{[" and chance.random() < 0.5 else damaged(whole, chance)


def damaged(whole: bytes, chance: random.Random) -> bytes:
    """`whole` with one to four flipped bits, cuts, repeats or foreign tokens; half of the time with flips alone."""
    data, ways = bytearray(whole), chance.choice((1, 4))
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(data) + 1)
        way = chance.randrange(ways)
        if way == 0 and at < len(data):
            data[at] ^= 1 << chance.randrange(8)
        elif way == 1:
            del data[at : at + chance.choice((1, 8, len(data)))]
        elif way == 2:
            data[at:at] = data[at : at + chance.choice((1, 64))]
        else:
            data[at : at + chance.randint(0, 6)] = chance.choice(TOKENS)
    return bytes(data)


def odd_json(whole: bytes, chance: random.Random) -> bytes:
    """JSON in which one value is another one, or is missing."""
    content = [json.loads(whole)]
    places: list[tuple[Any, Any]] = []
    rest: list[Any] = [content]
    while rest:
        here = rest.pop()
        found = list(here.items()) if isinstance(here, dict) else list(enumerate(here))
        places += [(here, key) for key, _ in found]
        rest += [value for _, value in found if isinstance(value, (dict, list))]
    here, key = chance.choice(places)
    if here is not content and chance.random() < 0.2:
        del here[key]
    else:
        here[key] = chance.choice(ODD)
    return json.dumps(content[0]).encode()


def fuzz(inputs: int, *, kinds: Mapping[str, Kind], seed: int = 0, limit_s: float = SLOW_S) -> Outcome:
    """`inputs` damaged inputs, the kinds in turn."""
    outcome, right = Outcome(), {name: kind.make() for name, kind in kinds.items()}
    with tempfile.TemporaryDirectory() as folder:
        wanted = {
            name: _consumed(kind, right[name], Path(folder) / "right") for name, kind in kinds.items() if kind.signed
        }
        todo = Inputs(kinds=kinds, right=right, wanted=wanted, seed=seed, folder=Path(folder))
        number = 0
        while number < inputs:
            number = _watched(todo, range(number, inputs), outcome, limit_s)
    return outcome


def _watched(todo: Inputs, numbers: range, outcome: Outcome, limit_s: float) -> int:
    """One worker until it has done all `numbers`, crashes or hangs; returns the number where the next one begins."""
    fork = multiprocessing.get_context("fork")
    reading, writing = fork.Pipe(duplex=False)
    worker = fork.Process(target=_work, args=(todo, numbers, writing))
    worker.start()
    writing.close()
    try:
        for number in numbers:
            told = f"{todo.name(number)} {number}"
            if _hangs(worker.pid, reading, limit_s):
                outcome.faults.append(f"{told}: hangs for {limit_s:g} s")
                return number + 1
            try:
                end, fault = reading.recv()
            except EOFError:
                worker.join()
                outcome.faults.append(f"{told}: the process ended with status {worker.exitcode}")
                return number + 1
            outcome.ends[end] += 1
            outcome.faults += [f"{told}: {fault}"] if fault else []
        return numbers.stop
    finally:
        worker.kill()
        worker.join()
        reading.close()


def _hangs(pid: int | None, reading: Connection, limit_s: float) -> bool:
    """Whether the worker says nothing for so long."""
    began, spent = time.monotonic(), _spent(pid)
    while not reading.poll(limit_s):
        if _spent(pid) - spent >= limit_s or time.monotonic() - began >= ASLEEP * limit_s:
            return True
    return False


def _spent(pid: int | None) -> float:
    """Seconds of processor time of a process."""
    used = psutil.Process(pid).cpu_times()
    return used.user + used.system


def _work(todo: Inputs, numbers: range, writing: Connection) -> None:
    """In the worker: how each input ended, and its fault or "", into the pipe. What libraries print is nobody's."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    for number in numbers:
        writing.send(_ended(todo, number))


def _ended(todo: Inputs, number: int) -> tuple[str, str]:
    name, folder = todo.name(number), todo.folder / str(number)
    try:
        found = _consumed(todo.kinds[name], todo.content(number), folder)
    except ValueError as error:
        return "refused", "" if str(error).strip() else "no sentence"
    except Exception:
        return "fault", traceback.format_exc(limit=-3)
    accepted = todo.kinds[name].signed and found != todo.wanted[name]
    return "read", "a damaged file is read as if it were whole" if accepted else ""


def _consumed(kind: Kind, content: bytes, folder: Path) -> Any:
    folder.mkdir()
    try:
        (folder / kind.name).write_bytes(content)
        return kind.consume(folder / kind.name)
    finally:
        shutil.rmtree(folder)
