"""The table of runtimes as a page: one row for every network in every runtime and precision that it runs in."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from bench.pages.captions import code_line, machine_line
from bench.pages.noise import RULE, spread_line
from bench.pages.page import Figures, Page, Pairs, Part, watermark
from bench.pages.sheet import MISSING, Records, taken
from bench.records import Record
from bench.schema import BATCHES
from bench.tables.ratios.definitions import named
from bench.tables.ratios.speed_plot import Point, point_of, speed_plots
from bench.tables.speed.deployments import Deployment, Timing, deployments_of
from bench.tables.speed.runtimes import REFERENCE, TABLE

TITLE = "Slim networks in the runtimes that ship"
NOTE = (
    "Accuracy: of the exported file that is timed, on the whole test split. Times: batch 1 unless another is named; "
    "pixels in memory, preprocessing included, all sessions in turns in one process. Speed-ups: medians of paired "
    f"turns. {RULE}."
)
HEADLINE_RATIO = 0.6
COMPARISONS = ("unpruned", "eager", "unpruned_eager")
AGAINST = COMPARISONS[-1]
"""The comparison that headlines tell."""
TIMED = ("p50_ms", "p90_ms", "images_per_s", "spread", "noisy")
"""Figures of one network at one batch size."""
ENDS = ("", "_lo", "_hi")
"""Of the names of a factor and of its interval."""


def page_of(
    found: Records, *, data: str, scale: str, seeds: int | None = None, table: str = TABLE, title: str = TITLE
) -> Page:
    """Everything that is told; `seeds` is what the records have."""
    records = taken(found, data=data, scale=scale, table=table)
    rows = deployments_of(records)
    return Page(
        name=table,
        title=title,
        data=data,
        scale=scale,
        seeds=1 + max((record.cell.seed for record in records), default=0),
        sentences=headlines(rows) if records else [f"{title}: {MISSING} yet."],
        parts=[_part([row for row in rows if not row.missing])] if records else [],
        figures=_figures(rows),
        plots={},
        speed=speed_plots(_points(rows, records), watermark(scale)),
        cells=[record.cell for record in records],
        footer=_footer(records) if records else [],
        remarks={"Not measured": missing(rows), "Remarks": _remarks(rows)},
        terse=True,
    )


def _part(rows: Sequence[Deployment]) -> Part:
    """The columns in which some row says something."""
    titles = [title for title, write in COLUMNS.items() if any(map(write, rows))]
    body = [[COLUMNS[title](row) for title in titles] for row in rows]
    return Part(title="", titles=titles, body=body, note=NOTE, keys=2, cells=[(row.cell,) for row in rows])


def _points(rows: Sequence[Deployment], records: Sequence[Record]) -> dict[str, list[Point]]:
    """Accuracy and milliseconds of seed 0 by runtime and precision, eager float32 PyTorch first."""
    ends = {record.cell: (record.result.get("accuracy") or {}).get("val_selected") for record in records}
    runs: dict[str, list[Point]] = {" ".join(REFERENCE): []}
    for row in rows:
        score = ends[row.cell]
        if score and 1 in row.timings and not row.cell.seed:
            runs.setdefault(" ".join(_kind(row)), []).append(point_of(row.cell, row.timings[1].p50_ms, score))
    return runs


def headlines(rows: Sequence[Deployment]) -> list[str]:
    """For each network and batch: the fastest way to run it at 60 % removed within a point of the unpruned accuracy."""
    models = sorted({row.cell.model for row in rows})
    said = [_headline([row for row in rows if row.cell.model == model], batch) for model in models for batch in BATCHES]
    return [sentence for sentence in said if sentence]


def _headline(own: Sequence[Deployment], batch: int) -> str:
    timed = [row for row in own if batch in row.timings and row.accuracy is not None]
    whole = next((row.accuracy for row in timed if not row.cell.ratio and _kind(row) == REFERENCE), None)
    slim = [row for row in timed if row.cell.ratio == HEADLINE_RATIO and AGAINST in row.timings[batch].speedup]
    if whole is None or not slim:
        return ""
    close = [row for row in slim if row.accuracy is not None and row.accuracy >= whole - 0.01]
    best = max(close or slim, key=lambda row: row.timings[batch].speedup[AGAINST][0])
    within = "" if close else " (more than a point worse)"
    return (
        f"{named(best.cell)}, {best.removed_percent} % removed, {best.cell.runtime} {best.cell.precision}: "
        f"{_factor(best.timings[batch], AGAINST)} as fast at batch {batch} as the unpruned network in eager fp32 "
        f"PyTorch, accuracy {100 * whole:.2f} -> {100 * (best.accuracy or 0):.2f} %{within}."
    )


def missing(rows: Sequence[Deployment]) -> list[str]:
    """Each reason once, with the runtimes, precisions and networks it keeps out."""
    reasons: dict[str, list[Deployment]] = {}
    for row in rows:
        if row.missing:
            reasons.setdefault(row.missing, []).append(row)
    said = []
    for reason, own in reasons.items():
        kinds = ", ".join(sorted({" ".join(_kind(row)) for row in own}))
        networks = ", ".join(sorted({f"{named(row.cell)} {row.removed_percent} %" for row in own}))
        said.append(f"{kinds} ({networks}): {reason}")
    return said


def _figures(rows: Sequence[Deployment]) -> Figures:
    """Every figure of every cell; energy only where some cell has it."""
    powered = any(one.energy_mj for row in rows for one in row.timings.values())
    columns = ["model", "variant", "ratio", "seed", "runtime", "precision", "missing"]
    columns += ["accuracy", "agreement", "macs", "artefact_bytes", "build_s"]
    columns += [f"{name}_b{batch}" for batch in BATCHES for name in TIMED]
    columns += [f"speedup_to_{name}_b{batch}{end}" for batch in BATCHES for name in COMPARISONS for end in ENDS]
    columns += [f"energy_mj_b{batch}" for batch in BATCHES if powered]
    return Figures(columns=columns, rows=[_told(row) for row in rows])


def _told(row: Deployment) -> dict[str, object]:
    told = vars(row.cell) | vars(row)
    for batch, one in row.timings.items():
        told |= {f"{name}_b{batch}": getattr(one, name) for name in (*TIMED, "energy_mj")}
        for name, found in one.speedup.items():
            told |= {f"speedup_to_{name}_b{batch}{end}": value for end, value in zip(ENDS, found, strict=True)}
    return told


def _factor(timing: Timing | None, name: str, *, interval: bool = False) -> str:
    if timing is None or name not in timing.speedup:
        return ""
    factor, low, high = timing.speedup[name]
    return f"{factor:.2f}x" + (f" [{low:.2f}, {high:.2f}]" if interval else "")


def _realised(row: Deployment) -> str:
    """Speed-up over the unpruned network in the same runtime, as a share of the factor by which MACs fell."""
    timing = row.timings.get(1)
    if timing is None or row.macs_factor is None or "unpruned" not in timing.speedup:
        return ""
    return f"{timing.speedup['unpruned'][0] / row.macs_factor:.2f}"


def _kind(row: Deployment) -> tuple[str, str]:
    return row.cell.runtime, row.cell.precision


def _remarks(rows: Sequence[Deployment]) -> list[str]:
    return [
        f"{named(row.cell)}, {row.removed_percent} %, {' '.join(_kind(row))}: {'; '.join(row.remarks)}"
        for row in rows
        if row.remarks
    ]


def _footer(records: Sequence[Record]) -> Pairs:
    timed = [one for record in records for one in (record.result.get("latency") or {}).values()]
    counters = sorted({told["counter"] for one in timed if (told := one.get("energy"))})
    whole = "of whole processor packages or the whole GPU, idle power included"
    energy = [("Energy", f"counter {' / '.join(counters)}, {whole}")] if counters else []
    machine, code = ("Machine", machine_line(records)), ("Code", code_line(records))
    return [machine, code, ("Timing", f"{_timing_line(timed)}{spread_line(records)}" if timed else "none"), *energy]


def _timing_line(timed: Sequence[Mapping[str, Any]]) -> str:
    threads = " / ".join(sorted({str(one["threads"]) for one in timed}))
    runs = sorted({one["n"] for one in timed})
    return f"threads {threads}, {runs[0]} to {runs[-1]} runs each"


def _ms(row: Deployment, batch: int, text: str) -> str:
    return text.format(**asdict(row.timings[batch])) if batch in row.timings else ""


def _shown(value: float | None, text: str) -> str:
    return "" if value is None else text.format(value)


COLUMNS: dict[str, Callable[[Deployment], str]] = {
    "Network": lambda row: named(row.cell),
    "Removed, %": lambda row: f"{row.removed_percent}{'!' if row.remarks else ''}",
    "Runtime": lambda row: row.cell.runtime,
    "Precision": lambda row: row.cell.precision,
    "Accuracy, %": lambda row: _shown(row.accuracy and 100 * row.accuracy, "{:.2f}"),
    "Against eager fp32, points [95 %]": lambda row: (
        "{points:+.2f} [{lo:+.2f}, {hi:+.2f}]".format(**asdict(row.difference)) if row.difference else ""
    ),
    "Same answers, %": lambda row: _shown(row.agreement and 100 * row.agreement, "{:.2f}"),
    "Fewer MACs": lambda row: _shown(row.macs_factor, "{:.2f}x"),
    "Faster than unpruned, same runtime": lambda row: _factor(row.timings.get(1), "unpruned"),
    "Share of the MAC reduction": _realised,
    "Faster than eager fp32, same network": lambda row: _factor(row.timings.get(1), "eager"),
    "Faster than unpruned in eager fp32 [95 %]": lambda row: _factor(
        row.timings.get(1), "unpruned_eager", interval=True
    ),
    "Batch 1: p50 / p90, ms": lambda row: _ms(row, 1, "{p50_ms:.3f} / {p90_ms:.3f}"),
    "Batch 32: p50, ms": lambda row: _ms(row, 32, "{p50_ms:.2f}"),
    "Images/s, batch 32": lambda row: _ms(row, 32, "{images_per_s:.0f}"),
    "Energy per image, batch 32, mJ": lambda row: _shown(
        row.timings[32].energy_mj if 32 in row.timings else None, "{:.2f}"
    ),
    "Artefact": lambda row: _shown(row.artefact_bytes and row.artefact_bytes / 1e6, "{:.2f} MB"),
    "Export, s": lambda row: _shown(row.export_s, "{:.1f}"),
    "Build, s": lambda row: _shown(row.build_s, "{:.1f}"),
}
"""Heading with its unit -> what stands below it."""
