"""How often a network is right: overall, per class, against the majority, with an interval.

`predict` is the only part that runs a network. Everything else is pure and works on stored predictions.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from string import ascii_lowercase, ascii_uppercase

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from bench.measure.stats import Difference, McNemar, mcnemar, paired_difference, wilson
from fermodels import probabilities

DIGITS = np.frombuffer(f"0123456789{ascii_uppercase}{ascii_lowercase}".encode(), np.uint8)
"""Class number -> its character in a record, in the order of the characters."""


@dataclass(frozen=True, kw_only=True)
class Accuracy:
    """Every figure of one network on one set of images; shares are 0 to 1."""

    n: int
    correct: int
    overall: float
    interval: tuple[float, float]
    """Wilson 95 % interval of `overall`."""
    class_mean: float
    """Mean recall over the classes that occur in the truth."""
    macro_f1: float
    """Mean F1 over the classes that occur in the truth; a class never predicted counts as 0."""
    majority: float
    """What always answering with the most frequent class would score."""
    recall: dict[str, float]
    """Per class that occurs in the truth, in class order."""
    absent: tuple[str, ...]
    """Classes without a single image: they have no recall and are left out of both means."""
    confusion: tuple[tuple[int, ...], ...]
    """Images by [true class][predicted class], over all classes."""
    predictions: str
    """One character per image (`digits`), in the order of the split."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Two networks on the same images."""

    difference: Difference
    mcnemar: McNemar


def score(predictions: Int[np.ndarray, " n"], truth: Int[np.ndarray, " n"], classes: Sequence[str]) -> Accuracy:
    """Scores predicted class numbers against true ones.

    Raises:
        ValueError: no image, another number of predictions than labels, or a number that is no class.
    """
    confusion = confusion_of(predictions, truth, len(classes))
    hits, support = confusion.diagonal(), confusion.sum(1)
    present = np.flatnonzero(support)
    recall = hits[present] / support[present]
    # F1 = 2 TP / (truth + predicted): the same as the harmonic mean, and defined when a class is never predicted
    f1 = 2 * hits[present] / (support + confusion.sum(0))[present]
    n, correct = int(support.sum()), int(hits.sum())
    return Accuracy(
        n=n,
        correct=correct,
        overall=correct / n,
        interval=wilson(correct, n),
        class_mean=float(recall.mean()),
        macro_f1=float(f1.mean()),
        majority=int(support.max()) / n,
        recall={classes[int(i)]: float(share) for i, share in zip(present, recall, strict=True)},
        absent=tuple(name for name, images in zip(classes, support, strict=True) if images == 0),
        confusion=tuple(tuple(map(int, row)) for row in confusion),
        predictions=digits(predictions),
    )


def confusion_of(
    predictions: Int[np.ndarray, " n"], truth: Int[np.ndarray, " n"], classes: int
) -> Int[np.ndarray, "truth predicted"]:
    """Counts by (true class, predicted class). Raises ValueError like `score`."""
    if len(predictions) != len(truth) or len(truth) == 0:
        raise ValueError(f"{len(predictions)} predictions for {len(truth)} labels: give one for each of at least one")
    for name, values in (("prediction", predictions), ("label", truth)):
        if values.min() < 0 or values.max() >= classes:
            raise ValueError(f"a {name} is {values.min()} or {values.max()}, but the classes are 0 to {classes - 1}")
    pairs = truth.astype(np.int64) * classes + predictions
    return np.bincount(pairs, minlength=classes * classes).reshape(classes, classes)


def subset(
    accuracy: Accuracy, truth: Int[np.ndarray, " n"], mask: Bool[np.ndarray, " n"], classes: Sequence[str]
) -> Accuracy:
    """Scores again, from the stored predictions, only the images where `mask` is true (the leak-free rows).

    Raises:
        ValueError: no image is left, or truth and mask are not those of this score.
    """
    predictions = from_digits(accuracy.predictions)
    if not len(predictions) == len(truth) == len(mask):
        raise ValueError(f"{len(truth)} labels and {len(mask)} mask rows for a score of {len(predictions)} images")
    return score(predictions[mask], truth[mask], classes)


def compare(a: Accuracy, b: Accuracy, truth: Int[np.ndarray, " n"]) -> Comparison:
    """a minus b on the same images: the difference in percentage points with its interval, and McNemar's test.

    Raises:
        ValueError: the two, or the truth, do not speak of the same number of images.
    """
    if not a.n == b.n == len(truth):
        raise ValueError(f"scores of {a.n} and {b.n} images with {len(truth)} labels: compare on the same images")
    a_correct, b_correct = (from_digits(one.predictions) == truth for one in (a, b))
    return Comparison(difference=paired_difference(a_correct, b_correct), mcnemar=mcnemar(a_correct, b_correct))


def digits(predictions: Int[np.ndarray, " n"]) -> str:
    """Class numbers as one character each, digits and then letters: short in a record, and readable.

    Raises:
        ValueError: a number below 0, or more classes than there are characters (`fits`).
    """
    if len(predictions) and predictions.min() < 0:
        raise ValueError(f"class numbers begin at {predictions.min()}: the first is 0")
    fits(int(predictions.max()) + 1 if len(predictions) else 0)
    return DIGITS[predictions].tobytes().decode("ascii")


def fits(classes: int) -> None:
    """Raises ValueError where a record has no character for each of `classes`."""
    if classes > len(DIGITS):
        raise ValueError(f"{classes} classes: a record tells apart {len(DIGITS)} at most; merge some")


def from_digits(text: str) -> Int[np.ndarray, " n"]:
    """The class numbers that `digits` wrote, (n,) int64."""
    if text and not (text.isascii() and text.isalnum()):
        raise ValueError("predictions hold something else than digits: the record was edited, measure the cell again")
    return np.searchsorted(DIGITS, np.frombuffer(text.encode("ascii"), np.uint8))


@contextmanager
def evaluating(*nets: nn.Module) -> Iterator[None]:
    """Evaluation and inference mode inside the block; afterwards every module is in the mode it was in."""
    before = [(module, module.training) for net in nets for module in net.modules()]
    try:
        for net in nets:
            net.eval()
        with torch.inference_mode():
            yield
    finally:
        for module, training in before:
            module.training = training


def predict(net: nn.Module, batches: Iterable[Sequence[Tensor]]) -> Float[np.ndarray, "n classes"]:
    """Class probabilities of every image, in order, float32.

    Args:
        batches: one sequence of tensors per batch, each (b, channels, size, size), in the order of `net.inputs`;
            they are moved to the network's device.

    Raises:
        ValueError: there is no image, or the network answers with NaN or infinity.
    """
    device = next(net.parameters()).device
    with evaluating(net):
        parts = [probabilities(net(*(view.to(device) for view in batch))).cpu().numpy() for batch in batches]
    if not parts:
        raise ValueError("no batch to predict: the split is empty")
    answers = np.concatenate(parts)
    if not np.isfinite(answers).all():
        raise ValueError("the network answers with NaN or infinity: its training diverged; lower the learning rate")
    return answers
