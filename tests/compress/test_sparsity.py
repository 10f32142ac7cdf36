"""The travel budget against a simulated optimiser, and the penalties against their closed forms."""

import pytest
import torch
from torch import nn

import fermodels
from compress.slimming.sparsity import (
    Proximal,
    SubGradient,
    by_macs,
    by_width,
    gamma_histogram,
    gamma_names,
    mean_gamma,
    penalised,
    travel_budget,
    zero_share,
)


def train(penalty, gamma, rates, momentum):
    """SGD on a loss that does not care: only the penalty moves gamma."""
    optimizer = torch.optim.SGD([gamma], lr=1.0, momentum=momentum)
    for step, rate in enumerate(rates):
        optimizer.param_groups[0]["lr"] = rate
        gamma.grad = torch.zeros_like(gamma)
        penalty.before_step(rate, step / len(rates))
        optimizer.step()
        penalty.after_step(rate, step / len(rates))
    return gamma.detach()


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_budget_is_what_a_sub_gradient_travels(momentum):
    rates = [0.1] * 150 + [0.01] * 150
    gamma = nn.Parameter(torch.tensor([50.0, -50.0], dtype=torch.float64))
    penalty = SubGradient([gamma], 0.05)
    moved = 50 - train(penalty, gamma, rates, momentum).abs()
    distance = penalty.travel(rates, momentum).distance
    assert distance == pytest.approx((150 * 0.1 + 150 * 0.01) * 0.05 / (1 - momentum))
    assert (moved <= distance * (1 + 1e-9)).all()
    started = [rate * 0.05 * (1 - momentum ** (step + 1)) / (1 - momentum) for step, rate in enumerate(rates)]
    assert moved.tolist() == pytest.approx([sum(started)] * 2)  # the bound, less what momentum takes to get going


def test_budget_is_what_a_proximal_step_travels():
    rates = [0.1 * (1 - step / 200) for step in range(200)]
    gamma = nn.Parameter(torch.tensor([50.0], dtype=torch.float64))
    penalty = Proximal([gamma], 0.5, ramp=0.3, cool=0.2)
    assert float(50 - train(penalty, gamma, rates, 0.9)) == pytest.approx(penalty.travel(rates, 0.9).distance, rel=1e-4)


