"""Paper 2's network against its equations, written here a second time; frames of the regions and of the map."""

import pytest
import torch
from tiny_nets import RESNET18, small
from torch.nn import functional

import fermodels
from compress.cost import macs, params
from compress.training.loop import fit
from compress.training.schedule import TrainConfig
from fermodels.nets.attention import CBAM
from fermodels.nets.ocl import cut_regions, region_boxes
from fermodels.nets.resnet import ResNetTrunk
from fermodels.nets.vgg import Output
from fermodels.training.losses import RESTRAIN_WEIGHT, cross_entropy, nt_xent, restrain_loss
from fermodels.training.views import Batch


def cbam_by_hand(cbam, features, official):
    """Eq 4-6, one image at a time, with loops over the channels' statistics."""
    weighted, maps = [], []
    for one in features:
        votes = torch.zeros(len(one))
        for pooled in ([c.mean() for c in one], [c.max() for c in one]):
            hidden = (cbam.channel.squeeze.weight @ torch.stack(pooled) + cbam.channel.squeeze.bias).clamp(min=0)
            votes = votes + cbam.channel.excite.weight @ hidden + cbam.channel.excite.bias
        chosen = one / (1 + (-votes).exp())[:, None, None]
        mean, most = sum(chosen) / len(chosen), chosen.max(0).values
        planes = torch.stack((most, mean) if official else (mean, most))
        side = cbam.spatial.conv.kernel_size[0]
        raw = functional.conv2d(planes[None], cbam.spatial.conv.weight, cbam.spatial.conv.bias, padding=side // 2)[0]
        if official:
            norm = cbam.spatial.bn
            raw = (raw - norm.running_mean) / (norm.running_var + norm.eps).sqrt() * norm.weight + norm.bias
        maps.append(raw.sigmoid())
        weighted.append(chosen * maps[-1])
    return torch.stack(weighted), torch.stack(maps)


@pytest.mark.parametrize("official", [False, True])
@pytest.mark.parametrize("kernel", [3, 7])
@torch.no_grad()
def test_cbam_is_eq_4_to_6(kernel, official):
    torch.manual_seed(0)
    cbam = CBAM(6, 3, kernel=kernel, official=official).eval()
    if official:
        cbam.spatial.bn.running_mean.fill_(0.3), cbam.spatial.bn.weight.fill_(1.7)
    features = torch.rand(2, 6, 4, 4)
    expected = cbam_by_hand(cbam, features, official)
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(cbam(features), expected, strict=True))
    assert (cbam.spatial.conv.bias is None) == official


@pytest.mark.parametrize("official", [False, True])
@torch.no_grad()
def test_a_narrowed_spatial_gate_sees_what_it_saw_with_silent_channels(official):
    gate = CBAM(8, 2, official=official).eval().spatial
    features = torch.rand(2, 8, 4, 4)
    features[:, [1, 4, 7]] = 0
    wide, kernel = gate(features), gate.conv.weight
    gate.narrow(5 / 8)
    assert torch.allclose(gate(features[:, [0, 2, 3, 5, 6]]), wide, atol=1e-6)
    assert gate.conv.weight is not kernel, "a network may share its kernel with the one it was copied from"


def test_regions_are_75_and_85_percent_by_side():
    assert region_boxes(112) == [
        (0, 0, 84, 84),
        (28, 0, 112, 84),
        (0, 28, 84, 112),
        (28, 28, 112, 112),
        (8, 8, 104, 104),
    ]


@pytest.mark.parametrize("side", [56, 64, 100, 112, 224])
def test_regions_of_any_face_are_square_and_inside(side):
    for (x0, y0, x1, y1), share in zip(region_boxes(side), (0.75, 0.75, 0.75, 0.75, 0.85), strict=True):
        assert 0 <= x0 < x1 <= side and 0 <= y0 < y1 <= side
        assert x1 - x0 == y1 - y0 and abs(x1 - x0 - share * side) <= 1


def test_regions_are_cut_where_they_say_region_after_region():
    faces = torch.rand(3, 3, 56, 56)
    cut = cut_regions(faces, 42)
    assert torch.equal(cut[:3], faces[:, :, :42, :42]), "75 % of 56 is 42: no resampling"
    assert torch.equal(cut[6:9], faces[:, :, 14:, :42])
    assert cut.shape == (15, 3, 42, 42)


