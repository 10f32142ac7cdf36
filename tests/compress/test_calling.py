"""Inputs and answers of any shape that networks have."""

from dataclasses import dataclass
from typing import NamedTuple

import pytest
import torch

from compress.calling import choosing, first_tensor, inputs_of, named_tensors

ONE, TWO = torch.zeros(1), torch.ones(2)


class Named(NamedTuple):
    logits: torch.Tensor
    map: torch.Tensor | None


@dataclass
class Told:
    loss: float | None
    logits: torch.Tensor


@pytest.mark.parametrize(
    "answer",
    [ONE, (ONE, TWO), [ONE], {"out": ONE, "aux": TWO}, Named(ONE, None), Told(None, ONE), {"a": [], "b": (None, ONE)}],
)
def test_the_first_tensor_counts(answer):
    assert first_tensor(answer) is ONE


@pytest.mark.parametrize("answer", [None, (), "text", {"a": 1}])
def test_an_answer_without_a_tensor_is_a_sentence(answer):
    with pytest.raises(ValueError, match="output="):
        first_tensor(answer)


def test_inputs_are_a_tensor_or_a_tuple_of_them():
    assert inputs_of(ONE) == (ONE,)
    assert inputs_of((ONE, TWO)) == inputs_of([ONE, TWO]) == (ONE, TWO)
    for wrong in (None, 3, (), (ONE, 3), {"x": ONE}):
        with pytest.raises(ValueError, match="tensor"):
            inputs_of(wrong)


def test_tensors_are_named_by_field_key_or_number():
    answer = {"first": Named(ONE, None), "rest": [TWO, (ONE,)]}
    assert list(named_tensors(answer)) == [
        ("logits", ONE),
        ("rest0", TWO),
        ("rest10", ONE),
    ]


def test_an_output_that_finds_no_tensor_is_a_sentence():
    assert choosing(lambda answer: answer["aux"])({"out": ONE, "aux": TWO}) is TWO
    for wrong in (lambda answer: answer["none"], lambda answer: answer.logits, len):
        with pytest.raises(ValueError, match="output="):
            choosing(wrong)({"out": ONE})