def test_the_paper_schedule_kills_nothing():
    """Paper 1 on RAF-DB: 60 epochs of 96 steps, 0.01 x 0.1 every 20, lambda 1e-4, momentum 0.9."""
    rates = [0.01 * 0.1 ** (epoch // 20) for epoch in range(60) for _ in range(96)]
    travel = travel_budget(rates, 1e-4, 0.9)
    assert travel.distance == pytest.approx(20 * 96 * 0.0111 * 1e-4 / 0.1)
    assert "nothing will die" in travel.sentence(1.0)
    assert "T=0.0213" in travel.sentence(1.0)


def test_sentences_follow_the_budget():
    travel = travel_budget([1.0] * 10, 0.1, 0.5)
    assert travel.distance == pytest.approx(2)
    assert "next to nothing" in travel.sentence(1.0)
    assert "enough" in travel.sentence(0.5)


def test_proximal_is_the_soft_threshold():
    gamma = nn.Parameter(torch.tensor([1.0, -1.0, 0.05, -0.05, 0.0]))
    Proximal([gamma], 1.0, ramp=0, cool=0).after_step(0.1, 0.5)
    assert torch.allclose(gamma.detach(), torch.tensor([0.9, -0.9, 0.0, 0.0, 0.0]))
    assert int((gamma == 0).sum()) == 3


def test_proximal_ramps_up_and_cools_down():
    penalty = Proximal([], 1.0, ramp=0.2, cool=0.4)
    assert [round(penalty.schedule(p), 6) for p in (0, 0.1, 0.2, 0.5, 0.6, 0.8, 1)] == [0, 0.5, 1, 1, 1, 0.5, 0]


def test_cooling_holds_zeros_and_earlier_phases_do_not():
    gamma = nn.Parameter(torch.tensor([0.0, 1.0]))
    penalty = Proximal([gamma], 1e-6, ramp=0.1, cool=0.2)
    for progress, alive in ((0.5, True), (0.9, False)):
        with torch.no_grad():
            gamma[0] = 0.0
        penalty.before_step(0.1, progress)
        with torch.no_grad():
            gamma += 0.3  # what an optimiser would do
        penalty.after_step(0.1, progress)
        assert bool(gamma[0] != 0) is alive


def test_sub_gradient_adds_to_the_gradient():
    gamma = nn.Parameter(torch.tensor([2.0, -3.0, 0.0]))
    gamma.grad = torch.ones(3)
    SubGradient([gamma], 0.25).before_step(0.1, 0.0)
    assert gamma.grad.tolist() == [1.25, 0.75, 1.0]


@pytest.mark.parametrize("kind", [SubGradient, Proximal])
def test_a_penalty_needs_a_strength(kind):
    with pytest.raises(ValueError, match="strength=0"):
        kind([], 0)


def test_shares_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="together at most 1"):
        Proximal([], 1.0, ramp=0.7, cool=0.5)
    with pytest.raises(ValueError, match="momentum=1"):
        travel_budget([0.1], 1e-4, 1.0)


def test_population_and_statistics():
    net = fermodels.build("vggnet", widths={"face": (8,) * 13}, size=32, pools=3, bn="first")
    assert gamma_names(net, net.example()) == tuple(f"trunks.face.blocks.{i}.bn.weight" for i in (0, 2, 4, 7, 10))
    with torch.no_grad():
        for gamma in penalised(net, net.example()):
            gamma[:2] = 0
            gamma[2:] = -0.5
    assert zero_share(net, net.example()) == pytest.approx(0.25)
    assert mean_gamma(net, net.example()) == pytest.approx(0.375)
    histogram = gamma_histogram(net, net.example(), bins=4)
    assert histogram["edges"] == pytest.approx([0, 0.125, 0.25, 0.375, 0.5])
    assert all(counts == [2, 0, 0, 6] for counts in histogram["counts"].values())


def test_keeping_the_scale_moves_what_one_channel_loses_to_the_others():
    """Thresholds 0.1 by hand: [1, .5, .05] -> [.9, .4, 0], then times 1.55 / 1.3; the sum of |gamma| is unchanged."""
    gamma = torch.nn.Parameter(torch.tensor([1.0, -0.5, 0.05]))
    penalty = Proximal([gamma], 1.0, ramp=0, cool=0, keep_scale=True)
    penalty.before_step(0.1, 0.5)
    penalty.after_step(0.1, 0.5)
    assert torch.allclose(gamma, torch.tensor([0.9, -0.4, 0.0]) * 1.55 / 1.3)


def test_with_kept_scale_uneven_gammas_part_and_even_ones_stay():
    uneven = torch.nn.Parameter(torch.tensor([1.2, 1.0, 0.8, 0.6]))
    even = torch.nn.Parameter(torch.full((4,), 0.7))
    penalty = Proximal([uneven, even], 1.0, ramp=0, cool=0, keep_scale=True)
    for step in range(400):
        penalty.before_step(0.01, step / 400)
        penalty.after_step(0.01, step / 400)
    assert uneven.sum().item() == pytest.approx(3.6, rel=1e-4)
    assert (uneven == 0).sum() >= 2 and uneven[0] > 1.2
    assert torch.allclose(even, torch.full((4,), 0.7), atol=1e-4)


def test_a_narrow_layer_feels_its_share_of_the_penalty():
    """Threshold 0.1 for the wide layer, 0.05 for the one half as wide."""
    wide, narrow = (torch.nn.Parameter(torch.full((n,), 0.5)) for n in (8, 4))
    assert by_width([wide, narrow]) == [1.0, 0.5]
    penalty = Proximal([wide, narrow], 1.0, ramp=0, cool=0, weights=by_width([wide, narrow]))
    penalty.after_step(0.1, 0.5)
    assert wide.tolist() == pytest.approx([0.4] * 8) and narrow.tolist() == pytest.approx([0.45] * 4)


def test_with_kept_scale_no_step_kills_a_whole_layer():
    gamma = torch.nn.Parameter(torch.tensor([0.02, -0.01]))
    penalty = Proximal([gamma], 1.0, ramp=0, cool=0, keep_scale=True)
    penalty.after_step(1.0, 0.5)
    assert gamma.tolist() == pytest.approx([0.02, -0.01])


def test_by_macs_weighs_a_channel_by_what_goes_with_it():
    """MACs of one channel by hand: what its convolution computes for it, and what its readers read of it."""
    net = fermodels.build("vggnet", widths={"face": (8, 12, 8, *(8,) * 10)}, size=32, pools=3)
    weights = by_macs(net, net.example())
    first = 32 * 32 * 9 * (3 + 12)  # three planes in, twelve filters read it
    second = 32 * 32 * 9 * 8 + 16 * 16 * 9 * 8  # read behind the pool
    assert weights[0] / weights[1] == pytest.approx(first / second)
    assert max(weights) == 1 and len(weights) == len(penalised(net, net.example()))
    gammas = [nn.Parameter(torch.ones(2)) for _ in weights]
    Proximal(gammas, 1.0, ramp=0, cool=0, weights=weights).after_step(0.5, 0.5)
    assert [gamma[0].item() for gamma in gammas] == pytest.approx([1 - 0.5 * weight for weight in weights])
