"""Networks that people bring and nobody thought of: each is cut rightly, or refused in words that say the mend."""

import threading

import foreign_zoo
import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations

from compress import Floor, apply, export, load, save, slim
from compress.cost import macs, params
from compress.slimming.sparsity import Proximal, SubGradient
from compress.slimming.specimen import specimen_of

FLOOR = Floor(channels=1, share=0.0)
EXAMPLE = torch.zeros(2, 3, 12, 12)


def block(inputs, outputs):
    return nn.Conv2d(inputs, outputs, 3, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()


class Between(nn.Module):
    """Three blocks and a classifier, with something of the test's choice between the first two."""

    def __init__(self, between, widths=(8, 8, 6), after=None):
        super().__init__()
        self.first, self.between = nn.Sequential(*block(3, widths[0])), between
        self.rest = nn.Sequential(*block(after or widths[0], widths[1]), *block(widths[1], widths[2]))
        self.head = nn.Linear(widths[2], 4)

    def forward(self, picture):
        return self.head(self.rest(self.between(self.first(picture))).mean((2, 3)))


def lively(net):
    torch.manual_seed(0)
    return foreign_zoo.lively(net)


def cut(net, example=EXAMPLE, **options):
    return slim(net, example, **({"ratio": 0.4, "floor": FLOOR, "criterion": "random"} | options))


@pytest.mark.filterwarnings("ignore:.*weight_norm.* is deprecated")
@pytest.mark.parametrize(
    "wrap",
    [parametrizations.weight_norm, parametrizations.spectral_norm, nn.utils.spectral_norm, nn.utils.weight_norm],
)
def test_a_layer_whose_weight_is_computed_stays_whole_and_is_counted(wrap):
    net = lively(Between(wrap(nn.Conv2d(8, 8, 3))).train())
    before = {name: value.clone() for name, value in net.state_dict().items()}
    small, plan = cut(net, params_share=0.9, ratio=None)
    assert "no weight of its own" in plan.whole["between"] and set(plan.kept) == {"rest.0", "rest.3"}
    assert (plan.params_before, plan.params_after) == (params(net), params(small)) and 0.7 < plan.achieved <= 0.9
    assert plan.macs_after == macs(small, EXAMPLE) < plan.macs_before == macs(net, EXAMPLE)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    labelled = [(torch.randn(4, 3, 12, 12), torch.arange(4))]
    assert set(cut(net, criterion="taylor", labelled=labelled)[1].kept) == set(plan.kept)


class Flip(nn.Module):
    def forward(self, maps):
        return maps.flip(1)


class LargerHalf(nn.Module):
    """Max-feature-map: channel i against channel i of the other half."""

    def forward(self, maps):
        return torch.maximum(*maps.chunk(2, 1))


@pytest.mark.parametrize("between", [Flip(), LargerHalf()])
def test_what_is_multiplied_by_zero_proves_nothing(between):
    """The last layer of a new network is often zero: every cut of it answers alike, also a wrong one."""
    net = lively(Between(between, after=4 if isinstance(between, LargerHalf) else 8))
    nn.init.zeros_(net.head.weight)
    small, plan = cut(net)
    assert "first.0" in plan.whole and set(plan.kept) == {"rest.0", "rest.3"}
    assert not bool(small.head.weight.any())


@torch.no_grad()
def test_linear_layers_before_a_batch_norm_are_cut():
    net = lively(
        nn.Sequential(
            *(nn.Linear(12, 10), nn.BatchNorm1d(10), nn.ReLU()),
            *(nn.Linear(10, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3)),
        )
    )
    small, plan = cut(net, torch.randn(2, 12), ratio=0.5, absorb=False)
    first, second = (list(plan.kept[name]) for name in ("0", "3"))
    assert len(first) + len(second) == 9 and set(plan.whole) == {"6"}
    assert torch.equal(small[3].weight, net[3].weight[second][:, first])
    assert (small[6].in_features, small[0].out_features) == (len(second), len(first))
    for norm, stays in ((net[1], first), (net[4], second)):
        gone = [channel for channel in range(norm.num_features) if channel not in stays]
        norm.weight[gone] = norm.bias[gone] = 0
    inputs = torch.randn(5, 12)
    assert torch.allclose(small(inputs), net(inputs), atol=1e-5)


class Chance(nn.Module):
    def forward(self, maps):
        return nn.functional.dropout(maps)  # its author forgot training=self.training


class Quiet(nn.Module):
    def forward(self, maps):
        return maps.detach()


class Remembering(nn.Module):
    def forward(self, maps):
        self.last = maps
        return maps


def locked():
    net = Between(nn.Identity())
    net.lock = threading.Lock()
    return net


def quantised():
    made = Between(nn.Identity())
    made.head = torch.ao.nn.quantized.dynamic.Linear(6, 4)
    return made


@pytest.mark.filterwarnings("ignore:Lazy modules", "ignore:torch.quantize_per_tensor")
@pytest.mark.parametrize(
    ("net", "sentence"),
    [
        (lambda: Between(Chance()), "answers the same inputs differently"),
        (locked, "cannot be copied .*lock"),
        (quantised, r"head\.\S+ is quantised"),
        (lambda: "timm:resnet18", "a str cannot be slimmed"),
        (lambda: Between(nn.LazyConv2d(8, 3)), r"between\.weight has no size yet.*call the network once"),
    ],
)
def test_what_cannot_be_cut_is_a_sentence(net, sentence):
    with pytest.raises(ValueError, match=sentence):
        cut(net())


def test_a_network_with_one_output_is_proved_on_several_images():
    """One number has no spread: rounding alone would tell its cuts apart from now and then."""
    net = lively(Between(nn.Identity()))
    net.head = nn.Linear(6, 1)
    assert specimen_of(net, EXAMPLE).noise(0)[0].shape == (4, 3, 12, 12)
    assert set(cut(net)[1].kept) == {"first.0", "rest.0", "rest.3"}


def test_an_answer_that_a_module_keeps_is_no_hindrance():
    net = lively(Between(Remembering()))
    net(torch.randn(2, 3, 12, 12))
    assert net.between.last.grad_fn is not None and set(cut(net)[1].kept) == {"first.0", "rest.0", "rest.3"}


def test_layers_that_no_gradient_reaches_are_told():
    _, plan = cut(lively(Between(Quiet())))
    assert "detach" in plan.whole["first.0"] and "first.0" not in plan.kept
    with pytest.raises(ValueError, match="carries no gradients"):
        cut(lively(Between(nn.Identity())), output=lambda answer: answer.argmax(1))


@pytest.mark.parametrize(
    "example",
    [EXAMPLE.to(torch.uint8), EXAMPLE[0], EXAMPLE[:, :1], EXAMPLE[..., :4], (EXAMPLE, EXAMPLE)],
    ids=["bytes", "one picture", "grey", "too small", "two inputs"],
)
def test_an_example_that_the_network_does_not_take_is_a_sentence(example, tmp_path):
    net = lively(Between(nn.Identity()))
    with pytest.raises(ValueError, match=r"the network fails on inputs of shape .*the first axis counts the images"):
        cut(net, example)
    with pytest.raises(ValueError, match=r"the network fails on inputs of shape|names for 2 inputs"):
        export(net, example, tmp_path / "x.onnx")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"floor": 5}, "floor=5: give compress.Floor"),
        ({"criterion": ["gamma"]}, "allowed are gamma"),
        ({"seed": "1"}, "seed='1': a whole number"),
        ({"floor": 0}, "floor=0: give compress.Floor"),
        ({"calibrate": 5}, "calibrate is a int: give a list"),
        ({"calibrate": EXAMPLE}, "calibrate is a Tensor: give a list"),
        ({"calibrate": [EXAMPLE[:, :1]]}, "the network fails on inputs of shape"),
        ({"criterion": "taylor", "labelled": 5}, "give labelled="),
        ({"criterion": "taylor", "labelled": [EXAMPLE]}, "a batch is a Tensor"),
        ({"criterion": "taylor", "labelled": [(EXAMPLE,)]}, "a batch is a tuple"),
        ({"criterion": "taylor", "labelled": [(EXAMPLE, torch.zeros(3).long())]}, "do not go together"),
        ({"criterion": "taylor", "labelled": [(EXAMPLE[:, :1], torch.zeros(2).long())]}, "the network fails on inputs"),
        (
            {"criterion": "taylor", "labelled": [(EXAMPLE, EXAMPLE)], "loss": lambda answer, targets: answer},
            "give one number",
        ),
    ],
)
def test_settings_of_another_kind_are_sentences(options, sentence):
    with pytest.raises(ValueError, match=sentence):
        cut(lively(Between(nn.Identity())), **options)


