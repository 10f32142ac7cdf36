"""Rows of the table of runtimes: what each record says, and the comparisons that a reader looks for.

Differences are recomputed from the stored predictions, ratios are those of paired turns.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from bench.measure.stats import Difference, paired_difference
from bench.pages.noise import doubt, spread_of, turns_of
from bench.pages.values import correct
from bench.records import Cell, Record
from bench.schema import BATCHES
from bench.tables.speed.runtimes import REFERENCE
from compress.timing.stats import ratio_interval

ALIGNED = 16
"""Widths at whose multiples kernels step: blocks of 16 floats in AVX-512, of 8 halves in tensor cores."""


@dataclass(frozen=True, kw_only=True)
class Timing:
    """One network in one runtime at one batch size."""

    p50_ms: float
    p90_ms: float
    images_per_s: float
    spread: float | None
    """Robust spread of the turns; None where the record keeps no samples."""
    speedup: Mapping[str, tuple[float, float, float]]
    """By comparison ("unpruned", "eager", "unpruned_eager"): how many times as fast, with its interval."""
    noisy: str = ""
    """What is doubtful of it (`bench.pages.noise`); empty where nothing is."""
    energy_mj: float | None = None
    """Millijoules per image of the whole package or GPU; None where no counter could be read."""


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """One network in one runtime and precision."""

    cell: Cell
    missing: str
    """Why there is nothing to tell; empty where there is."""
    accuracy: float | None
    """Share of the test split named rightly by this very artefact."""
    difference: Difference | None
    """Its accuracy minus that of the same network in eager float32 PyTorch, in points, on the same images."""
    agreement: float | None
    """Share of the test split with the same answer as there."""
    macs: int
    macs_factor: float | None
    """How many times fewer MACs than unpruned."""
    artefact_bytes: int | None
    build_s: float | None
    """Seconds from the ONNX file to the artefact."""
    export_s: float | None
    """Seconds from the network to a verified ONNX file."""
    timings: Mapping[int, Timing]
    """By batch size."""
    remarks: tuple[str, ...] = ()

    @property
    def removed_percent(self) -> int:
        return round(100 * self.cell.ratio)


def deployments_of(records: Iterable[Record]) -> list[Deployment]:
    """One row for every record, in the order of the cells, with remarks."""
    found = {record.cell: record for record in records}
    rows = [_row(cell, found) for cell in sorted(found, key=_order)]
    return [replace(row, remarks=_remarks(row, rows)) for row in rows]


def _order(cell: Cell) -> tuple[Any, ...]:
    return cell.model, cell.seed, cell.ratio, cell.runtime, cell.precision


def _row(cell: Cell, found: Mapping[Cell, Record]) -> Deployment:
    result = found[cell].result
    eager = found.get(replace(cell, runtime=REFERENCE[0], precision=REFERENCE[1]))
    whole = found.get(replace(cell, variant="dense", ratio=0.0))
    score, cost = (result.get("accuracy") or {}).get("val_selected"), result["cost"]
    timings = {int(batch): _timing(told) for batch, told in (result.get("latency") or {}).items()}
    if eager is not None:
        timings = {batch: _beside(found[cell], eager, batch, one) for batch, one in timings.items()}
    told = {batch: result["latency"][str(batch)] for batch in timings}
    timings = {batch: replace(one, noisy=doubt(told[batch], one.speedup.values())) for batch, one in timings.items()}
    return Deployment(
        cell=cell,
        missing=result["missing"] or "",
        accuracy=score["overall"] if score else None,
        difference=_difference(found[cell], eager) if score and eager and eager.cell != cell else None,
        agreement=result.get("agreement"),
        macs=cost["macs"],
        macs_factor=whole.result["cost"]["macs"] / cost["macs"] if whole and cell.ratio else None,
        artefact_bytes=cost.get("artefact_bytes"),
        build_s=cost.get("build_s"),
        export_s=cost.get("export_s"),
        timings=timings,
    )


def _difference(record: Record, eager: Record) -> Difference | None:
    if not eager.result.get("accuracy"):
        return None
    return paired_difference(correct(record), correct(eager))


def _timing(told: Mapping[str, Any]) -> Timing:
    faster = {
        name: (1 / pair["ratio"], 1 / pair["interval"][1], 1 / pair["interval"][0])
        for name, pair in told["ratios"].items()
    }
    figures = {name: told[name] for name in ("p50_ms", "p90_ms", "images_per_s")}
    energy = 1000 * told["energy"]["joules_per_image"] if told.get("energy") else None
    return Timing(speedup=faster, energy_mj=energy, spread=spread_of(told), **figures)


def _beside(record: Record, eager: Record, batch: int, timing: Timing) -> Timing:
    """`timing` with its ratio to the same network in eager PyTorch from the turns that both took beside each other.

    Records of the table `fullwidth` from before 2026-11-22 20:12 UTC hold the ratio to another network there.
    """
    own, other = (one.result["latency"].get(str(batch)) for one in (record, eager))
    others = {name: pair for name, pair in timing.speedup.items() if name != "eager"}
    if "eager" not in timing.speedup or own is None or other is None or record.cell == eager.cell:
        return replace(timing, speedup=others)
    pair = ratio_interval(turns_of(own), turns_of(other))
    faster = (1 / pair.ratio, 1 / pair.interval[1], 1 / pair.interval[0])
    return replace(timing, speedup={**others, "eager": faster})


def _remarks(row: Deployment, rows: Iterable[Deployment]) -> tuple[str, ...]:
    """Noise, and a smaller network that is slower than a larger one in the same runtime."""
    said = [f"noisy timing at batch {batch}: {one.noisy}" for batch, one in row.timings.items() if one.noisy]
    larger = [other for other in rows if _same_runtime(other, row) and other.cell.ratio < row.cell.ratio]
    for batch in BATCHES:
        slower = [other for other in larger if _ms(other, batch) < _ms(row, batch)]
        if slower:
            fastest = min(slower, key=lambda other: _ms(other, batch))
            said.append(
                f"slower than {fastest.removed_percent} % at batch {batch}: try widths that are multiples of {ALIGNED} "
                f"(slim(..., align={ALIGNED}))"
            )
    return tuple(said)


def _same_runtime(one: Deployment, other: Deployment) -> bool:
    return replace(one.cell, ratio=0.0, variant="") == replace(other.cell, ratio=0.0, variant="")


def _ms(row: Deployment, batch: int) -> float:
    return row.timings[batch].p50_ms if batch in row.timings else float("inf")
