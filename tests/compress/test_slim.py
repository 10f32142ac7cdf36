"""Surgery, absorption and recalibration on networks small enough to check by hand."""

import copy
from typing import NamedTuple

import pytest
import torch
from tiny_nets import small
from torch import nn

import fermodels
from compress import Floor, Plan, apply, slim
from compress.slimming.absorb import absorb, silence
from compress.slimming.criteria import CRITERIA, Context
from compress.slimming.groups import channel_groups
from compress.slimming.recalibrate import recalibrate

FLOOR = Floor(channels=1, share=0.0)
WIDTHS = (8,) * 13


class Answer(NamedTuple):
    logits: torch.Tensor


class Pointwise(nn.Module):
    """Convolutions without padding and a linear reader: absorption is exact here."""

    def __init__(self, residual=False, bias=True):
        super().__init__()
        self.first, self.norm1 = nn.Conv2d(3, 6, 1, bias=bias), nn.BatchNorm2d(6)
        self.second, self.norm2 = nn.Conv2d(6, 6, 1, bias=bias), nn.BatchNorm2d(6)
        self.third, self.norm3 = nn.Conv2d(6, 5, 3, bias=bias), nn.BatchNorm2d(5)
        self.classifier = nn.Linear(5, 7)
        self.residual = residual

    def forward(self, face):
        one = self.norm1(self.first(face)).relu()
        two = self.norm2(self.second(one)).relu()
        two = two + one if self.residual else two
        return Answer(self.classifier(self.norm3(self.third(two)).relu().mean((2, 3)))[None])

    def example(self, batch=1):
        return (torch.randn(batch, 3, 12, 12),)


def lively(net, seed=0):
    torch.manual_seed(seed)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 2.0)
            nn.init.normal_(module.bias, std=0.7)
            assert module.running_mean is not None
            module.running_mean.normal_(std=0.2)
    return net.eval()


def mrf(**config):
    return fermodels.build(
        "mrf", **({"widths": {"face": WIDTHS, "local": WIDTHS}, "size": 32, "local_size": 24, "pools": 2} | config)
    )


def removed_of(groups, *channels):
    return {group.name: torch.tensor(channels) for group in groups}


@torch.no_grad()
def logits(net, views):
    return net.eval()(*views).logits


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("residual", [True, False])
def test_absorbing_dead_channels_is_exact_without_padding(residual, bias):
    net = lively(Pointwise(residual=residual, bias=bias))
    groups, views = channel_groups(net, net.example()), net.example(4)
    gone = removed_of(groups, 0, 3)
    silence(net, groups, gone, beta=False)  # the channels are dead: they send relu(beta)
    expected = logits(net, views)
    absorbed = copy.deepcopy(net)
    absorb(absorbed, groups, gone, [net.example(1)])
    silence(absorbed, groups, gone, beta=True)
    dropped = copy.deepcopy(net)
    silence(dropped, groups, gone, beta=True)
    assert torch.allclose(logits(absorbed, views), expected, atol=1e-5)
    assert (logits(dropped, views) - expected).abs().max() > 1e-3


def test_absorbing_beats_dropping_on_mrf_with_its_gate_and_padding():
    net = lively(mrf())
    groups = channel_groups(net, net.example())
    silence(net, groups, removed_of(groups, 1, 2, 5), beta=False)
    views = net.example(8)
    expected = logits(net, views)
    ratio = 3 / 8
    errors = {}
    for keep in (True, False):
        slim_net, plan = slim(net, net.example(), ratio=ratio, floor=FLOOR, absorb=keep)
        assert all(kept == (0, 3, 4, 6, 7) for kept in plan.kept.values())
        errors[keep] = (logits(slim_net, views) - expected).abs().mean()
    assert errors[True] < 0.5 * errors[False]


@pytest.mark.parametrize("name", ["resnet18", "ocl"])
def test_absorbing_beats_dropping_where_sums_tie_channels(name):
    net = lively(small(name, dropout=0.0))
    groups = channel_groups(net, net.example())
    silence(net, groups, removed_of(groups, 1, 5), beta=False)
    views = net.example(8)
    expected = logits(net, views)
    errors = {}
    for keep in (True, False):
        slim_net, plan = slim(
            net, net.example(), ratio=2 * len(groups) / sum(group.size for group in groups), floor=FLOOR, absorb=keep
        )
        assert all(not {1, 5} & set(kept) for kept in plan.kept.values())
        errors[keep] = (logits(slim_net, views) - expected).abs().mean()
    assert errors[True] < 0.6 * errors[False]


def test_a_residual_sum_is_one_group():
    groups = {group.name: group for group in channel_groups(lively(Pointwise(residual=True)), Pointwise().example())}
    assert set(groups) == {"first", "third"}
    assert groups["first"].convs == ("first", "second") and groups["first"].norms == ("norm1", "norm2")
    net = lively(Pointwise(residual=True))
    with torch.no_grad():
        net.norm1.weight.copy_(torch.tensor([0.1, 1, 1, 1, 1, 1]))
        net.norm2.weight.copy_(torch.tensor([0.3, -1, 1, 1, 1, 0.5]))
    scores = CRITERIA["gamma"](net, list(groups.values()), Context())["first"]
    assert torch.allclose(scores, torch.tensor([0.2, 1, 1, 1, 1, 0.75]))


def test_readers_behind_the_concatenation_have_offsets():
    net = mrf(widths={"face": (*WIDTHS[:-1], 5), "local": (*WIDTHS[:-1], 9)})
    last = {group.name: group for group in channel_groups(net, net.example()) if group.name.endswith("12.conv")}
    columns = {
        name: {reader.name: reader.columns.flatten().tolist() for reader in group.readers}
        for name, group in last.items()
    }
    head_first, head_last = list(range(9)), list(range(9, 14))
    assert columns == {
        "trunks.face.blocks.12.conv": {
            "gate.conv1": list(range(5)),
            "heads.eyes.0": head_last,
            "heads.mouth.0": head_last,
        },
        "trunks.local.blocks.12.conv": {"heads.eyes.0": head_first, "heads.mouth.0": head_first},
    }


