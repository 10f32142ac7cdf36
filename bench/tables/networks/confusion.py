"""Tables 2 and 3: which expressions MRF takes for which, row-normalised with the counts, beside the published matrix.

The matrix is that of the lowest seed; recall is also told over all seeds.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.make.scales import titled
from bench.measure.stats import wilson
from bench.pages.columns import recall_key
from bench.pages.page import Part
from bench.pages.sheet import EMPTY, Row, Sheet, first_record, written
from bench.pages.svg import LIGHT, Plot, nothing
from bench.records import Record
from bench.tables.networks import published
from bench.tables.networks.dense import REFERENCE

DARK = 0.55
"""Shares above it are written in the colour of the page."""
OTHER_DATA = "Shares of each true class (row), as printed; another data set, so no comparison is claimed."


def content(sheet: Sheet, source: str, printed: Sequence[Sequence[float]]) -> dict[str, Any]:
    """Sentences, parts and plots of the page (`bench.pages.page.Page`); `printed` is the paper's matrix on `source`."""
    paper = Part(
        title=f"C. The paper's matrix: {source}",
        titles=["True class", *published.CLASSES],
        body=[[name, *(f"{share:.2f}" for share in row)] for name, row in zip(published.CLASSES, printed, strict=True)],
        note=OTHER_DATA,
    )
    theirs = _papers(sheet, source, printed)
    record = first_record(sheet, REFERENCE, "dense")
    if record is None:
        plots = {"ours": _ours(sheet, (), np.zeros((0, 0), int)), "paper": theirs}
        return {"sentences": ["MRF: not measured yet."], "parts": [paper], "plots": plots}
    classes = record.result["data"]["classes"]
    counts = np.asarray(record.result["accuracy"]["val_selected"]["confusion"])
    parts = [_matrix(record, counts), _recall(sheet.row(REFERENCE, "dense"), classes, counts, source, printed), paper]
    plots = {"ours": _ours(sheet, classes, counts), "paper": theirs}
    return {"sentences": _sentences(classes, counts), "parts": parts, "plots": plots}


def shares_of(counts: Float[np.ndarray, "c c"]) -> Float[np.ndarray, "c c"]:
    """Counts over the images of their row; a class without images is a row of zeros."""
    return counts / np.maximum(counts.sum(1, keepdims=True), 1)


def _sentences(classes: Sequence[str], counts: np.ndarray) -> list[str]:
    shares, images = shares_of(counts), counts.sum(1)
    right, present = shares.diagonal(), np.flatnonzero(images)
    best, worst = (present[order(right[present])] for order in (np.argmax, np.argmin))
    wrong = shares - np.diag(right)
    true, answer = map(int, np.unravel_index(wrong.argmax(), wrong.shape))
    n, correct = images.sum(), counts.trace()
    return [
        f"{correct} of {n} right ({100 * correct / n:.2f} %), class mean {100 * right[present].mean():.2f} %; the most "
        f"frequent class is {classes[images.argmax()]} with {100 * images.max() / n:.2f} %.",
        f"Best known: {classes[best]} ({100 * right[best]:.1f} %); least: {classes[worst]} "
        f"({100 * right[worst]:.1f} %). Most frequent mistake: {classes[true]} taken for {classes[answer]} "
        f"({100 * wrong[true, answer]:.1f} %).",
    ]


def _matrix(record: Record, counts: np.ndarray) -> Part:
    classes = record.result["data"]["classes"]
    body = [
        [name, *(f"{share:.2f} ({count})" for share, count in zip(row, own, strict=True))]
        for name, row, own in zip(classes, shares_of(counts), counts, strict=True)
    ]
    note = "Share of each true class (row) answered as each class (column), and the number of test images; lowest seed."
    cells = [(record.cell,)] * len(body)
    return Part(title="A. Ours", titles=["True class", *classes], body=body, note=note, cells=cells)


