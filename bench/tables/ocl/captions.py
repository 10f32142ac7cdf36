"""Where the numbers of paper 2's tables come from, in sentences generated from the records themselves."""

from bench.pages.captions import code_line, intervals_line, machine_line
from bench.pages.page import Pairs
from bench.tables.ocl.definitions import SOURCE
from bench.tables.ocl.sheet import OclSheet, epochs_of


def footer(sheet: OclSheet) -> Pairs:
    """Data, selection, training, machine, commit: what a reader needs to believe or to repeat the table."""
    if not sheet.records:
        return [("Cells", "none measured"), ("Published numbers", SOURCE)]
    first = sheet.records[0]
    counts = ", ".join(f"{split} {count:,}" for split, count in sorted(first.result["data"]["counts"].items()))
    total = len(sheet.seeds * sheet.table.models)
    lines = {
        "Data": f"{sheet.data} at scale {sheet.scale} ({counts} images)",
        "Selection": "the epoch with the best validation accuracy; no headline number is chosen on the test split",
        "Training": _training(sheet),
        "Pretraining faces": _pool(sheet),
        "Intervals": intervals_line(sheet.seeds),
        "Machine": machine_line(sheet.records),
        "Code": code_line(sheet.records),
        "Cells": f"{len(sheet.records)} of {total} measured",
        "Data notes": "; ".join(first.result["data"]["notes"]),
        "Licence of the data": str(first.result["data"].get("licence", "")),
        "Published numbers": SOURCE,
    }
    return [(name, text) for name, text in lines.items() if text]


def _training(sheet: OclSheet) -> str:
    """The lengths and recipes of both trainings, as the records' scale says."""
    scale = sheet.records[0].config["scale"]
    lengths = {"pretrain": _lengths(sheet) or [scale["pretrain"]["epochs"]], "dense": [scale["dense"]["epochs"]]}
    said = []
    for name, title in (("pretrain", "pretraining"), ("dense", "supervised")):
        train, epochs = scale[name], lengths[name]
        plural = "" if epochs == [1] else "s"
        recipe = f"{train['optimizer']}, lr {train['lr']:g}, batch {train['batch']}, {train['schedule']}"
        said.append(f"{title} {', '.join(map(str, epochs))} epoch{plural} ({recipe})")
    if any("imagenet" in record.config["stage"]["settings"] for record in sheet.records):
        said.append("ResNet-18 from ImageNet's weights, as the paper's")
    else:
        said.append("ResNet-18 from scratch, the paper's from ImageNet")
    return "; ".join(said)


def _lengths(sheet: OclSheet) -> list[int]:
    """Epochs of all pretrainings behind the records, from the shortest to the longest."""
    return sorted({epochs_of(record) for record in sheet.records} - {0})


def _pool(sheet: OclSheet) -> str:
    """Which faces the encoders were pretrained on, in the words that the pretraining itself recorded."""
    stages = (record.result["training"]["stages"] for record in sheet.records)
    notes = (" ".join(found["pretraining"]["notes"]) for found in stages if "pretraining" in found)
    return " ".join(dict.fromkeys(notes))
