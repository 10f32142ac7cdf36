"""Closed forms and equations of the networks; expected values are derived here, independently of the code."""

import pytest
import torch
from torch import nn

import fermodels
from compress.cost import macs, params
from fermodels.nets.vgg import GROUPS, VGG16, Output, VGGTrunk, probabilities
from fermodels.training.losses import cross_entropy, mask_loss

SMALL = dict(size=56, local_size=28, pools=3, attention_width=8, head_width=16)
WIDTHS = tuple(range(8, 21))


def trunk_params(widths: tuple[int, ...], *, norms: int = 13) -> int:
    """Convolutions 3 x 3 with bias, two parameters a normed channel."""
    convs = sum(9 * a * b + b for a, b in zip((3, *widths), widths, strict=False))
    starts = [sum(GROUPS[:i]) for i in range(len(GROUPS))]
    normed = widths if norms == 13 else [widths[i] for i in starts] if norms == 5 else ()
    return convs + 2 * sum(normed)


def trunk_macs(widths: tuple[int, ...], side: int, pools: int) -> int:
    total, inputs = 0, 3
    number = iter(widths)
    for group, length in enumerate(GROUPS):
        for _ in range(length):
            outputs = next(number)
            total += 9 * inputs * outputs * side * side
            inputs = outputs
        side = side // 2 if group < pools else side
    return total


def test_the_full_mrf_has_the_resolved_number_of_parameters():
    attention = 9 * 512 * 128 + 128 + 9 * 128 + 1
    head = 1024 * 512 + 512 + 512 * 7 + 7
    expected = 2 * trunk_params(VGG16) + attention + 2 * head
    assert expected == 31_094_159
    assert params(fermodels.build("mrf")) == expected


@pytest.mark.parametrize(("bn", "norms"), [("all", 13), ("first", 5), ("none", 0)])
def test_trunk_parameters_by_closed_form(bn: str, norms: int):
    trunk = VGGTrunk(WIDTHS, bn=bn)
    assert sum(p.numel() for p in trunk.parameters()) == trunk_params(WIDTHS, norms=norms)
    assert trunk.widths == WIDTHS


def test_macs_of_mrf_by_closed_form():
    other = tuple(reversed(WIDTHS))
    net = fermodels.build("mrf", widths={"face": WIDTHS, "local": other}, **SMALL)
    side = 7
    attention = 9 * side * side * (WIDTHS[-1] * 8 + 8 * 1)
    head = (WIDTHS[-1] + other[-1]) * 16 + 16 * 7
    expected = trunk_macs(WIDTHS, 56, 3) + 2 * trunk_macs(other, 28, 3) + attention + 2 * head
    assert macs(net, net.example()) == expected


@pytest.mark.parametrize(("size", "pools"), [(56, 3), (112, 4), (224, 5)])
def test_the_attention_map_is_seven_cells_wide_at_every_scale(size: int, pools: int):
    widths = (8,) * 13
    net = fermodels.build(
        "mrf", widths={"face": widths, "local": widths}, **(SMALL | {"size": size, "pools": pools, "local_size": 32})
    ).eval()
    output = net(*net.example(2))
    assert output.attention.shape == (2, 1, 7, 7)
    assert output.logits.shape == (2, 2, 7)


def test_eq_3_and_7_the_gate_weights_features_by_its_map():
    gate = fermodels.nets.mrf.AttentionGate(4, 3)
    features = torch.randn(2, 4, 7, 7)
    attended, attention = gate(features)
    by_hand = torch.sigmoid(gate.conv2(torch.tanh(gate.conv1(features))))
    assert torch.equal(attention, by_hand)
    for channel in range(4):
        assert torch.allclose(attended[:, channel], features[:, channel] * by_hand[:, 0])


def test_eq_13_probability_is_the_mean_over_the_heads():
    logits = torch.tensor([[[0.0, 0.0]], [[0.0, torch.log(torch.tensor(3.0))]]])
    assert torch.allclose(probabilities(Output(logits)), torch.tensor([[(0.5 + 0.25) / 2, (0.5 + 0.75) / 2]]))


