"""Selection by milliseconds with a clock of our own: the time of a network is a formula, so every answer is exact."""

import json
from importlib import metadata
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn

import fermodels
from compress import Floor, slim
from compress.runtimes import Unavailable
from compress.slimming.criteria import CRITERIA, Context
from compress.slimming.groups import channel_groups
from compress.slimming.latency_table import LatencyTable, nodes
from compress.slimming.latency_target import TOLERANCE, kept_of, select_for_ms
from compress.slimming.layers import Geometry, layers_of
from compress.slimming.targets import Subject
from compress.timing.stopwatch import RuntimeStopwatch, low_decile_ms, ratio_in_turns

WIDTHS = (16, 16, 32, 32, 40, 40, 40, 48, 48, 48, 64, 64, 64)
FLOOR = Floor(channels=8, share=0.1)


def lively(name="vggnet"):
    torch.manual_seed(0)
    trunks = {"face": WIDTHS} | ({"local": WIDTHS[::-1]} if name == "mrf" else {})
    local = {"local_size": 28} if name == "mrf" else {}
    net = fermodels.build(name, widths=trunks, size=56, pools=3, **local)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.1, 2.0)
    return net


class Formula:
    """A machine whose layers take a time by formula, in steps of 16 channels read; networks take `bias` times more."""

    def __init__(self, bias=1.0, extra_ms=0.0, **provenance):
        self.bias, self.extra_ms, self.asked, self.nets = bias, extra_ms, [], 0
        place = {"runtime": "formula", "precision": "fp32", "batch": 1, "threads": 1}
        self.provenance = place | provenance

    @staticmethod
    def layer(geometry, fan_in, fan_out):
        positions = geometry.images * geometry.side**2
        return positions * (-(-fan_in // 16) * 16) * fan_out * geometry.kernel**2 / 1e8

    def probe_ms(self, geometry, fan_in, fan_out):
        self.asked.append((geometry, fan_in, fan_out))
        around = 0.002 * fan_in
        return around if fan_out is None else around + self.layer(geometry, fan_in, fan_out)

    def network_ms(self, net):
        self.nets += 1
        found = layers_of(net, channel_groups(net, net.example()))
        summed = sum(self.layer(one.geometry, one.fan_in, one.fan_out) for one in found)
        return self.bias * summed**0.9 + self.extra_ms

    def network_ratio(self, net, other):
        return self.network_ms(net) / self.network_ms(other)


def subject_of(net, align=8):
    groups = channel_groups(net, net.example())

    def trial(kept):
        widths = {name: len(channels) for name, channels in kept.items()}
        trunks = {
            trunk: tuple(widths[f"trunks.{trunk}.blocks.{i}.conv"] for i in range(len(WIDTHS))) for trunk in net.trunks
        }
        return fermodels.rebuild(net, trunks)

    scores = CRITERIA["gamma"](net, groups, Context())
    return Subject(
        net=net,
        example=net.example(),
        groups=groups,
        scores=scores,
        rule="exact",
        floor=FLOOR,
        align=align,
        trial=trial,
    )


def signal(subject, kept):
    """Share of the squared scores kept, summed over groups."""
    total = 0.0
    for name, values in subject.scores.items():
        total += sum(float(values[i]) ** 2 for i in kept[name]) / sum(float(value) ** 2 for value in values)
    return total


@pytest.mark.parametrize(
    ("name", "bias", "extra_ms"),
    [("vggnet", 1.0, 0.0), ("vggnet", 1.4, 0.3), ("vggnet", 0.7, 0.1), ("mrf", 1.4, 0.3)],
)
def test_the_measured_time_is_the_target_whatever_the_bias(tmp_path, name, bias, extra_ms):
    clock = Formula(bias, extra_ms)
    net = lively(name)
    subject = subject_of(net)
    table = LatencyTable(clock, tmp_path)
    whole = clock.network_ms(net)
    worths = []
    for share in (0.5, 0.8):
        timed = select_for_ms(subject, share * whole, table)
        assert timed.ms == pytest.approx(clock.network_ms(subject.trial(timed.kept)))
        assert abs(timed.ms - share * whole) <= TOLERANCE * share * whole
        assert timed.ms_before == pytest.approx(whole)
        for group, channels in timed.kept.items():
            size = len(subject.scores[group])
            assert len(channels) == size or (len(channels) % 8 == 0 and len(channels) >= FLOOR.least(size))
            dropped = set(range(size)) - set(channels)
            values = subject.scores[group]
            assert all(values[list(channels)].min() >= values[gone] for gone in dropped)
        worths.append(signal(subject, timed.kept))
    assert all(less < more for less, more in pairwise(worths))


def test_it_keeps_more_than_the_same_time_by_score_alone(tmp_path):
    """Against the rule "exact" at equal milliseconds, more of the signal is kept: that is what the table is for."""
    net, clock = lively(), Formula()
    subject = subject_of(net)
    plain, _ = slim(net, net.example(), ratio=0.5, floor=FLOOR, align=8)
    kept = select_for_ms(subject, clock.network_ms(plain), LatencyTable(clock, tmp_path)).kept
    by_score = slim(net, net.example(), ratio=0.5, floor=FLOOR, align=8)[1].kept
    assert signal(subject, kept) > signal(subject, by_score)


def test_targets_out_of_reach_are_sentences(tmp_path):
    net, clock = lively(), Formula()
    subject, table = subject_of(net), LatencyTable(clock, tmp_path)
    with pytest.raises(ValueError, match=r"target_ms=99: the whole network takes .* already"):
        select_for_ms(subject, 99.0, table)
    with pytest.raises(ValueError, match=r"target_ms=0.001: .* the narrowest network takes"):
        select_for_ms(subject, 0.001, table)


def test_a_target_between_two_networks_names_them(tmp_path):
    """With one narrower width a layer and all time in one layer, nothing lies between."""
    torch.manual_seed(0)
    net = fermodels.build("vggnet", widths={"face": (16, *(8,) * 12)}, size=32, pools=3)
    subject, clock = subject_of(net), Formula(extra_ms=0.0)
    whole = clock.network_ms(net)
    narrow = clock.network_ms(fermodels.rebuild(net, {"face": (8,) * 13}))
    with pytest.raises(ValueError, match="none within 5%"):
        select_for_ms(subject, (whole + narrow) / 2, LatencyTable(clock, tmp_path))


def test_the_table_is_measured_once_and_again_elsewhere(tmp_path):
    net = lively()
    groups = channel_groups(net, net.example())
    layers, options = layers_of(net, groups), {group.name: [8, group.size] for group in groups}
    first = Formula()
    LatencyTable(first, tmp_path).measure(layers, options)
    assert len(first.asked) == len(set(first.asked)) > 0
    same, other = Formula(), Formula(cpu="another")
    table = LatencyTable(same, tmp_path)
    table.measure(layers, options)
    assert same.asked == []
    wider = {name: [8, 16, *widths[1:]] for name, widths in options.items()}
    table.measure(layers, wider)
    assert same.asked and not set(same.asked) & set(first.asked)
    LatencyTable(other, tmp_path).measure(layers, options)
    assert set(other.asked) == set(first.asked)
    assert json.loads(table.path.read_text())["provenance"]["cpu"] == "another"
    table.path.write_text(table.path.read_text()[:100])
    again = Formula(cpu="another")
    LatencyTable(again, tmp_path).measure(layers, options)
    assert set(again.asked) == set(first.asked)


def test_an_interrupted_measurement_keeps_what_it_has(tmp_path):
    class Broken(Formula):
        def probe_ms(self, geometry, fan_in, fan_out):
            if len(self.asked) == 5:
                raise KeyboardInterrupt
            return super().probe_ms(geometry, fan_in, fan_out)

    net = lively()
    groups = channel_groups(net, net.example())
    layers, options = layers_of(net, groups), {group.name: [8, group.size] for group in groups}
    broken, resumed = Broken(), Formula()
    with pytest.raises(KeyboardInterrupt):
        LatencyTable(broken, tmp_path).measure(layers, options)
    LatencyTable(resumed, tmp_path).measure(layers, options)
    assert resumed.asked and not set(resumed.asked) & set(broken.asked)


def test_times_between_the_nodes_are_bilinear(tmp_path):
    """x * y is bilinear, so interpolation is exact wherever it was not measured."""

    class Product(Formula):
        @staticmethod
        def layer(geometry, fan_in, fan_out):
            return fan_in * fan_out * 1e-3

    net = lively()
    groups = channel_groups(net, net.example())
    layers = layers_of(net, groups)
    options = {group.name: list(range(8, group.size + 1, 8)) for group in groups}
    table = LatencyTable(Product(), tmp_path)
    table.measure(layers, options)
    fans_in, fans_out = options[layers[-1].reads], options[layers[-1].writes]
    assert len(nodes(fans_out)) < len(fans_out) or len(fans_out) < 5
    assert np.allclose(table.layer_ms(layers[-1], fans_in, fans_out), np.outer(fans_in, fans_out) * 1e-3)


def test_nodes_are_the_ends_and_powers_of_two_and_their_halves():
    assert nodes(range(8, 129, 8)) == [8, 16, 24, 32, 48, 64, 96, 128]
    assert nodes([40]) == [40]
    assert nodes([56, 104]) == [56, 104]


def test_layers_are_where_they_stand():
    net = lively("mrf")
    found = {layer.name: layer for layer in layers_of(net, channel_groups(net, net.example()))}
    convs = {name for name, module in net.named_modules() if isinstance(module, nn.Conv2d)}
    assert set(found) == convs
    common = {"kernel": 3, "stride": 1, "padding": 1}
    first, second = found["trunks.face.blocks.0.conv"], found["trunks.local.blocks.1.conv"]
    assert first.geometry == Geometry(side=56, images=1, pool=1, **common)
    assert (first.reads, first.writes, first.fan_in) == (None, "trunks.face.blocks.0.conv", 3)
    assert second.geometry == Geometry(side=28, images=2, pool=2, **common)
    assert second.reads == "trunks.local.blocks.0.conv"
    gate = found["gate.conv1"]
    assert (gate.reads, gate.writes, gate.geometry.side) == ("trunks.face.blocks.12.conv", None, 7)


def test_the_strongest_channels_stay():
    scores = {"a": torch.tensor([0.3, 0.9, 0.1, 0.5])}
    assert kept_of(scores, {"a": 2}) == {"a": (1, 3)}


def test_the_low_decile_ignores_what_others_took():
    """Nineteen runs of 2 ms, one in two of them disturbed; three more before them do not count."""
    times = iter([0] * 3 + [2, 9] * 20)
    now = [0]

    def run():
        now[0] += next(times) * 1_000_000

    assert low_decile_ms(run, seconds=0, runs=20, clock=lambda: now[0]) == pytest.approx(2.0)


def test_a_ratio_in_turns_does_not_see_a_machine_that_slows_down():
    now, speed = [0], [1.0]

    def taking(ms):
        def run():
            speed[0] *= 1.001
            now[0] += round(ms * speed[0] * 1e6)

        return run

    assert ratio_in_turns(taking(3.0), taking(2.0), clock=lambda: now[0]) == pytest.approx(1.5, rel=0.02)
    assert speed[0] > 1.5


def test_networks_measured_beside_one_are_in_its_milliseconds(tmp_path):
    whole, slim_net = lively(), fermodels.rebuild(lively(), {"face": (8,) * 13})
    clock = Formula()
    table = LatencyTable(clock, tmp_path)
    first = table.network_ms(whole)
    clock.bias = 3.0  # the machine is three times as slow from here on
    assert table.network_ms(slim_net, beside=whole) == pytest.approx(Formula().network_ms(slim_net))
    assert LatencyTable(clock, tmp_path).network_ms(whole) == first


def test_a_missing_runtime_names_its_extra(monkeypatch):
    def missing(package):
        raise metadata.PackageNotFoundError(package)

    monkeypatch.setattr(metadata, "version", missing)
    with pytest.raises(Unavailable, match=r"onnx is not installed: pip install 'fermodels\[onnx\]'"):
        _ = RuntimeStopwatch(runtime="openvino", batch=1).provenance


@pytest.mark.slow
def test_on_a_real_runtime_the_measured_time_is_within_tolerance(tmp_path):
    pytest.importorskip("onnxruntime", reason="needs onnxruntime: pip install -e '.[onnx]'")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        net = fermodels.build("vggnet", widths={"face": (64,) * 13}, size=64, pools=3)
        clock = RuntimeStopwatch(runtime="onnxruntime", batch=1)
        target = 0.6 * clock.network_ms(net)
        try:
            slim_net, plan = slim(net, net.example(), target_ms=target, align=16, tables=tmp_path)
        except ValueError as error:
            assert "networks nearest to it take" in str(error)
            pytest.skip(f"times are too noisy here today: {error}")
        again = clock.network_ms(slim_net) / clock.network_ms(net)
    finally:
        torch.set_num_threads(threads)
    assert plan.target == "ms" and abs(plan.achieved - target) <= TOLERANCE * target
    assert plan.timing is not None and plan.timing["threads"] == 1 and plan.timing["runtime"] == "onnxruntime"
    assert again < 0.9, "measured anew beside the unpruned one, with what neighbours do to both"
