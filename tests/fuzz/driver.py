"""Damages inputs of every kind, the same ones for the same seed, and counts how each ends."""

import random
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from fuzz.kinds import KINDS, Kind

SLOW_S = 10.0
"""Seconds after which an input counts as a hang."""
TOKENS = (b"", b"\0", b"-1", b"NaN", b"1e999", b"null", b"[]", b"{}", b'"', b",", b"\xff", b"9" * 40, b"[" * 2000)


@dataclass(kw_only=True)
class Outcome:
    """How many inputs were read, refused, or did what none may."""

    ends: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    """Kind, number and the last lines of what went wrong."""


def damaged(whole: bytes, chance: random.Random) -> bytes:
    """`whole` with one to four flipped bits, cuts, repeats or foreign tokens."""
    data = bytearray(whole)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(data) + 1)
        way = chance.randrange(4)
        if way == 0 and at < len(data):
            data[at] ^= 1 << chance.randrange(8)
        elif way == 1:
            del data[at : at + chance.choice((1, 8, len(data)))]
        elif way == 2:
            data[at:at] = data[at : at + chance.choice((1, 64))]
        else:
            data[at : at + chance.randint(0, 6)] = chance.choice(TOKENS)
    return bytes(data)


def fuzz(inputs: int, *, seed: int = 0, kinds: Mapping[str, Kind] = KINDS) -> Outcome:
    """`inputs` damaged inputs, the kinds in turn."""
    outcome, names = Outcome(), list(kinds)
    right = {name: kind.make() for name, kind in kinds.items()}
    for number in range(inputs):
        name = names[number % len(names)]
        content = damaged(right[name], random.Random(f"{seed} {number}"))
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "input"
            path.write_bytes(content)
            before = time.monotonic()
            try:
                kinds[name].consume(path)
                outcome.ends["read"] += 1
            except ValueError as error:
                outcome.ends["refused"] += 1
                if not str(error).strip():
                    outcome.faults.append(f"{name} {number}: no sentence")
            except Exception:
                outcome.faults.append(f"{name} {number}: {traceback.format_exc(limit=-2)}")
            if time.monotonic() - before > SLOW_S:
                outcome.faults.append(f"{name} {number}: took {time.monotonic() - before:.0f} s")
    return outcome
