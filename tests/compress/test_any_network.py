"""Networks as people hold them: frozen, half, training, wrapped, damaged. Each is slimmed, or refused in words."""

import copy

import foreign_zoo
import pytest
import torch
from torch import nn

from compress import Floor, slim
from compress.cost import params

FLOOR = Floor(channels=1, share=0.0)
EXAMPLE = torch.zeros(1, 3, 20, 20)


def plain(activation=nn.ReLU):
    torch.manual_seed(0)
    net = nn.Sequential(
        *(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8, eps=5e-4, momentum=0.3), activation(), nn.Dropout(0.25)),
        *(nn.Conv2d(8, 10, 3, bias=False), nn.BatchNorm2d(10), activation()),
        *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(10, 5)),
    )
    return foreign_zoo.lively(net).eval()


def cut(net, **options):
    return slim(net, EXAMPLE, **({"ratio": 0.5, "floor": FLOOR} | options))


def test_frozen_parameters_are_cut_counted_and_stay_frozen():
    net, free = plain(), plain()
    for name, weight in net.named_parameters():
        weight.requires_grad_("9" in name)
    small, plan = cut(net)
    assert plan.params_before == params(net) == params(free) and plan.kept == cut(free)[1].kept
    assert [weight.requires_grad for weight in small.parameters()] == [w.requires_grad for w in net.parameters()]


def test_settings_of_modules_survive():
    net = plain().to(memory_format=torch.channels_last).train()
    net[5].eval()
    small, _ = cut(net)
    assert (small[1].eps, small[1].momentum, small[3].p, small[1].num_features) == (5e-4, 0.3, 0.25, len(small[1].bias))
    assert [module.training for module in small.modules()] == [module.training for module in net.modules()]
    assert small[4].weight.is_contiguous(memory_format=torch.channels_last) and small[4].in_channels < 8


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_the_type_is_kept(dtype):
    small, plan = cut(plain().to(dtype), calibrate=[torch.randn(4, 3, 20, 20)])
    assert {each.dtype for each in small.parameters()} == {dtype} and small[1].running_mean.dtype == dtype
    assert plan.kept == cut(plain().to(dtype).float())[1].kept


def test_wrappers_are_taken_off():
    net = plain()
    expected = cut(net)[1].kept
    assert cut(nn.DataParallel(net))[1].kept == cut(torch.compile(net, backend="eager"))[1].kept == expected
    with pytest.deprecated_call():
        traced = torch.jit.trace(net, EXAMPLE)
    with pytest.raises(ValueError, match=r"cannot be slimmed: give the torch.nn.Module"):
        cut(traced)


def test_the_callers_modes_do_not_matter():
    net = plain()
    expected = cut(net)[0].state_dict()
    with torch.inference_mode():
        made = copy.deepcopy(net)
        inside = cut(made)[0]
    with torch.autocast("cpu", torch.bfloat16):
        beside = cut(net)[0]
    for small in (inside, beside, cut(made)[0]):
        assert all(torch.equal(value, expected[name]) for name, value in small.state_dict().items())
        assert not any(each.is_inference() for each in small.parameters())


@pytest.mark.parametrize("activation", [nn.LeakyReLU, nn.GELU, nn.SiLU, nn.Tanh, nn.PReLU, nn.ELU, nn.Hardswish])
def test_constants_of_any_activation_are_absorbed(activation):
    """Away from padding, taking dead channels out changes nothing, whatever the activation makes of their betas."""
    net = plain(activation)
    with torch.no_grad():
        net[1].weight[:4] = 0
        net[5].weight[:5] = 0
    small, plan = cut(net)
    assert [len(channels) for channels in plan.kept.values()] == [4, 5]
    inputs = torch.randn(4, 3, 20, 20)
    assert torch.allclose(small(inputs), net(inputs), atol=1e-5)


def test_an_activation_that_is_not_0_at_0_is_told():
    with pytest.raises(ValueError, match=r"nothing to slim.*an activation that is not 0 at 0"):
        cut(plain(nn.Sigmoid))


@pytest.mark.parametrize("gammas", [torch.ones(8), -torch.ones(8), torch.zeros(8)])
def test_gammas_of_any_kind(gammas):
    net = plain()
    net[1].weight.data.copy_(gammas)
    assert sum(cut(net)[1].widths_after.values()) == 9


@torch.no_grad()
def damaged(name, value):
    net = plain()
    net.get_parameter(name).view(-1)[3] = value
    return net


@pytest.mark.parametrize(
    ("net", "options", "sentence"),
    [
        (lambda: damaged("1.weight", torch.nan), {}, r"1\.weight holds NaN"),
        (lambda: damaged("4.weight", torch.inf), {}, r"4\.weight holds NaN or infinite"),
        (plain, {"calibrate": []}, "holds no batch"),
        (plain, {"calibrate": [torch.full((2, 3, 20, 20), torch.nan)]}, "batch 0 of calibrate holds NaN"),
        (plain, {"calibrate": [{"x": 3}]}, "batch 0 of calibrate is a dict"),
        (lambda: plain().to("meta"), {}, "lies on meta"),
        (lambda: nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 2, 3)), {}, "nothing to slim"),
        (lambda: nn.Sequential(nn.Conv2d(3, 8, 3), nn.GroupNorm(2, 8), nn.Conv2d(8, 2, 3)), {}, "nothing to slim"),
    ],
)
def test_what_cannot_be_slimmed_is_a_sentence(net, options, sentence):
    with pytest.raises(ValueError, match=sentence):
        cut(net(), **options)


def test_large_weights_are_cut_or_refused():
    net = plain()
    with torch.no_grad():
        for weight in net.parameters():
            weight.mul_(1e6)
    assert cut(net)[1].removed == 0.5
    with torch.no_grad():
        for weight in net.parameters():
            weight.mul_(1e12)
    with pytest.raises(ValueError, match="answers random inputs with NaN or infinite values"):
        cut(net)


def test_a_loader_of_inputs_and_targets_calibrates():
    pictures, labels = torch.randn(8, 3, 20, 20), torch.arange(8)
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(pictures, labels), batch_size=4)
    with_labels, _ = cut(plain(), calibrate=loader)
    without, _ = cut(plain(), calibrate=[pictures[:4], pictures[4:]])
    assert all(torch.equal(value, without.state_dict()[name]) for name, value in with_labels.state_dict().items())


class Shared(nn.Module):
    """One convolution used twice, and two that share a weight."""

    def __init__(self):
        super().__init__()
        self.stem, self.norm = nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.twice, self.after = nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.one, self.two = nn.Conv2d(8, 8, 1), nn.Conv2d(8, 8, 1)
        self.two.weight = self.one.weight
        self.last, self.end = nn.BatchNorm2d(8), nn.Conv2d(8, 2, 1)

    def forward(self, picture):
        features = self.norm(self.stem(picture)).relu()
        for _ in range(2):
            features = self.after(self.twice(features)).relu()
        return self.end(self.last(self.two(self.one(features))).relu())


def test_tied_weights_stay_whole():
    net = foreign_zoo.lively(Shared().eval())
    try:
        small, plan = cut(net)
    except ValueError as error:
        assert "nothing to slim" in str(error)
        return
    assert {"one", "two"} <= set(plan.whole)
    assert small(EXAMPLE).shape == net(EXAMPLE).shape
