from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from bench.measure.accuracy import compare, digits, evaluating, from_digits, predict, score, subset
from fermodels import Output

CLASSES = ("anger", "fear", "joy")
#                truth: anger x4, fear x3, joy x1
TRUTH = np.array([0, 0, 0, 0, 1, 1, 1, 2])
GUESS = np.array([0, 0, 0, 1, 1, 1, 0, 0])


def test_score_by_hand() -> None:
    accuracy = score(GUESS, TRUTH, CLASSES)
    assert accuracy.confusion == ((3, 1, 0), (1, 2, 0), (1, 0, 0))
    assert (accuracy.n, accuracy.correct, accuracy.overall, accuracy.majority) == (8, 5, 5 / 8, 4 / 8)
    assert accuracy.recall == pytest.approx({"anger": 3 / 4, "fear": 2 / 3, "joy": 0})
    assert accuracy.class_mean == pytest.approx((3 / 4 + 2 / 3 + 0) / 3)
    # anger: precision 3/5, recall 3/4 -> 2/3; fear: 2/3, 2/3 -> 2/3; joy is never predicted -> 0
    assert accuracy.macro_f1 == pytest.approx((2 / 3 + 2 / 3 + 0) / 3)
    assert accuracy.predictions == "00011100"
    assert accuracy.interval[0] < 5 / 8 < accuracy.interval[1]


def test_an_absent_class_is_named_and_left_out_of_the_means() -> None:
    accuracy = score(np.array([0, 0, 2, 1]), np.array([0, 0, 1, 1]), (*CLASSES, "contempt"))
    assert accuracy.absent == ("joy", "contempt")
    assert list(accuracy.recall) == ["anger", "fear"]
    assert accuracy.class_mean == pytest.approx((1 + 1 / 2) / 2)
    # anger F1 = 1; fear: precision 1, recall 1/2 -> 2/3; a guess at an absent class costs the class it missed
    assert accuracy.macro_f1 == pytest.approx((1 + 2 / 3) / 2)
    assert len(accuracy.confusion) == 4


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=60))
def test_scores_are_shares_and_do_not_depend_on_the_order_of_images(pairs: list[tuple[int, int]]) -> None:
    names = tuple("abcdefg")
    guess, truth = (np.array(column) for column in zip(*pairs, strict=True))
    accuracy, turned = score(guess, truth, names), score(guess[::-1], truth[::-1], names)
    shares = [accuracy.overall, accuracy.class_mean, accuracy.macro_f1, accuracy.majority, *accuracy.recall.values()]
    assert all(0 <= share <= 1 for share in shares)
    assert accuracy.overall == sum(a == b for a, b in pairs) / len(pairs)
    assert (accuracy.confusion, accuracy.macro_f1) == (turned.confusion, turned.macro_f1)
    assert accuracy.predictions == turned.predictions[::-1]


@pytest.mark.parametrize(
    ("guess", "truth"),
    [([], []), ([0], [0, 1]), ([3], [0]), ([0], [-1])],
)
def test_score_refuses_what_does_not_fit(guess: list[int], truth: list[int]) -> None:
    # with shape checks on, jaxtyping refuses unequal lengths first
    with pytest.raises((ValueError, TypeError), match=r"predictions for|classes are 0 to 2|Type-check"):
        score(np.array(guess, int), np.array(truth, int), CLASSES)


@given(st.lists(st.integers(0, 61), max_size=30))
def test_digits_come_back(numbers: list[int]) -> None:
    text = digits(np.array(numbers, int))
    assert len(text) == len(numbers) and text.isalnum() == bool(numbers)
    assert max(numbers, default=0) > 9 or text == "".join(map(str, numbers))
    assert from_digits(text).tolist() == numbers


@pytest.mark.parametrize("text", ["01-", "0 1", "²"])
def test_from_digits_refuses_other_text(text: str) -> None:
    with pytest.raises(ValueError, match="digits"):
        from_digits(text)


def test_digits_refuses_a_class_too_many() -> None:
    with pytest.raises(ValueError, match="62 at most"):
        digits(np.array([3, 62]))


def test_subset_scores_only_the_masked_rows() -> None:
    accuracy = score(GUESS, TRUTH, CLASSES)
    mask = np.array([True] * 7 + [False])
    clean = subset(accuracy, TRUTH, mask, CLASSES)
    assert (clean.n, clean.correct, clean.absent) == (7, 5, ("joy",))
    assert subset(accuracy, TRUTH, np.ones(8, bool), CLASSES) == accuracy
    with pytest.raises(ValueError, match="at least one"):
        subset(accuracy, TRUTH, np.zeros(8, bool), CLASSES)
    with pytest.raises((ValueError, TypeError), match=r"mask rows|Type-check"):
        subset(accuracy, TRUTH, np.ones(5, bool), CLASSES)


def test_compare_looks_at_the_same_images() -> None:
    a, b = score(GUESS, TRUTH, CLASSES), score(TRUTH, TRUTH, CLASSES)
    comparison = compare(a, b, TRUTH)
    assert (comparison.mcnemar.b, comparison.mcnemar.c) == (0, 3)
    assert comparison.mcnemar.p == pytest.approx(2 / 8)
    assert comparison.difference.points == pytest.approx(-100 * 3 / 8)
    with pytest.raises(ValueError, match="same images"):
        compare(a, subset(b, TRUTH, TRUTH > 0, CLASSES), TRUTH)


class TwoViews(nn.Module):
    """Answers with class (first pixel of the face + first pixel of the eyes), and remembers how it was run."""

    inputs = ("face", "eyes")

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Dropout(0.9), nn.BatchNorm2d(1))
        self.scale = nn.Parameter(torch.tensor(20.0))
        self.seen: list[tuple[bool, bool]] = []

    def forward(self, face: Tensor, eyes: Tensor) -> Any:
        self.seen.append((self.training or self.body[1].training, torch.is_inference_mode_enabled()))
        chosen = (face + eyes).flatten(1)[:, 0].long()
        logits = self.scale * nn.functional.one_hot(chosen, 3)
        return Output(torch.stack((logits, logits.roll(1, 1) / 2)))


def views(numbers: list[int]) -> tuple[Tensor, Tensor]:
    face = torch.tensor(numbers, dtype=torch.float32).reshape(-1, 1, 1, 1)
    return face, torch.zeros_like(face)


def test_predict_averages_heads_and_leaves_the_network_as_it_was() -> None:
    net = TwoViews()
    net.body[1].eval()  # one frozen batch norm in a training network
    answers = predict(net, [views([0, 1]), views([2])])
    strong, weak = np.exp(20), np.exp(10)
    top = 0.5 * strong / (strong + 2) + 0.5 / (weak + 2)
    assert answers.shape == (3, 3)
    assert answers.sum(1) == pytest.approx(1)
    assert np.diag(answers) == pytest.approx(top, rel=1e-5)
    assert net.seen == [(False, True), (False, True)]
    assert (net.training, net.body[0].training, net.body[1].training) == (True, True, False)


def test_the_mode_comes_back_after_an_error() -> None:
    net = TwoViews()
    with pytest.raises(RuntimeError, match="stop"), evaluating(net):
        raise RuntimeError("stop")
    assert net.training
    assert net.body[0].training


def test_predict_refuses_silence_and_nonsense() -> None:
    with pytest.raises(ValueError, match="empty"):
        predict(TwoViews(), [])
    broken = TwoViews()
    nn.init.constant_(broken.scale, float("nan"))
    with pytest.raises(ValueError, match="diverged"):
        predict(broken, [views([0])])