def test_cross_entropy_is_the_mean_of_the_heads():
    logits, labels = torch.randn(2, 5, 7), torch.randint(0, 7, (5,))
    by_hand = sum(-head.log_softmax(1)[torch.arange(5), labels].mean() for head in logits) / 2
    assert torch.allclose(cross_entropy(Output(logits), labels), by_hand)


def test_eq_6_pushes_down_off_the_mask_only():
    attention = torch.full((1, 1, 7, 7), 0.5, requires_grad=True)
    mask = torch.zeros(1, 1, 7, 7)
    mask[..., 2:4, 1:6] = 1
    loss = mask_loss(attention, mask)
    assert loss.item() == pytest.approx((49 - 10) * 0.25)
    loss.backward()
    assert torch.equal(attention.grad != 0, mask == 0)


def test_the_other_reading_of_eq_6_also_lifts_the_mask():
    mask = torch.zeros(1, 1, 7, 7)
    mask[..., 3, 3] = 1
    assert mask_loss(torch.full((1, 1, 7, 7), 0.5), mask, target="mask").item() == pytest.approx(49 * 0.25)
    with pytest.raises(ValueError, match="off-mask, mask"):
        mask_loss(mask, mask, target="both")


def test_a_face_without_reliable_landmarks_is_left_out_of_the_mask_loss():
    attention = torch.full((2, 1, 7, 7), 0.5)
    mask = torch.zeros(2, 1, 7, 7)
    mask[0, 0, 0, 0] = 1
    assert mask_loss(attention, mask).item() == pytest.approx(48 * 0.25)
    assert mask_loss(attention, torch.zeros_like(mask)).item() == 0


def test_eyes_and_mouth_share_one_trunk_and_one_set_of_statistics():
    widths = (8,) * 13
    net = fermodels.build("mrf", widths={"face": widths, "local": widths}, **SMALL)
    calls: list[int] = []
    net.trunks["local"].register_forward_hook(lambda module, inputs, output: calls.append(len(inputs[0])))
    net(*net.example(3))
    assert calls == [6]
    separate = fermodels.build(
        "mrf", widths={"face": widths, "eyes": widths, "mouth": widths}, local_trunk="separate", **SMALL
    )
    assert params(separate) - params(net) == trunk_params(widths)


def test_in_evaluation_a_face_does_not_depend_on_its_batch():
    widths = (8,) * 13
    net = fermodels.build("mrf", widths={"face": widths, "local": widths}, **SMALL).eval()
    views = net.example(4)
    together = net(*views).logits
    alone = torch.cat([net(*(view[i : i + 1] for view in views)).logits for i in range(4)], 1)
    assert torch.allclose(together, alone, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "config", "said"),
    [
        ("mrg", {}, "the models are contrastive, densenet121, global, local, mrf, ocl, resnet18"),
        ("mrf", {"depth": 3}, "has no setting"),
        ("vggnet", {"widths": {"face": (8, 8)}}, "takes 13 positive numbers"),
        ("vggnet", {"pools": 6}, "allowed are 0 to 5"),
        ("vggnet", {"bn": "some"}, "all, first, none"),
        ("mrf", {"local_trunk": "both"}, "shared, separate"),
        ("mrf", {"widths": {"face": WIDTHS}}, "shared trunks are"),
        ("local", {"widths": {"face": WIDTHS}}, 'one trunk, "local"'),
        ("global", {"widths": {"face": WIDTHS, "local": WIDTHS}}, 'one trunk, "face"'),
    ],
)
def test_a_wrong_architecture_is_refused_with_a_sentence(name: str, config: dict, said: str):
    with pytest.raises(ValueError, match=said):
        fermodels.build(name, **config)


def test_a_trunk_halves_its_map_once_a_pool():
    pooled = VGGTrunk((8,) * 13, pools=2)(torch.zeros(1, 3, 32, 32))
    assert pooled.shape == (1, 8, 8, 8)
    assert sum(isinstance(m, nn.MaxPool2d) for m in VGGTrunk((8,) * 13, pools=2).modules()) == 2
