"""Calibration against closed forms and double loops: error, likelihood, temperature, three digits a confidence."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.measure.calibration import (
    at_temperature,
    calibration_of,
    from_thousandths,
    nll,
    recorded_ece,
    recorded_reliability,
    temperature,
    thousandths,
)


def drawn(n: int, heat: float = 1.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities that are `heat` times too sure of themselves, and labels drawn from the honest ones."""
    random = np.random.RandomState(seed)
    logits = random.normal(0, 1.5, (n, 7))
    honest = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    truth = np.array([random.choice(7, p=row) for row in honest])
    sure = np.exp(heat * logits)
    return sure / sure.sum(1, keepdims=True), truth


@given(st.lists(st.floats(0, 1), max_size=50))
def test_a_confidence_comes_back_within_half_a_thousandth(shares):
    text = thousandths(np.array(shares))
    assert len(text) == 3 * len(shares)
    assert np.abs(from_thousandths(text) - np.array(shares)).max(initial=0) <= 0.5 / 999 + 1e-12


@pytest.mark.parametrize("text", ["12", "1a3", "1234"])
def test_an_edited_record_is_a_sentence(text):
    with pytest.raises(ValueError, match="measure the cell again"):
        from_thousandths(text)


def test_error_and_reliability_by_a_double_loop():
    random = np.random.RandomState(0)
    confidence, right = random.uniform(0.15, 1, 300).round(2), random.uniform(size=300) < 0.6
    stored = from_thousandths(thousandths(confidence))
    expected, bins = 0.0, 0
    for number in range(10):
        inside = [i for i in range(300) if min(9, int(stored[i] * 10)) == number]
        if inside:
            sure = sum(stored[i] for i in inside) / len(inside)
            share = sum(bool(right[i]) for i in inside) / len(inside)
            expected += len(inside) / 300 * abs(sure - share)
            bins += 1
    state = {"confidence": thousandths(confidence)}
    assert recorded_ece(state, right) == pytest.approx(expected)
    assert sum(one is not None for one in recorded_reliability(state, right)) == bins


def test_likelihood_by_hand_and_without_infinities():
    answers = np.array([[0.5, 0.5], [0.25, 0.75], [1.0, 0.0]])
    by_hand = -(math.log(0.5) + math.log(0.25) + math.log(1e-12)) / 3
    assert nll(answers, np.array([0, 0, 1])) == pytest.approx(by_hand)


def test_a_temperature_divides_the_logits_of_a_softmax():
    logits = np.random.RandomState(0).normal(0, 2, (20, 7))
    softmax = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    cooler = np.exp(logits / 2.5) / np.exp(logits / 2.5).sum(1, keepdims=True)
    assert np.allclose(at_temperature(softmax, 2.5), cooler)
    assert np.allclose(at_temperature(softmax, 1.0), softmax)
    assert (at_temperature(softmax, 7.0).argmax(1) == softmax.argmax(1)).all(), "no answer changes"


@pytest.mark.parametrize("heat", [0.5, 1.0, 3.0])
def test_the_temperature_found_is_the_best_of_a_fine_grid_and_undoes_the_excess(heat):
    answers, truth = drawn(2000, heat)
    found = temperature(answers, truth)
    grid = np.geomspace(0.2, 10, 200)
    assert (
        nll(at_temperature(answers, found), truth) <= min(nll(at_temperature(answers, t), truth) for t in grid) + 1e-6
    )
    assert found == pytest.approx(heat, rel=0.1)


def test_what_a_record_keeps_is_better_calibrated_at_the_temperature():
    validation, test = drawn(1500, 3.0), drawn(1500, 3.0, seed=1)
    kept = calibration_of(*validation, *test)
    right = test[0].argmax(1) == test[1]
    assert kept["scaled"]["nll"] < kept["as_trained"]["nll"]
    assert recorded_ece(kept["scaled"], right) < 0.05 < recorded_ece(kept["as_trained"], right)