def test_a_resized_region_keeps_a_ramp():
    ramp = torch.arange(112.0).expand(1, 3, 112, 112)
    cut = cut_regions(ramp, 112)[1, 0, 50]
    centres = 28 + (torch.arange(112) + 0.5) * 84 / 112 - 0.5
    assert torch.allclose(cut, centres.clamp(28, 111), atol=1e-3)


@torch.no_grad()
def test_one_batch_is_five_passes():
    net = small("ocl").eval()
    (face,) = net.example(3)
    features = []
    for region in cut_regions(face, net.config.region_size).split(3):
        weighted, _ = net.cbam(net.trunks["face"](region))
        features.append(weighted.mean((2, 3)))
    fused = net.classifier(torch.cat(features, 1))
    assert torch.allclose(net(face).logits[0], fused, rtol=1e-4, atol=1e-5)
    alone = net.region_logits(torch.stack(features))
    width = features[0].shape[1]
    for k, region in enumerate(features):
        block = net.classifier.weight[:, k * width : (k + 1) * width]
        assert torch.allclose(alone[k], region @ block.T + net.classifier.bias, rtol=1e-4, atol=1e-5)
    assert torch.allclose(alone.sum(0) - 4 * net.classifier.bias, fused, rtol=1e-4, atol=1e-4)


def test_regions_answer_in_training_only():
    net = small("ocl").train()
    (face,) = net.example(4)
    output = net(face)
    assert output.regions.shape == (5, 4, 7) and output.attention is None
    assert torch.allclose(output.regions.sum(0) - 4 * net.classifier.bias, output.logits[0], rtol=1e-4, atol=1e-4)
    with pytest.raises(ValueError, match="only network with regions"):
        restrain_loss(net.eval()(face), torch.zeros(4, dtype=torch.long))


def test_full_width_costs_five_trunks_cbam_and_a_classifier():
    net = fermodels.build("ocl")
    cbam = 512 * 32 + 32 + 32 * 512 + 512 + 2 * 49 + 1
    assert params(net) == 11_689_512 - 513_000 + cbam + 5 * 512 * 7 + 7
    trunk = fermodels.build("resnet18", size=112, classes=1)
    cbam_macs = 2 * 2 * 512 * 32 + 4 * 4 * 2 * 49
    assert macs(net, net.example()) == 5 * (macs(trunk, trunk.example()) - 512 + cbam_macs) + 5 * 512 * 7


