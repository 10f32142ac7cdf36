"""The sentences around a table: what it says in one line, and where every number in it comes from.

Generated from the records like the numbers themselves, so a caption cannot outlive its table.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from bench.pages.noise import spread_line
from bench.pages.page import Pairs
from bench.pages.sheet import Sheet, mean_text
from bench.records import Record

STAGES = ("dense", "sparse", "tune", "control")
TRAINING_SETTINGS = {
    "optimizer": "{}",
    "lr": "lr {}",
    "schedule": "{}",
    "batch": "batch {}",
    "weight_decay": "weight decay {}",
    "label_smoothing": "label smoothing {}",
}
"""Settings of a stage that the footer says; all of them are listed below the table."""
TRAINED_ON = "{device}, threads {threads}, torch {torch}"
UNSAID = ("key", "stage.data", "stage.settings.from", "stage.train.seed")
"""Digests, and what the rows say already."""
DEMONSTRATION = "faces drawn by a program are a demonstration: real faces have other figures"
LONGEST_LIST = 16
"""Entries of a list that are still spelled out among the settings."""
MOST_VALUES = 4
"""Different values of one setting that are still spelled out."""
MACHINE = {
    "cpu.model": "{}",
    "cpu.usable_cores": "{} usable cores",
    "cpu.capability": "{}",
    "gpu.model": "GPU {}",
    "gpu.driver_version": "driver {}",
    "gpu.cuda": "CUDA {}",
    "gpu.float32_convolutions": "float32 convolutions in {}",
    "threads": "{} threads",
    "versions.torch": "torch {}",
    "python": "Python {}",
    "os": "{}",
}
"""What the footer says of the environment; the whole of it is among the settings."""


def footer(sheet: Sheet) -> Pairs:
    """Data, split, selection, training, machine, commit: what a reader needs to believe or to repeat the table."""
    if not sheet.records:
        return [("Cells", f"none of {len(sheet.missing)} measured")]
    lines = [
        ("Data", _data_line(sheet)),
        ("Selection", _selection_line(sheet.records)),
        ("Three numbers", _three_numbers(sheet)),
        ("Training", _training_line(sheet.records)),
        ("Test images", _crop_line(sheet.records)),
        ("Intervals", intervals_line(sheet.seeds)),
        ("MACs", _macs_line(sheet.records)),
        ("Timing", _timing_line(sheet.records)),
        ("Machine", machine_line(sheet.records)),
        ("Code", code_line(sheet.records)),
        ("Cells", _cells_line(sheet)),
        ("Data notes", "; ".join(sheet.records[0].result["data"]["notes"])),
        ("Licence of the data", str(sheet.records[0].result["data"].get("licence", ""))),
        ("Published numbers", sheet.table.published_source),
    ]
    return [(name, text) for name, text in lines if text]


def settings(records: Iterable[Record]) -> Pairs:
    """Every setting and the environment, flattened to dotted names; what differs between records says so."""
    pairs = _shared({**record.config, "environment": one} for record in records for one in _environments(record))
    return [(key, value) for key, value in sorted(pairs.items()) if value and key not in UNSAID]


def _data_line(sheet: Sheet) -> str:
    data = sheet.records[0].result["data"]
    counts = ", ".join(f"{split} {count:,}" for split, count in sorted(data["counts"].items()))
    accuracy = sheet.records[0].result["accuracy"]["val_selected"]
    text = f"{sheet.data} at scale {sheet.scale} ({counts} images), accuracy on the test split, n = {accuracy['n']:,}"
    text = f"{text}; always naming the most frequent class gives {100 * accuracy['majority']:.2f} %"
    return f"{text}; {DEMONSTRATION}" if sheet.data == "synthetic" else text


def _three_numbers(sheet: Sheet) -> str:
    """The unpruned networks' accuracy under three ways to choose the epoch (the others are in the last panel)."""
    said = []
    for model, name in sheet.table.models.items():
        row = sheet.row(model, "dense")
        if not row.measured:
            continue
        best = mean_text(row, "best_on_test_percent") if row.numbers("best_on_test_percent") else "not recorded"
        chosen, last = mean_text(row, "accuracy_percent"), mean_text(row, "last_percent")
        said.append(f"{name} unpruned: chosen on validation {chosen}, last epoch {last}, best on test {best}")
    return "; ".join(said) + " (best on test is for comparison with papers only)" if said else ""


def _selection_line(records: Iterable[Record]) -> str:
    """How the epoch was chosen; that a sparse stage keeps its last epoch shows in its predictions."""
    sparse = [record.result["accuracy"] for record in records if record.cell.variant == "sparse"]
    kept_last = sparse and all(one["val_selected"]["predictions"] == one["last"]["predictions"] for one in sparse)
    text = "the epoch with the best validation accuracy; no headline number is chosen on the test split"
    return f"{text}; the sparse stage keeps its last epoch" if kept_last else text


