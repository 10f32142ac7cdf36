"""Which code measures, on what machine, and when: what a record says of its figures, and of its times."""

import time
from dataclasses import replace
from typing import Any

from bench.records import Record
from bench.schema import Origin
from compress.timing.machine import commit, environment


def origin() -> Origin:
    """This code, this machine, now."""
    sha, dirty = commit()
    created = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    return Origin(commit=sha, dirty=dirty, created=created, environment=environment())


def with_times(record: Record, told: dict[str, Any], taken: Origin | None = None) -> Record:
    """`record` with newer times.

    Args:
        told: what changes in its result.
        taken: which code took them, where and when; now, if None. The record tells it apart from its own where the
            two differ in more than the second.
    """
    taken = taken or origin()
    same = all(taken[key] == getattr(record, key) for key in ("commit", "dirty", "environment"))
    return replace(record, result={**record.result, **told}, times=None if same else taken)
