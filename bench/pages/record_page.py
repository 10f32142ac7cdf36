"""One record as a page: what was measured, its raw samples, every setting, the machine and the commits.

A number in a table leads here.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bench.pages.captions import flat, machine_line, settings
from bench.pages.html import environment
from bench.pages.page import Pairs
from bench.records import Record

BINS, MOST = 32, 99.5
"""Of a histogram; what lies beyond this percentile is counted in words."""
COSTS = {"Parameters": "params", "FLOPs (MAC)": "macs"}
LONGEST_TEXT = 120
"""Letters of a value that are still spelled out: predictions are a digit for every image."""


def record_page(record: Record, up: str, shown_by: Sequence[tuple[str, str]], json: str = "") -> str:
    """The page as text.

    Args:
        up: the way from its folder to that of index.html, like "../../..".
        shown_by: (name, address seen from the index) of the pages that show it.
        json: address of the record's own file; empty where that does not lie beside the pages.
    """
    timed = {batch: told for batch, told in (record.result.get("latency") or {}).items() if told.get("samples_ms")}
    every = [(name, text) for name, text in flat(record.result).items() if text]
    return (
        environment()
        .get_template("record.html.j2")
        .render(
            cell=record.cell,
            up=up,
            shown_by=shown_by,
            json=json,
            figures=figures(record.result),
            histograms=[histogram(batch, timed[batch]) for batch in sorted(timed, key=int)],
            curves=curves(record.result),
            origin=origin(record),
            settings=settings([record]),
            every=[(name, text if len(text) <= LONGEST_TEXT else f"{len(text)} letters") for name, text in every],
        )
    )


def figures(result: Mapping[str, Any]) -> Pairs:
    """What a reader looks for first."""
    told: Pairs = []
    if score := (result.get("accuracy") or {}).get("val_selected"):
        low, high = (100 * end for end in score["interval"])
        told.append(("Accuracy, %", f"{100 * score['overall']:.2f} [{low:.2f}, {high:.2f}], n = {score['n']:,}"))
    cost = result.get("cost") or {}
    told += [(title, f"{cost[name]:,}") for title, name in COSTS.items() if cost.get(name)]
    timed = {f"Batch {batch}": one for batch, one in (result.get("latency") or {}).items()}
    for title, one in (timed | (result.get("runtimes") or {})).items():
        told.append((f"{title}, ms", f"p50 {one['p50_ms']:.3f}, p90 {one['p90_ms']:.3f}"))
    return told + ([("Not measured", str(result["missing"]))] if result.get("missing") else [])


def histogram(batch: str, told: Mapping[str, Any]) -> dict[str, Any]:
    """Samples of one latency as bars of heights from 0 to 1, and the words around them."""
    samples = np.asarray(told["samples_ms"], float)
    top = float(np.percentile(samples, MOST))
    counts, edges = np.histogram(samples[samples <= top], bins=BINS)
    beyond = int((samples > top).sum())
    return {
        "title": f"Batch {batch}: {len(samples):,} runs, median {told['p50_ms']:.3f} ms",
        "bars": [round(float(count) / counts.max(), 3) for count in counts],
        "first": f"{edges[0]:.3f} ms",
        "last": f"{edges[-1]:.3f} ms",
        "beyond": f"{beyond} more, up to {samples.max():.2f} ms" if beyond else "",
    }


def curves(result: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Validation accuracy over the epochs of every training that watched it: points from 0 to 1, and a title."""
    told = []
    for stage, history in ((result.get("training") or {}).get("stages") or {}).items():
        known = [epoch["validation"] for epoch in history["epochs"] if epoch.get("validation") is not None]
        if len(known) > 1:
            low, high = min(known), max(known)
            points = [(i / (len(known) - 1), (one - low) / max(high - low, 1e-9)) for i, one in enumerate(known)]
            title = f"{stage}: {len(known)} epochs, validation {100 * low:.1f} to {100 * high:.1f} %"
            told.append({"title": title, "points": points})
    return told


def origin(record: Record) -> Pairs:
    """Where, when and with which code it was trained and measured."""
    state = ", and the working tree differed from it" if record.dirty else ""
    trained = [(f"Trained: {stage}", f"commit {one['commit']}") for stage, one in record.lineage.items()]
    measured = [("Measured", record.created), ("Commit", f"{record.commit}{state}")]
    return [("Machine", machine_line([record])), *measured, *_times(record), *trained]


def _times(record: Record) -> Pairs:
    """Where the times come from, when it is not where the rest does."""
    taken = record.times
    if taken is None:
        return []
    state = ", and the working tree differed from it" if taken["dirty"] else ""
    return [("Timed", taken["created"]), ("Commit of the times", f"{taken['commit']}{state}")]
