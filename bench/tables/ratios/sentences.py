"""What a table of prune ratios says in one sentence for each network."""

from collections.abc import Sequence

from bench.pages.sheet import MISSING, Row, Sheet, mean_text
from bench.records import Record
from bench.schema import BATCHES
from bench.tables.ratios.shipping import gain


def headlines(sheet: Sheet, timed: Sequence[Record] = ()) -> list[str]:
    """One sentence for each network at the table's headline ratio; `timed`: its networks in the runtimes that ship."""
    return [headline(sheet, model, timed) for model in sheet.table.models]


def headline(sheet: Sheet, model: str, timed: Sequence[Record] = ()) -> str:
    """What removing the headline share of channels cost and brought, or what is still missing to say so."""
    ratio = sheet.table.headline_ratio
    dense, slim = sheet.row(model, "dense"), sheet.row(model, "slim", ratio)
    opening = f"{sheet.table.models[model]}, {100 * ratio:.0f} % of channels removed:"
    if not dense.measured or not slim.measured:
        lacking = " and ".join(row.label for row in (dense, slim) if not row.measured)
        return f"{opening} {MISSING} yet ({lacking})."
    parts = [_accuracy_sentence(dense, slim), _macs_sentence(slim), gain(slim, timed) or _speed_sentence(slim)]
    return f"{opening} {', '.join(part for part in parts if part)}."


def _accuracy_sentence(dense: Row, slim: Row) -> str:
    text = f"accuracy {mean_text(dense, 'accuracy_percent')} -> {mean_text(slim, 'accuracy_percent')} %"
    if not slim.numbers("difference_points"):
        return text
    low, high = mean_text(slim, "difference_lo"), mean_text(slim, "difference_hi")
    return f"{text} (difference {mean_text(slim, 'difference_points')} points [{low}, {high}])"


def _macs_sentence(slim: Row) -> str:
    return f"MACs {mean_text(slim, 'macs_removed_percent')}" if slim.numbers("macs_removed_percent") else ""


def _speed_sentence(slim: Row) -> str:
    speeds = []
    for batch in BATCHES:
        if slim.numbers(f"speedup_b{batch}"):
            noisy = " (noisy timing)" if any(slim.numbers(f"noisy_b{batch}")) else ""
            speeds.append(f"{mean_text(slim, f'speedup_b{batch}')} as fast at batch {batch}{noisy}")
    return " and ".join(speeds)
