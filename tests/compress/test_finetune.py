"""The distillation term against its definition."""

from typing import NamedTuple

import pytest
import torch
from torch import nn
from torch.nn import functional

from compress.slimming.finetune import distillation


class Answer(NamedTuple):
    logits: torch.Tensor


class Fixed(nn.Module):
    """A teacher that always says the same."""

    def __init__(self, logits):
        super().__init__()
        self.values = nn.Parameter(logits)

    def forward(self, view):
        assert not self.training and not torch.is_grad_enabled()
        return Answer(self.values)


def pair():
    torch.manual_seed(0)
    return torch.randn(2, 4, 7), torch.randn(2, 4, 7, requires_grad=True)


def test_heads_are_compared_one_by_one():
    said, given = pair()
    term = distillation(Fixed(said), temperature=3.0, weight=0.5)
    expected = 0.0
    for head in range(2):
        p, q = (said[head] / 3).softmax(-1), (given[head].detach() / 3).log_softmax(-1)
        expected += float(functional.kl_div(q, p, reduction="batchmean")) / 2
    assert term(Answer(given), (torch.zeros(1),)).item() == pytest.approx(0.5 * 9 * expected, rel=1e-5)


def test_mean_compares_the_averaged_probabilities():
    said, given = pair()
    term = distillation(Fixed(said), temperature=1.0, level="mean")
    p, q = said.softmax(-1).mean(0), given.detach().softmax(-1).mean(0)
    assert term(Answer(given), (torch.zeros(1),)).item() == pytest.approx(
        float((p * (p / q).log()).sum(-1).mean()), rel=1e-4
    )


@pytest.mark.parametrize("level", ["heads", "mean"])
def test_a_perfect_student_has_no_loss_and_no_slope(level):
    said, _ = pair()
    given = said.clone().requires_grad_()
    teacher = Fixed(said).train()
    loss = distillation(teacher, level=level)(Answer(given), (torch.zeros(1),))
    loss.backward()
    assert loss.item() == pytest.approx(0, abs=1e-6)
    assert given.grad is not None and float(given.grad.abs().max()) < 1e-6
    assert teacher.values.grad is None and teacher.training


def test_the_term_is_float32_under_autocast():
    said, given = pair()
    with torch.autocast("cpu", torch.bfloat16):
        loss = distillation(Fixed(said))(Answer(given.bfloat16()), (torch.zeros(1),))
    assert loss.dtype is torch.float32 and loss.item() > 0


@pytest.mark.parametrize("options", [{"temperature": 0}, {"weight": -1}, {"level": "loud"}])
def test_mistakes_are_sentences(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        distillation(Fixed(torch.zeros(1, 1, 7)), **options)


def test_plain_logits_of_any_network_are_one_head():
    torch.manual_seed(0)
    said, given = torch.randn(4, 7), torch.randn(4, 7)
    wanted = functional.kl_div((given / 2).log_softmax(-1), (said / 2).softmax(-1), reduction="batchmean")
    teacher = nn.Linear(3, 7)
    with torch.no_grad():
        teacher.weight.zero_()
        teacher.bias.copy_(said[0])
    term = distillation(teacher, temperature=2.0)
    alone = functional.kl_div((given[:1] / 2).log_softmax(-1), (said[:1] / 2).softmax(-1), reduction="batchmean")
    assert float(term(given[:1], torch.zeros(1, 3))) == pytest.approx(4 * float(alone), rel=1e-5)
    named = distillation(Fixed(said[None]), output=lambda answer: answer.logits)
    assert float(named(Answer(given[None]), torch.zeros(4, 3))) == pytest.approx(4 * float(wanted), rel=1e-5)


def test_logits_that_do_not_fit_are_a_sentence():
    term = distillation(Fixed(torch.zeros(2, 4, 7)))
    with pytest.raises(ValueError, match='level="mean"'):
        term(Answer(torch.zeros(1, 4, 7)), torch.zeros(1))
    with pytest.raises(ValueError, match="give output="):
        distillation(Fixed(torch.zeros(2, 4, 7, 3)))(Answer(torch.zeros(1, 4, 7)), torch.zeros(1))
