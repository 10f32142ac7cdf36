"""The panel of Table 5 that says what a user gets: the fastest runtime of each precision, beside eager PyTorch.

Its figures are records of the table `runtimes`, whose page tells every runtime; where there are none, those of the same
widths with random weights.
"""

from collections.abc import Iterable, Sequence

from bench.pages.captions import machine_line
from bench.pages.page import Part
from bench.pages.sheet import EMPTY, Row
from bench.records import Cell, Record
from bench.schema import SINGLE, Latency

TABLES = "runtimes", "untrained"
"""Whose records are shown: the first that has any."""
EAGER = ("torch", "fp32")
SHORT = "ms for one image, fastest fp32 runtime (over unpruned eager PyTorch)"
PRECISIONS = ("fp32", "bf16", "int8", "fp16")
NOTE = (
    "Times: median milliseconds of a batch in the fastest runtime of each precision. In brackets: the speed-up over "
    "the unpruned network in eager PyTorch (paired turns), and the runtime. The accuracy in INT8 and bf16 was "
    "measured, too: see the table `runtimes`."
)
RANDOM = (
    "Times: median milliseconds of a batch in the fastest runtime of each precision. In brackets: the speed-up over "
    "the unpruned network in eager PyTorch on the same processor (paired turns), and the runtime. The timed networks "
    "have the widths of these rows and random weights. They were timed on {}; see the table `untrained`."
)


def shipped_of(records: Iterable[Record]) -> list[Record]:
    """Those of `records` that the panel shows."""
    measured = [one for one in records if not one.cell.seed and one.result.get("latency")]
    of_tables = ([one for one in measured if one.cell.table == table] for table in TABLES)
    return next(filter(None, of_tables), [])


def shipping_part(letter: str, rows: Sequence[tuple[str, Row]], timed: Sequence[Record]) -> Part | None:
    """The panel for the unpruned and slim networks of `rows` ((name, row)); None where no runtime was measured."""
    batches = sorted({int(batch) for one in timed for batch in one.result["latency"]})
    kinds = [(batch, precision) for batch in batches for precision in PRECISIONS if _of(timed, batch, precision)]
    if not kinds:
        return None
    body, behind = [], []
    for name, row in rows:
        if own := _own(timed, row):
            best = [_fastest(_of(own, *kind), kind[0]) for kind in kinds]
            body.append([name, row.label, *(_written(one, batch) for one, (batch, _) in zip(best, kinds, strict=True))])
            behind.append([None, None, *(one and one.cell for one in best)])
    titles = ["Network", "Channels removed", *(f"Batch {batch}, {precision}: ms" for batch, precision in kinds)]
    title, note = f"{letter}. In deployment runtimes", note_of(timed)
    return Part(title=title, titles=titles, body=body, note=note, keys=2, behind=behind)


def note_of(timed: Sequence[Record]) -> str:
    """How the times were measured."""
    return NOTE if timed[0].cell.table == TABLES[0] else RANDOM.format(machine_line(timed))


def shortest(rows: Sequence[Row], timed: Sequence[Record]) -> list[tuple[str, Cell | None]]:
    """A column for a reader in a hurry: one image in float32, and the record's cell. Empty: not measured."""
    best = [_quickest(row, timed) for row in rows]
    return [(_written(one, SINGLE), one and one.cell) for one in best] if any(best) else []


def gain(row: Row, timed: Sequence[Record]) -> str:
    """What slimming brought in the fastest float32 runtime, one image, against unpruned there; empty: not measured."""
    best = _quickest(row, timed)
    told = _told(best) if best else {}
    if not best or "unpruned" not in told["ratios"]:
        return ""
    factor = 1 / told["ratios"]["unpruned"]["ratio"]
    return f"{factor:.2f}x as fast as unpruned in {best.cell.runtime}, {told['p50_ms']:.2f} ms for one image"


def _quickest(row: Row, timed: Sequence[Record]) -> Record | None:
    """One image in float32."""
    return _fastest(_of(_own(timed, row), SINGLE, "fp32"), SINGLE)


def _told(record: Record, batch: int = SINGLE) -> Latency:
    return record.result["latency"][str(batch)]


def _own(timed: Sequence[Record], row: Row) -> list[Record]:
    network = row.model, row.variant, row.ratio
    return [one for one in timed if (one.cell.model, one.cell.variant, one.cell.ratio) == network]


def _of(timed: Sequence[Record], batch: int, precision: str) -> list[Record]:
    """Those that were timed at `batch` in `precision`, outside of eager PyTorch."""
    alike = [one for one in timed if one.cell.precision == precision and (one.cell.runtime, precision) != EAGER]
    return [one for one in alike if str(batch) in one.result["latency"]]


def _fastest(timed: Sequence[Record], batch: int) -> Record | None:
    return min(timed, key=lambda one: _told(one, batch)["p50_ms"], default=None)


def _written(best: Record | None, batch: int) -> str:
    if best is None:
        return EMPTY
    told = _told(best, batch)
    pair = told["ratios"].get("unpruned_eager")
    faster = f"{1 / pair['ratio']:.1f}x, " if pair else ""
    return f"{told['p50_ms']:.2f} ({faster}{best.cell.runtime})"
