"""Milliseconds as a target: bisected on the time of the whole network, on machines that are made up."""

import math
from dataclasses import dataclass, field

import pytest
import torch
from tiny_nets import small

from compress import Floor, Plan, slim
from compress.slimming.milliseconds import CLOSE, ROUNDS, TOLERANCE, select_for_ms
from compress.slimming.targets import Subject

FLOOR = Floor(channels=2, share=0.1)


@dataclass
class Machine:
    """A machine on which a network of widths takes a time by formula: no network is needed, nor a clock."""

    base: float
    speed: float = 1.0
    drift: float = 1.0
    """What its speed is multiplied by after every comparison."""
    noise: float = 0.0
    seen: list = field(default_factory=list)
    whole: float = 0.0
    provenance: dict = field(default_factory=lambda: {"runtime": "made up"})

    def time(self, kept):
        widths = [len(channels) for channels in kept.values()]
        return self.base + sum(a * b for a, b in zip([3, *widths], widths, strict=False)) / 1000

    @property
    def whole_ms(self):
        return self.whole * self.speed

    def share(self, kept):
        self.speed *= self.drift
        self.seen.append(kept)
        wobble = 1 + self.noise * math.sin(7 * len(self.seen))
        return wobble * self.time(kept) / self.whole


def subject(sizes=(64, 48, 96, 80), align=1, seed=0):
    random = torch.Generator().manual_seed(seed)
    scores = {f"layer{i}": torch.rand(size, generator=random) for i, size in enumerate(sizes)}
    rest = {"net": torch.nn.Identity(), "example": torch.zeros(1), "output": None, "groups": ()}
    return Subject(scores=scores, rule="exact", floor=FLOOR, align=align, trial=lambda kept: kept, **rest)


def machine(given, **how):
    made = Machine(**{"base": 2.0} | how)
    made.whole = made.time({name: range(len(values)) for name, values in given.scores.items()})
    return made


@pytest.mark.parametrize("align", [1, 8])
@pytest.mark.parametrize("share", [0.25, 0.5, 0.8, 0.97])
def test_the_network_takes_the_time(share, align):
    given = subject(align=align)
    clock = machine(given, base=0.5)
    target = share * clock.whole_ms
    timed = select_for_ms(given, target, clock)
    assert timed.ms == pytest.approx(clock.time(timed.kept))
    assert timed.ms <= target * (1 + CLOSE) and timed.ms > 0.85 * target
    assert timed.ms_before == clock.whole_ms and timed.provenance == {"runtime": "made up"}
    assert len(clock.seen) <= ROUNDS


def test_channels_go_in_the_order_of_their_scores():
    given = subject()
    clock = machine(given)
    some = select_for_ms(given, 0.9 * clock.whole_ms, clock).kept
    fewer = select_for_ms(given, 0.6 * clock.whole_ms, machine(given)).kept
    assert all(set(fewer[name]) <= set(some[name]) for name in some)


def test_a_machine_that_slows_down_meanwhile_does_not_move_the_choice():
    """Every network is compared with the whole one at that moment: half of its time stays half of its time."""
    given = subject()
    calm, tired = machine(given), machine(given, drift=1.03)
    still = select_for_ms(given, 0.5 * calm.whole_ms, calm)
    moved = select_for_ms(given, 0.5 * tired.whole_ms, tired)
    assert moved.ms / moved.ms_before < still.ms / still.ms_before * (1 + TOLERANCE)
    assert abs(moved.ms - 0.5 * calm.whole_ms) <= TOLERANCE * moved.ms


def test_a_noisy_machine_is_answered_within_its_noise():
    given = subject()
    clock = machine(given, noise=0.03)
    timed = select_for_ms(given, 0.5 * clock.whole_ms, clock)
    assert clock.time(timed.kept) == pytest.approx(0.5 * clock.whole_ms, rel=0.08)


def test_steps_that_are_too_coarse_end_below_the_target():
    given = subject(sizes=(40, 40), align=32)
    clock = machine(given, base=0.01)
    target = 0.7 * clock.whole_ms
    timed = select_for_ms(given, target, clock)
    assert timed.ms < target


def test_the_time_of_the_whole_network_cuts_nothing():
    given = subject()
    clock = machine(given)
    timed = select_for_ms(given, clock.whole_ms, clock)
    assert all(len(timed.kept[name]) == len(values) for name, values in given.scores.items())


@pytest.mark.parametrize(("share", "sentence"), [(1.2, "already; ask for less"), (0.1, "the narrowest network")])
def test_a_time_out_of_reach_is_a_sentence(share, sentence):
    given = subject()
    clock = machine(given)
    with pytest.raises(ValueError, match=sentence):
        select_for_ms(given, share * clock.whole_ms, clock)


@pytest.mark.parametrize("target_ms", [float("nan"), float("inf"), 0.0, -1.0, "fast"])
def test_what_is_no_time_is_a_sentence(target_ms):
    net = small("vggnet")
    with pytest.raises(ValueError, match="target_ms="):
        slim(net, net.example(), target_ms=target_ms)


class ByParameters:
    """Takes a millisecond for a thousand parameters; in the place of `compress.timing.beside.RuntimeStopwatch`."""

    def __init__(self, net, example, folder, *, runtime, batch, output):
        self.net, self.provenance = net, {"runtime": runtime, "batch": batch}

    @property
    def whole_ms(self):
        return sum(one.numel() for one in self.net.parameters()) / 1000

    def share(self, net):
        return sum(one.numel() for one in net.parameters()) / 1000 / self.whole_ms


@pytest.mark.parametrize("name", ["vggnet", "resnet18"])
def test_slim_takes_milliseconds_for_chains_and_for_sums(name, monkeypatch, tmp_path):
    monkeypatch.setattr("compress.timing.beside.RuntimeStopwatch", ByParameters)
    net = small(name)
    before = ByParameters(net, None, None, runtime="", batch=1, output=None).whole_ms
    _, plan = slim(net, net.example(), target_ms=0.6 * before, floor=FLOOR, runtime="openvino", batch=4)
    assert plan.target == "ms" and plan.achieved == pytest.approx(0.6 * before, rel=0.1)
    assert plan.timing == {"runtime": "openvino", "batch": 4, "ms": plan.achieved, "ms_before": before}
    plan.save(tmp_path / "plan.json")
    assert Plan.load(tmp_path / "plan.json") == plan
