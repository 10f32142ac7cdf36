"""Does a network know how sure it is? Expected calibration error, reliability, and a temperature fitted on validation.

A record keeps the confidence of every test answer in three digits, before and after the temperature; with the stored
predictions they give error and reliability anew. The likelihood needs more digits than that and is kept as a figure.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from fermodels.faces.landmark_errors import Bin, ece, reliability

STEPS = 999
"""Parts of 1 in which a confidence is stored: three digits."""
COLDEST, HOTTEST = 0.05, 20.0
"""Temperatures between which the best one is sought."""
SMALLEST = 1e-12
"""A probability below it counts as this in a logarithm."""


def calibration_of(
    validation: Float[np.ndarray, "m classes"],
    validation_truth: Int[np.ndarray, " m"],
    test: Float[np.ndarray, "n classes"],
    test_truth: Int[np.ndarray, " n"],
) -> dict[str, Any]:
    """What a record keeps: the temperature that validation gives, and the test split as trained and at it.

    `nll` is the mean negative log likelihood in nats; `confidence` is the probability of each answer (`thousandths`).
    """
    found = temperature(validation, validation_truth)
    states = {"as_trained": test, "scaled": at_temperature(test, found)}
    return {"temperature": found} | {
        name: {"nll": nll(answers, test_truth), "confidence": thousandths(answers.max(1))}
        for name, answers in states.items()
    }


def at_temperature(answers: Float[np.ndarray, "n classes"], heat: float) -> Float[np.ndarray, "n classes"]:
    """p^(1/T), normalised: for one softmax the same as dividing its logits by T, and defined for a mean of two."""
    logs = np.log(np.maximum(answers.astype(np.float64), SMALLEST)) / heat
    powers = np.exp(logs - logs.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


def nll(answers: Float[np.ndarray, "n classes"], truth: Int[np.ndarray, " n"]) -> float:
    """Mean negative log likelihood of the true classes, in nats."""
    right = answers[np.arange(len(truth)), truth].astype(np.float64)
    return float(-np.log(np.maximum(right, SMALLEST)).mean())


def temperature(answers: Float[np.ndarray, "n classes"], truth: Int[np.ndarray, " n"]) -> float:
    """The T from `COLDEST` to `HOTTEST` whose `at_temperature` has the least `nll` (Guo et al. 2017, section 4.2).

    The likelihood has one optimum in 1/T, so a golden-section search over its logarithm finds it.
    """
    low, high = np.log(COLDEST), np.log(HOTTEST)
    golden = (5**0.5 - 1) / 2
    while high - low > 1e-4:
        left, right = high - golden * (high - low), low + golden * (high - low)
        worse_left = nll(at_temperature(answers, np.exp(left)), truth) > nll(
            at_temperature(answers, np.exp(right)), truth
        )
        low, high = (left, high) if worse_left else (low, right)
    return float(np.exp((low + high) / 2))


def thousandths(shares: Float[np.ndarray, " n"]) -> str:
    """Numbers from 0 to 1 as three digits each, in 999ths: short in a record, off by 0.0005 at most."""
    return "".join(f"{step:03d}" for step in np.rint(shares * STEPS).astype(int))


def from_thousandths(text: str) -> Float[np.ndarray, " n"]:
    """The numbers that `thousandths` wrote.

    Raises:
        ValueError: something else than three digits a number.
    """
    if len(text) % 3 or (text and not (text.isascii() and text.isdigit())):
        raise ValueError("confidences are not three digits each: the record was edited, measure the cell again")
    digits = np.frombuffer(text.encode("ascii"), np.uint8).reshape(-1, 3).astype(np.int64) - ord("0")
    return digits @ np.array([100, 10, 1]) / STEPS


def recorded_ece(state: Mapping[str, Any], right: Bool[np.ndarray, " n"]) -> float:
    """Expected calibration error (10 bins; Guo et al. 2017, eq 3) of a stored state, a share from 0 to 1."""
    return ece(from_thousandths(state["confidence"]), right)


def recorded_reliability(state: Mapping[str, Any], right: Bool[np.ndarray, " n"]) -> tuple[Bin | None, ...]:
    """Answers by tenths of confidence: how many, their mean confidence, the share of them that is right."""
    return reliability(from_thousandths(state["confidence"]), right)