def test_a_plan_is_a_plan():
    with pytest.raises(ValueError, match=r"plan is a dict: give the Plan of compress\.slim, or Plan\.load"):
        apply({}, lively(Between(nn.Identity())), EXAMPLE)


GAMMAS = [nn.Parameter(torch.ones(3))]


@pytest.mark.parametrize(
    ("made", "sentence"),
    [
        (lambda: SubGradient(Between(nn.Identity()).rest, 1e-3), "give penalised"),
        (lambda: Proximal(GAMMAS, "1e-3"), "strength="),
        (lambda: Proximal(GAMMAS, 1e-3, ramp=float("nan")), "ramp=nan"),
        (lambda: Proximal(GAMMAS, 1e-3, weights=[1.0, 2.0]), "2 weights for 1 gammas"),
    ],
)
def test_a_penalty_is_made_of_gammas_and_numbers(made, sentence):
    with pytest.raises(ValueError, match=sentence):
        made()


@pytest.mark.parametrize("channels", [0, 2.5, "8"])
def test_a_floor_is_a_whole_number(channels):
    with pytest.raises(ValueError, match="a whole number"):
        Floor(channels=channels)


def test_taylor_gives_nothing_to_channels_that_the_loss_does_not_see():
    class Two(Between):
        def forward(self, picture):
            features = self.first(picture)
            return self.head(self.rest(features).mean((2, 3))), features.mean((1, 2, 3))

    labelled = [(torch.randn(2, 3, 12, 12), torch.zeros(2))]
    options = {"criterion": "taylor", "labelled": labelled, "loss": lambda answer, targets: answer[1].square().mean()}
    _, plan = cut(lively(Two(nn.Identity())), **options)
    assert plan.widths_after["first.0"] == 8, "all that went had a score of 0"


@pytest.mark.parametrize("wrapped", [nn.DataParallel, lambda net: torch.compile(net, backend="eager")])
def test_a_wrapped_network_is_saved_as_itself(wrapped, tmp_path):
    net = nn.Linear(3, 2)
    save(wrapped(net), tmp_path / "net")
    assert torch.equal(load(tmp_path / "net", lambda: nn.Linear(3, 2)).weight, net.weight)


@pytest.mark.parametrize("factory", [nn.Linear(3, 2), "my.module:net", dict])
def test_a_factory_builds_a_network(factory, tmp_path):
    save(nn.Linear(3, 2), tmp_path / "net")
    with pytest.raises(ValueError, match=r"give what builds the network|it must build the network"):
        load(tmp_path / "net", factory)


@pytest.mark.filterwarnings("ignore:Lazy modules", "ignore:torch.quantize_per_tensor")
def test_what_cannot_be_saved_is_a_sentence(tmp_path):
    for net, sentence in ((quantised(), "is quantised"), (nn.LazyLinear(3), "has no size yet"), (3, "is no network")):
        with pytest.raises(ValueError, match=sentence):
            save(net, tmp_path / "net")