def _recall(
    row: Row, classes: Sequence[str], counts: np.ndarray, source: str, printed: Sequence[Sequence[float]]
) -> Part:
    theirs = {name: shares[i] for i, (name, shares) in enumerate(zip(published.CLASSES, printed, strict=True))}
    body = []
    for i, name in enumerate(classes):
        images, right = int(counts[i].sum()), int(counts[i, i])
        low, high = wilson(right, images) if images else (0.0, 0.0)
        recall = f"{100 * right / images:.2f} [{100 * low:.2f}, {100 * high:.2f}]" if images else EMPTY
        over = row.numbers(recall_key(name))
        seeds = written(recall_key(name), over) if over else EMPTY
        paper = f"{100 * theirs[name]:.0f}" if name in theirs else EMPTY
        body.append([name, str(images), f"{100 * images / counts.sum():.2f}", recall, seeds, paper])
    titles = ["True class", "Test images", "Share of the test split, %", "Recall, % [95 %]", "Over seeds, %"]
    note = "Always naming the most frequent class would be right for its share, with recall 0 for every other class."
    titles, cells = [*titles, f"Paper: {source}, %"], [row.cells] * len(body)
    return Part(title="B. Recall per class", titles=titles, body=body, note=note, cells=cells)


def _ours(sheet: Sheet, classes: Sequence[str], counts: np.ndarray) -> Plot:
    shares = shares_of(counts)
    rows = zip(shares, counts, strict=True)
    texts = [[f"{share:.2f}\n({n})" for share, n in zip(*row, strict=True)] for row in rows]
    return _drawn(
        sheet, "ours", f"MRF on {sheet.data}, scale {titled(sheet.scale)}: share (images)", (classes, shares, texts)
    )


def _papers(sheet: Sheet, source: str, printed: Sequence[Sequence[float]]) -> Plot:
    texts = [[f"{share:.2f}" for share in row] for row in printed]
    return _drawn(sheet, "paper", f"The paper's, on {source}: share", (published.CLASSES, np.asarray(printed), texts))


def _drawn(
    sheet: Sheet, name: str, title: str, matrix: tuple[Sequence[str], np.ndarray, Sequence[Sequence[str]]]
) -> Plot:
    """The SVG of a matrix: (classes, shares, text of every square)."""

    def draw(figure: Figure) -> None:
        axes = figure.add_axes((0.185, 0.185, 0.785, 0.74))
        axes.set_title(title, pad=8)
        if len(matrix[0]):
            _heat(axes, *matrix)
            axes.set_ylabel("True class")
        else:
            nothing(axes, "confusion")

    return Plot(f"{sheet.table.name}-{name}", (5.6, 5.2), sheet.watermark, draw)


def _heat(axes: Axes, classes: Sequence[str], shares: np.ndarray, texts: Sequence[Sequence[str]]) -> None:
    """Squares whose colour grows with the share, each with its text."""
    for i, row in enumerate(texts):
        for j, text in enumerate(row):
            share = float(shares[i, j])
            if share > 0:
                x, y = (j - 0.48, j + 0.48, j + 0.48, j - 0.48), (i - 0.48, i - 0.48, i + 0.48, i + 0.48)
                axes.fill(x, y, color=LIGHT["mrf"], alpha=share, linewidth=0)
            ink = LIGHT["page"] if share > DARK else LIGHT["ink"]
            axes.text(j, i, text, ha="center", va="center", fontsize=7.5, color=ink)
    n = len(classes)
    axes.set_xticks(range(n), classes, rotation=40, ha="right", fontsize=8.5)
    axes.set_yticks(range(n), classes, fontsize=8.5)
    axes.set_xlim(-0.5, n - 0.5)
    axes.set_ylim(n - 0.5, -0.5)
    axes.set_xlabel("Answer")
    axes.tick_params(length=0)
    for side in axes.spines.values():
        side.set_visible(False)
