"""Which times need a word of warning: judged when a page is made, from what the records hold.

A factor is paired: what slows both networks of a turn alike does not move it, so its own 95 % interval judges it. Plain
milliseconds, of a network that is compared with none, are judged by the robust spread of their turns.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from jaxtyping import Float

from bench.pages.cells import named
from bench.pages.columns import percent
from bench.records import Record
from compress.timing.stats import robust_spread
from compress.timing.turns import NOISY_SPREAD

WIDE = 0.05
"""Half of an interval over its factor; above it the factor is marked."""
RULE = (
    f"A time is noisy if the 95 % interval of its speed-up reaches more than {100 * WIDE:.0f} % to either side; if it "
    f"has no speed-up, if its turns differ by more than {100 * NOISY_SPREAD:.0f} % (robust standard deviation)"
)


def doubt(told: Mapping[str, Any], factors: Iterable[tuple[float, float, float]] | None = None) -> str:
    """What is doubtful of one latency of a record, in a few words; empty where nothing is.

    Args:
        factors: (factor, low, high), where they are not those of the record.
    """
    if factors is None:
        factors = [(pair["ratio"], *pair["interval"]) for pair in told["ratios"].values()]
    halves = [(high - low) / 2 / factor for factor, low, high in factors]
    if halves:
        return f"a speed-up is uncertain by {100 * max(halves):.1f} %" if max(halves) > WIDE else ""
    spread = spread_of(told)
    if spread is None:
        return "noisy when it was measured, and no samples are kept" if told["noisy"] else ""
    return f"turns differ by {100 * spread:.1f} %" if spread > NOISY_SPREAD else ""


def doubts(records: Iterable[Record], models: Mapping[str, str], variants: Mapping[str, str]) -> list[str]:
    """A line for every time of `records` that is doubtful; `models` and `variants` are those of `named`."""
    found = [(one.cell, what, text) for one in records for what, text in _doubts(one).items()]
    return [
        f"{named(cell, models, variants)}{f', {percent(cell.ratio)}' if cell.ratio else ''}, {what}: {text}"
        for cell, what, text in found
    ]


def noise(records: Iterable[Record]) -> list[str]:
    """One remark on what is doubtful of a row, or none; of several seeds the last one is told."""
    found = {what: text for record in records for what, text in _doubts(record).items()}
    return [f"noisy timing: {'; '.join(f'{what}, {text}' for what, text in found.items())}"] if found else []


def spread_line(records: Iterable[Record]) -> str:
    """The end of a sentence: from where to where the turns of the records spread; empty where no samples are kept."""
    found = [spread_of(told) for record in records for told in _timed(record).values()]
    known = [spread for spread in found if spread is not None]
    if not known:
        return ""
    low, high = (f"{100 * end:.0f}" for end in (min(known), max(known)))
    return f"; turns differ by {low if low == high else f'{low} to {high}'} % (robust standard deviation)"


def spread_of(told: Mapping[str, Any]) -> float | None:
    """Robust spread of the turns of one latency; None where its samples are not kept."""
    return robust_spread(turns_of(told)) if told.get("samples_ms") else None


def turns_of(told: Mapping[str, Any]) -> Float[np.ndarray, " turns"]:
    """Median of every turn, ms."""
    return np.median(np.array(told["samples_ms"]).reshape(-1, told.get("per_turn", 1)), axis=1)


def _timed(record: Record) -> dict[str, Mapping[str, Any]]:
    """Every latency of a record by what it is of."""
    latency = {f"batch {batch}": told for batch, told in (record.result.get("latency") or {}).items()}
    return {**latency, **(record.result.get("runtimes") or {})}


def _doubts(record: Record) -> dict[str, str]:
    return {what: text for what, told in _timed(record).items() if (text := doubt(told))}
