"""NT-Xent against a double loop, its invariances, and two processes against one."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import distributed, multiprocessing

from fermodels.training.losses import nt_xent


def by_loops(first, second, temperature):
    """-log of eq 1 over all 2 N anchors, in plain Python."""
    z = [*first.double(), *second.double()]
    total, n = 0.0, len(first)
    for i in range(2 * n):

        def score(k, i=i):
            return math.exp(float(z[i] @ z[k] / z[i].norm() / z[k].norm()) / temperature)

        total -= math.log(score((i + n) % (2 * n)) / sum(score(k) for k in range(2 * n) if k != i))
    return total / (2 * n)


@given(st.integers(1, 9), st.integers(2, 6), st.sampled_from([0.1, 0.5, 1.0]), st.integers(0, 99))
def test_it_is_the_double_loop(n, d, temperature, seed):
    first, second = torch.randn(2, n, d, generator=torch.Generator().manual_seed(seed)).unbind(0)
    assert nt_xent(first, second, temperature=temperature).item() == pytest.approx(
        by_loops(first, second, temperature), rel=1e-4, abs=1e-5
    )


@given(st.permutations(range(7)))
def test_it_does_not_depend_on_the_order_of_images_or_views(order):
    first, second = torch.randn(2, 7, 5, generator=torch.Generator().manual_seed(0)).unbind(0)
    value = nt_xent(first, second)
    assert torch.allclose(nt_xent(first[list(order)], second[list(order)]), value, rtol=1e-5)
    assert torch.allclose(nt_xent(second, first), value, rtol=1e-5)
    assert torch.allclose(nt_xent(3 * first, second / 7), value, rtol=1e-5), "cosine similarity"


def test_one_image_has_no_negatives():
    assert nt_xent(torch.randn(1, 4), torch.randn(1, 4)).item() == pytest.approx(0, abs=1e-6)


def test_descent_pulls_views_together():
    torch.manual_seed(0)
    first, second = torch.randn(2, 8, 4).unbind(0)
    first = first.requires_grad_()
    optimizer = torch.optim.SGD([first], lr=1.0)
    for _ in range(100):
        optimizer.zero_grad()
        nt_xent(first, second).backward()
        optimizer.step()
    likeness = torch.nn.functional.normalize(first, dim=1) @ torch.nn.functional.normalize(second, dim=1).T
    assert torch.equal(likeness.argmax(1), torch.arange(8))


def test_a_temperature_of_zero_is_a_sentence():
    with pytest.raises(ValueError, match="above 0"):
        nt_xent(torch.ones(2, 2), torch.ones(2, 2), temperature=0)


COUNTS = (3, 2)
"""Images of each process: the last batch of an epoch need not be shared equally."""


def images():
    return torch.randn(sum(COUNTS), 6, generator=torch.Generator().manual_seed(1)), torch.eye(6, 4) + 0.1


def projected(rows, weight):
    return nt_xent(torch.tanh(rows) @ weight, torch.sin(rows) @ weight)


def process(rank, folder):
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=len(COUNTS))
    rows, weight = images()
    own = rows.split(COUNTS)[rank]
    weight.requires_grad_()
    value = projected(own, weight) * len(own) / len(rows)
    value.backward()
    torch.save((value.detach(), weight.grad), f"{folder}/{rank}.pt")
    distributed.destroy_process_group()


def test_two_processes_are_one_with_all_images(tmp_path):
    multiprocessing.spawn(process, (str(tmp_path),), nprocs=len(COUNTS))
    found = [torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(len(COUNTS))]
    rows, weight = images()
    value = projected(rows, weight.requires_grad_())
    value.backward()
    assert torch.allclose(sum(each for each, _ in found), value, atol=1e-6)
    assert torch.allclose(sum(each for _, each in found), weight.grad, atol=1e-6)