def with_maps(monkeypatch, net, maps):
    monkeypatch.setattr(net, "_weighted", lambda face: (None, maps))
    return net.attention_map(torch.zeros(maps.shape[0] // 5, 3, 112, 112))


def test_the_map_lies_on_the_pixels_it_was_cut_from(monkeypatch):
    net = small("ocl")
    assert torch.allclose(
        with_maps(monkeypatch, net, torch.full((10, 1, 4, 4), 0.3)), torch.full((2, 1, 112, 112), 0.3)
    )
    maps = torch.zeros(5, 1, 4, 4)
    maps[1] = 1  # the upper right region
    face = with_maps(monkeypatch, net, maps)[0, 0]
    x0, y0, x1, y1 = region_boxes(112)[1]
    inside = torch.zeros(112, 112, dtype=torch.bool)
    inside[y0:y1, x0:x1] = True
    assert torch.equal(face > 0, inside)
    assert face[4, 108] == 1, "covered by this region alone"
    assert face[56, 56] == pytest.approx(1 / 5), "covered by all five"


def test_the_real_map_has_the_frame_of_the_face():
    net = small("ocl").eval()
    (face,) = net.example(2)
    found = net.attention_map(face)
    assert found.shape == (2, 1, 32, 32) and found.min() > 0 and found.max() < 1
    assert torch.allclose(found[1:], net.attention_map(face[1:]), atol=1e-5)


def test_restrain_loss_is_eq_8_as_a_loop():
    torch.manual_seed(0)
    output = Output(torch.randn(1, 6, 7), regions=torch.randn(5, 6, 7))
    labels = torch.randint(0, 7, (6,))
    total = 0.0
    for n in range(6):
        whole = output.logits[0, n].softmax(0)[labels[n]]
        for k in range(5):
            total += max(0.0, float(output.regions[k, n].softmax(0)[labels[n]] - whole))
    assert restrain_loss(output, labels).item() == pytest.approx(total / 6, rel=1e-5)


def test_restrain_loss_lifts_the_whole_above_the_better_regions_and_leaves_the_others():
    whole, regions = torch.zeros(1, 1, 7), torch.zeros(5, 1, 7)
    regions[0, 0, 2], regions[1, 0, 2] = 2.0, -2.0
    whole.requires_grad_(), regions.requires_grad_()
    restrain_loss(Output(whole, regions=regions), torch.tensor([2])).backward()
    assert whole.grad[0, 0, 2] < 0, "descent raises the fused features' right class"
    assert regions.grad[0, 0, 2] > 0, "and lowers the region that knows better"
    assert not regions.grad[1:].any()


@pytest.mark.parametrize("weight", [0.0, RESTRAIN_WEIGHT])
def test_tied_regions_learn_with_the_whole(weight):
    """Digest, row 3: regions of a classifier of their own stay at chance; as blocks of one classifier they do not."""
    torch.manual_seed(0)
    centres = torch.randn(5, 7, 6)
    net = small("ocl", dropout=0.0)
    net.classifier = torch.nn.Linear(30, 7)
    labels = torch.arange(210) % 7
    features = centres[:, labels] + torch.randn(5, 210, 6)
    optimizer = torch.optim.Adam(net.classifier.parameters(), lr=0.05)
    gaps = []
    for _ in range(60):
        output = Output(net.classifier(torch.cat(list(features), 1))[None], regions=net.region_logits(features))
        gaps.append(restrain_loss(output, labels))
        optimizer.zero_grad()
        (cross_entropy(output, labels) + weight * gaps[-1]).backward()
        optimizer.step()
    assert gaps[-1] < 0.1 * gaps[0]
    right = (output.regions.argmax(-1) == labels).float().mean(1)
    assert (right > 3 / 7).all(), "chance is 1 / 7"
    assert (output.logits[0].argmax(-1) == labels).float().mean() > right.max()


def test_a_pretrained_trunk_becomes_the_classifiers():
    pretrained, net = small("contrastive"), small("ocl", stem_halvings=1)
    assert isinstance(pretrained.trunks["face"], ResNetTrunk)
    net.trunks.load_state_dict(pretrained.trunks.state_dict(), strict=True)
    (face,) = net.example(2)
    regions = cut_regions(face, 32)
    pooled = net.eval().trunks["face"](regions).mean((2, 3))
    assert torch.equal(pooled, pretrained.eval().encode(regions))


def test_a_projection_is_two_layers_on_the_pooled_features():
    net = fermodels.build("contrastive", widths={"face": RESNET18}, size=32)
    (face,) = net.example(4)
    pooled = net.eval().encode(face)
    hidden = (pooled @ net.head[0].weight.T + net.head[0].bias).clamp(min=0)
    by_hand = hidden @ net.head[2].weight.T + net.head[2].bias
    assert torch.allclose(net(face).logits, by_hand[None], atol=1e-5)
    assert by_hand.shape == (4, 128)


class Steps:
    """The same two batches in every epoch."""

    def __len__(self):
        return 2

    def epoch(self, epoch):
        faces = torch.randn(2, 8, 3, 32, 32, generator=torch.Generator().manual_seed(0))
        return [Batch((face,), torch.arange(8) % 7, torch.zeros(8, 1, 7, 7)) for face in faces]


OBJECTIVES = {
    "ocl": lambda output, batch: {
        "cross_entropy": cross_entropy(output, batch.labels),
        "restrain": RESTRAIN_WEIGHT * restrain_loss(output, batch.labels),
    },
    "contrastive": lambda output, batch: {"nt_xent": nt_xent(*output.logits[0].chunk(2))},
}


@pytest.mark.parametrize("name", sorted(OBJECTIVES))
@pytest.mark.parametrize("bf16", [True, False])
def test_the_one_loop_trains_it(name, bf16):
    config = TrainConfig(epochs=4, batch=8, optimizer="adam", lr=3e-3, bf16=bf16)
    _, _, history = fit(small(name), Steps(), OBJECTIVES[name], config)
    totals = [sum(entry["losses"].values()) for entry in history.epochs]
    assert totals[-1] < totals[0]