def test_separate_local_trunks_are_slimmed_too():
    net = lively(mrf(widths={"face": WIDTHS, "eyes": WIDTHS, "mouth": WIDTHS}, local_trunk="separate"))
    slim_net, plan = slim(net, net.example(), ratio=0.5, floor=FLOOR)
    assert len(plan.kept) == 39 and set(slim_net.trunks) == {"face", "eyes", "mouth"}


def test_taylor_is_the_slope_of_the_loss():
    """gamma * dL/dgamma by finite differences in float64; a channel that nobody reads scores 0."""
    net = lively(Pointwise()).double()
    views, labels = tuple(view.double() for view in net.example(5)), torch.arange(5)
    with torch.no_grad():
        net.classifier.weight[:, 4] = 0
    groups = channel_groups_of_double(net)
    scores = CRITERIA["taylor"](net, groups, Context(labelled=[(views, labels)]))["third"]

    def loss():
        return float(nn.functional.cross_entropy(logits(net, views)[0], labels))

    step = 1e-6
    for channel in range(5):
        values = []
        for sign in (1, -1):
            with torch.no_grad():
                net.norm3.weight[channel] += sign * step
            values.append(loss())
            with torch.no_grad():
                net.norm3.weight[channel] -= sign * step
        slope = (values[0] - values[1]) / (2 * step)
        assert float(scores[channel]) == pytest.approx(abs(slope * net.norm3.weight[channel].item()), abs=1e-6)
    assert float(scores[4]) == 0
    assert all(weight.grad is None for weight in net.parameters())


def channel_groups_of_double(net):
    return channel_groups(copy.deepcopy(net).float(), net.example())  # names fit every copy


def test_uniform_cuts_every_layer_alike():
    _, plan = slim(lively(mrf()), mrf().example(), ratio=0.5, criterion="uniform", floor=FLOOR)
    assert set(plan.widths_after.values()) == {4}


def test_random_follows_its_seed():
    net = lively(mrf())
    kept = [
        slim(net, net.example(), ratio=0.4, criterion="random", seed=seed, floor=FLOOR)[1].kept for seed in (1, 1, 2)
    ]
    assert kept[0] == kept[1] != kept[2]


def test_liu_on_a_network():
    net = lively(fermodels.build("vggnet", widths={"face": WIDTHS}, size=16, pools=2))
    gammas = torch.cat([m.weight.detach() for m in net.modules() if isinstance(m, nn.BatchNorm2d)]).sort().values
    _, plan = slim(net, net.example(), ratio=0.3, rule="liu")
    assert sum(plan.widths_after.values()) == int((gammas > gammas[int(len(gammas) * 0.3)]).sum())


def test_recalibration_is_the_average_over_batches():
    net = Pointwise().train()
    net.norm2.eval()
    batches = [net.example(4) for _ in range(3)]
    recalibrate(net, batches)
    with torch.no_grad():
        outputs = [net.first(view).transpose(0, 1).flatten(1) for (view,) in batches]
    assert net.norm1.running_mean is not None and net.norm1.running_var is not None
    assert torch.allclose(net.norm1.running_mean, torch.stack([out.mean(1) for out in outputs]).mean(0), atol=1e-5)
    assert torch.allclose(net.norm1.running_var, torch.stack([out.var(1) for out in outputs]).mean(0), atol=1e-5)
    assert (net.norm1.training, net.norm2.training, net.norm1.momentum) == (True, False, 0.1)


def test_recalibration_needs_batches_and_harms_nothing_without():
    net = lively(Pointwise())
    before = copy.deepcopy(net.state_dict())
    with pytest.raises(ValueError, match="no batch"):
        recalibrate(net, [])
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"criterion": "magic"}, "gamma, gamma_mean, group_norm"),
        ({"criterion": "taylor"}, "labelled="),
        ({"ratio": 1.5}, "ratio=1.5"),
        ({"ratio": 0.9}, "is the most"),
        ({"ratio": 0.4, "floor": FLOOR, "calibrate": []}, "no batch"),
    ],
)
def test_mistakes_are_sentences(options, sentence):
    with pytest.raises(ValueError, match=sentence):
        slim(mrf(), mrf().example(), **options)


def test_plan_on_disk_and_its_refusals(tmp_path):
    net = lively(mrf())
    _, plan = slim(net, net.example(), ratio=0.6, floor=FLOOR)
    path = tmp_path / "plan.json"
    plan.save(path)
    assert Plan.load(path) == plan
    assert plan.summary()["channels_before"] == 26 * 8
    assert plan.summary()["channels_after"] == 26 * 8 - round(0.6 * 26 * 8)
    path.write_text(path.read_text()[:50])
    with pytest.raises(ValueError, match=r"plan\.json.*no slimming plan"):
        Plan.load(path)
    with pytest.raises(ValueError, match=r"face.blocks.0.conv"):
        apply(plan, mrf(widths={"face": (9, *WIDTHS[1:]), "local": WIDTHS}), net.example())


def test_collapsed_layers_are_reported():
    net = lively(mrf(widths={"face": (30, *WIDTHS[1:]), "local": WIDTHS}))
    with torch.no_grad():
        net.get_submodule("trunks.face.blocks.0.bn").weight[2:] = 1e-3
    _, plan = slim(net, net.example(), ratio=28 / (30 + 25 * 8), floor=FLOOR)
    assert plan.collapsed == ("trunks.face.blocks.0.conv",)