def _training_line(records: Iterable[Record]) -> str:
    """Length and main settings of every stage that led to the cells."""
    epochs: dict[str, set[int]] = {}
    places: dict[str, None] = {}
    for record in records:
        for stage, history in record.result["training"]["stages"].items():
            epochs.setdefault(stage, set()).add(len(history["epochs"]))
            if place := history.get("trained_on"):
                places[TRAINED_ON.format(**place)] = None
    shared = _shared(record.config for record in records)
    said = []
    for stage in (stage for stage in STAGES if stage in epochs):
        known = {name: shared.get(f"scale.{stage}.{name}", "") for name in TRAINING_SETTINGS}
        details = ", ".join(text.format(known[name]) for name, text in TRAINING_SETTINGS.items() if known[name])
        said.append(f"{stage} {_span(epochs[stage])} epochs{f' ({details})' if details else ''}")
    return "; ".join(said + ([f"trained on {' and '.join(places)}"] if said and places else []))


def _crop_line(records: Iterable[Record]) -> str:
    shared = _shared(record.config for record in records)
    evaluation = {
        key.removeprefix("evaluation."): text for key, text in shared.items() if key.startswith("evaluation.")
    }
    size = shared.get("scale.size", "")
    return ", ".join(part for part in (_said(evaluation), f"{size} px" if size else "") if part)


def _macs_line(records: Iterable[Record]) -> str:
    uncounted = sorted({name for record in records for name in record.result["cost"]["uncounted"]})
    said = f"; not counted: {', '.join(uncounted)}" if uncounted else ""
    return f"multiply-accumulates of convolutions and linear layers, one image (FLOPs in the papers){said}"


def _timing_line(records: Iterable[Record]) -> str:
    timed = [latency for record in records for latency in (record.result.get("latency") or {}).values()]
    if not timed:
        return ""
    said = {key: " / ".join(sorted({str(latency[key]) for latency in timed})) for key in ("runtime", "precision")}
    threads, runs = _span({latency["threads"] for latency in timed}), _span({latency["n"] for latency in timed})
    how = f"{threads} threads, {runs} runs each, in turns with the unpruned network{spread_line(records)}"
    return f"{said['runtime']}, {said['precision']}, {how}"


def intervals_line(seeds: int) -> str:
    """Which intervals and p-values stand in a table of one seed or of several."""
    text = "95 %; Wilson for an accuracy, paired on the same images for a difference, McNemar's exact test for p"
    many = f"; over {seeds} seeds: mean ± standard deviation, intervals averaged, p from lowest to highest"
    return text + many if seeds > 1 else text


def machine_line(records: Iterable[Record]) -> str:
    """Processor, GPU, threads and versions."""
    shared = _shared(one for record in records for one in _environments(record))
    said = [text.format(shared[key]) for key, text in MACHINE.items() if shared.get(key, "none") != "none"]
    return ", ".join(said) or _said(shared)


def code_line(records: Sequence[Record]) -> str:
    """Commits, whether their trees were clean, and the days."""
    commits = ", ".join(sorted({record.commit[:12] for record in records}))
    dirty = sum(record.dirty for record in records)
    state = f"; {dirty} records from a working tree that differed from its commit" if dirty else "; clean working tree"
    days = _span({record.created[:10] for record in records})
    return f"commit {commits}{state}; measured {days}{_times_line(records)}"


def _times_line(records: Sequence[Record]) -> str:
    """Where the times come from that were taken after the rest."""
    taken = [record.times for record in records if record.times]
    if not taken:
        return ""
    commits = ", ".join(sorted({one["commit"][:12] + " (tree changed)" * one["dirty"] for one in taken}))
    return f"; times of {len(taken)} records: commit {commits}, {_span({one['created'][:10] for one in taken})}"


def _environments(record: Record) -> list[dict[str, Any]]:
    return [record.environment, *([record.times["environment"]] if record.times else [])]


def _cells_line(sheet: Sheet) -> str:
    total = sum(len(row.cells) for row in sheet.rows)
    return f"{total - len(sheet.missing)} of {total} measured" + ("" if sheet.missing else ", none missing")


def _span(values: set[Any]) -> str:
    low, high = min(values), max(values)
    return f"{low}" if low == high else f"{low} to {high}"


def _said(pairs: dict[str, str]) -> str:
    return ", ".join(f"{key} {value}" for key, value in sorted(pairs.items()) if value)


def _shared(nested: Iterable[dict[str, Any]]) -> dict[str, str]:
    """Flattened settings; one that differs between records becomes its values, or their number when they are many."""
    seen: dict[str, set[str]] = {}
    for settings_of_one in nested:
        for key, value in flat(settings_of_one).items():
            seen.setdefault(key, set()).add(value)
    return {key: _either(values) for key, values in seen.items()}


def _either(values: set[str]) -> str:
    if len(values) > MOST_VALUES:
        return f"({len(values)} different values)"
    return " | ".join(sorted(values))


def flat(value: Any, prefix: str = "") -> dict[str, str]:
    """Nested settings by their dotted names; a long list is its length."""
    if isinstance(value, dict):
        nested = (flat(item, f"{prefix}.{key}" if prefix else str(key)) for key, item in value.items())
        return {key: text for part in nested for key, text in part.items()}
    return {prefix: _plain(value)}


def _plain(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "none"}[value]
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list):
        return f"{len(value)} values" if len(value) > LONGEST_LIST else ", ".join(map(_plain, value))
    return str(value)
