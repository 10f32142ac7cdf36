"""The panel of Table 5 that says what a user gets: the fastest runtime of each precision, beside eager PyTorch.

Its figures are records of the table `runtimes`, whose page tells every runtime.
"""

from collections.abc import Iterable, Sequence

from bench.pages.page import Part
from bench.pages.sheet import EMPTY, Row
from bench.records import Record

TABLE = "runtimes"
EAGER = ("torch", "fp32")
PRECISIONS = ("fp32", "bf16", "int8", "fp16")
NOTE = (
    "The fastest runtime of each precision, p50 of a batch; in brackets its speed-up over the unpruned network in "
    "eager PyTorch, by paired turns, and the runtime. INT8 and bf16 answers are verified; see the table `runtimes`."
)


def shipping_part(letter: str, rows: Sequence[tuple[str, Row]], records: Iterable[Record]) -> Part | None:
    """The panel for the unpruned and slim networks of `rows` ((name, row)); None where no runtime was measured."""
    timed = [one for one in records if one.cell.table == TABLE and one.cell.seed == 0 and one.result.get("latency")]
    batches = sorted({int(batch) for one in timed for batch in one.result["latency"]})
    kinds = [(batch, precision) for batch in batches for precision in PRECISIONS if _of(timed, batch, precision)]
    if not kinds:
        return None
    body, behind = [], []
    for name, row in rows:
        own = [one for one in timed if (one.cell.model, one.cell.variant, one.cell.ratio) == _network(row)]
        if own:
            best = [_fastest(_of(own, *kind), kind[0]) for kind in kinds]
            body.append([name, row.label, *(_told(one, batch) for one, (batch, _) in zip(best, kinds, strict=True))])
            behind.append([None, None, *(one and one.cell for one in best)])
    titles = ["Network", "Channels removed", *(f"Batch {batch}, {precision}: ms" for batch, precision in kinds)]
    title = f"{letter}. In the runtimes that ship"
    return Part(title=title, titles=titles, body=body, note=NOTE, keys=2, behind=behind)


def _network(row: Row) -> tuple[str, str, float]:
    return row.model, row.variant, row.ratio


def _of(timed: Sequence[Record], batch: int, precision: str) -> list[Record]:
    """Those that were timed at `batch` in `precision`, outside of eager PyTorch."""
    alike = [one for one in timed if one.cell.precision == precision and (one.cell.runtime, precision) != EAGER]
    return [one for one in alike if str(batch) in one.result["latency"]]


def _fastest(timed: Sequence[Record], batch: int) -> Record | None:
    return min(timed, key=lambda one: one.result["latency"][str(batch)]["p50_ms"], default=None)


def _told(best: Record | None, batch: int) -> str:
    if best is None:
        return EMPTY
    told = best.result["latency"][str(batch)]
    pair = told["ratios"].get("unpruned_eager")
    faster = f"{1 / pair['ratio']:.1f}x, " if pair else ""
    return f"{told['p50_ms']:.2f} ({faster}{best.cell.runtime})"
