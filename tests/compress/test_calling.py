"""Inputs and answers of any shape that networks have."""

from dataclasses import dataclass
from typing import NamedTuple

import pytest
import torch

from compress.calling import first_tensor, inputs_of

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
