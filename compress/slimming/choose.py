"""From a target to the channels that stay: by their share, by what they cost, or by measured milliseconds."""

import tempfile
from pathlib import Path
from typing import Any

from compress.slimming.milliseconds import select_for_ms
from compress.slimming.select import Kept, select, select_within
from compress.slimming.targets import Subject, Target
from compress.slimming.widths import counter


def choose(target: Target, subject: Subject) -> tuple[Kept, dict[str, Any] | None]:
    """The channels that stay, and of a target in milliseconds what was measured (the key `timing` of a plan)."""
    if target.unit == "channels":
        kept = select(subject.scores, target.wanted, rule=subject.rule, floor=subject.floor, align=subject.align)
        return kept, None
    if subject.rule != "exact":
        raise ValueError(f'rule="{subject.rule}" knows a share of channels only: give ratio=, or rule="exact"')
    return _within_milliseconds(target, subject) if target.unit == "ms" else (_within_share(target, subject), None)


def _within_share(target: Target, subject: Subject) -> Kept:
    count = counter(subject.net, subject.example, subject.groups, target.unit)
    whole = count({group.name: group.size for group in subject.groups})
    try:
        return select_within(
            subject.scores,
            lambda widths: count(widths) / whole,
            target.wanted,
            floor=subject.floor,
            align=subject.align,
        )
    except ValueError as error:
        raise ValueError(f"{target.name}={target.wanted:g}: {error}") from error


def _within_milliseconds(target: Target, subject: Subject) -> tuple[Kept, dict[str, Any]]:
    from compress.timing.beside import RuntimeStopwatch

    called = {"runtime": target.runtime, "batch": target.batch, "output": subject.output}
    with tempfile.TemporaryDirectory() as folder:
        stopwatch = RuntimeStopwatch(subject.net, subject.example, Path(folder), **called)
        timed = select_for_ms(subject, target.wanted, stopwatch)
    return timed.kept, timed.provenance | {"ms": timed.ms, "ms_before": timed.ms_before}
