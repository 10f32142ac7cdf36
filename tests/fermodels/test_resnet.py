"""ResNets against torchvision's published counts, its key names, closed forms; ImageNet files and their refusals."""

import pickle

import pytest
import torch
from tiny_nets import small
from torch import nn

import fermodels
from compress.cost import macs, params
from fermodels.nets.pretrained import load_torchvision
from fermodels.nets.resnet import RESNET18, RESNET50, ResNetTrunk


@pytest.mark.parametrize(
    ("name", "parameters", "multiplies"),
    [("resnet18", 11_689_512, 1_814_073_344), ("resnet50", 25_557_032, 4_089_184_256)],
)
def test_full_width_is_torchvisions_network(name, parameters, multiplies):
    """With 1000 classes: torchvision's documented parameters, and its convolutions and classifier at 224 px."""
    net = fermodels.build(name, classes=1000)
    assert (params(net), macs(net, net.example())) == (parameters, multiplies)


def names(blocks, convs, projecting):
    """torchvision's keys of everything before `fc`, written from its layout."""
    norm = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    keys = ["conv1.weight", *(f"bn1.{each}" for each in norm)]
    for stage, count in enumerate(blocks, 1):
        for block in range(count):
            at = f"layer{stage}.{block}"
            for conv in range(1, convs + 1):
                keys += [f"{at}.conv{conv}.weight", *(f"{at}.bn{conv}.{each}" for each in norm)]
            if block == 0 and stage in projecting:
                keys += [f"{at}.downsample.0.weight", *(f"{at}.downsample.1.{each}" for each in norm)]
    return keys


@pytest.mark.parametrize(
    ("widths", "expected"),
    [
        (RESNET18, names((2, 2, 2, 2), 2, (2, 3, 4))),
        (RESNET50, names((3, 4, 6, 3), 3, (1, 2, 3, 4))),
    ],
)
def test_keys_are_torchvisions_and_widths_come_back(widths, expected):
    trunk = ResNetTrunk(widths)
    assert list(trunk.state_dict()) == expected
    assert trunk.widths == widths


@pytest.mark.parametrize(
    ("size", "halvings", "side"), [(224, 2, 7), (112, 1, 7), (56, 0, 7), (112, 2, 4), (56, 1, 4), (48, 1, 3)]
)
def test_the_last_map_at_every_scale(size, halvings, side):
    trunk = ResNetTrunk((8,) * 12, stem_halvings=halvings)
    assert trunk.eval()(torch.zeros(1, 3, size, size)).shape == (1, 8, side, side)


def block_by_hand(block, features, stride):
    """A basic block from its equation (He et al. 2016), in evaluation mode."""

    def normed(values, conv, norm, step):
        values = nn.functional.conv2d(values, conv.weight, stride=step, padding=conv.weight.shape[-1] // 2)
        scale = norm.weight / (norm.running_var + norm.eps).sqrt()
        return (values - norm.running_mean[:, None, None]) * scale[:, None, None] + norm.bias[:, None, None]

    inner = normed(features, block.conv1, block.bn1, stride).relu()
    shortcut = features if block.downsample is None else normed(features, *block.downsample, stride)
    return (normed(inner, block.conv2, block.bn2, 1) + shortcut).relu()


@pytest.mark.parametrize(("path", "stride"), [("layer1.1", 1), ("layer2.0", 2)])
def test_a_block_is_its_equation(path, stride):
    block = small("resnet18").eval().trunks["face"].get_submodule(path)
    features = torch.rand(2, block.conv1.in_channels, 8, 8)
    assert torch.allclose(block(features), block_by_hand(block, features, stride), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "config", "said"),
    [
        ("resnet18", {"widths": {"face": (8,) * 13}}, "ResNet-18 takes"),
        ("resnet50", {"widths": {"face": (8,) * 12}}, "ResNet-50 takes"),
        ("ocl", {"widths": {"face": (8,) * 14}}, "12 .ResNet-18., 13 .VGG-16. or 37"),
        ("ocl", {"widths": {"face": (0,) * 12}}, "positive"),
        ("ocl", {"kernel": 4}, "odd number"),
        ("resnet18", {"stem_halvings": 3}, "allowed are 2"),
    ],
)
def test_a_wrong_architecture_is_a_sentence(name, config, said):
    with pytest.raises(ValueError, match=said):
        fermodels.build(name, **config)


@pytest.fixture
def file(tmp_path):
    """A state_dict as torchvision's older files are: with a classifier, without counters."""
    torch.manual_seed(1)
    state = {key: torch.randn_like(value.float()) for key, value in ResNetTrunk((8,) * 12).state_dict().items()}
    state = {key: value for key, value in state.items() if not key.endswith("num_batches_tracked")}
    state |= {"fc.weight": torch.randn(1000, 8), "fc.bias": torch.randn(1000)}
    torch.save(state, tmp_path / "resnet18.pth")
    return state, tmp_path / "resnet18.pth"


def test_an_imagenet_file_is_loaded_and_reported(file):
    state, path = file
    trunk = ResNetTrunk((8,) * 12)
    report = load_torchvision(trunk, path)
    own = trunk.state_dict()
    assert all(torch.equal(own[key], state[key]) for key in report.matched)
    assert set(report.matched) | {"fc.weight", "fc.bias"} == set(state)
    assert (report.share, report.missing, report.unused) == (1.0, (), ("fc.weight", "fc.bias"))
    assert report.sentence == "100 of 100 tensors loaded (100.0%); missing: none; unused: fc.weight, fc.bias"


def test_nine_tenths_are_enough_and_less_is_refused_untouched(file):
    state, path = file
    trunk = ResNetTrunk((8,) * 12)
    keys = [key for key in state if not key.startswith("fc.")]
    torch.save({key: state[key] for key in keys[: len(keys) * 9 // 10]}, path)
    report = load_torchvision(trunk, path)
    assert len(report.missing) == len(keys) - len(keys) * 9 // 10
    before = {key: value.clone() for key, value in trunk.state_dict().items()}
    torch.save({key: state[key] + 1 for key in keys[: len(keys) * 9 // 10 - 1]}, path)
    with pytest.raises(ValueError, match=r"89 of 100 tensors loaded \(89.0%\)"):
        load_torchvision(trunk, path)
    assert all(torch.equal(value, before[key]) for key, value in trunk.state_dict().items())


def test_other_shapes_count_as_missing(file):
    with pytest.raises(ValueError, match="before slimming"):
        load_torchvision(ResNetTrunk((9,) * 12), file[1])


class Runs:
    def __reduce__(self):
        return (print, ("code of the file ran",))


def test_files_that_are_no_weights_are_refused(tmp_path, capsys):
    path = tmp_path / "bad.pth"
    with pytest.raises(ValueError, match="is no file"):
        load_torchvision(ResNetTrunk((8,) * 12), path)
    torch.save({"weights": Runs()}, path)
    with pytest.raises(ValueError, match="cannot be read as weights alone"):
        load_torchvision(ResNetTrunk((8,) * 12), path)
    path.write_bytes(pickle.dumps(Runs(), protocol=2))
    with pytest.raises(ValueError, match="cannot be read as weights alone"):
        load_torchvision(ResNetTrunk((8,) * 12), path)
    path.write_bytes(b"")
    with pytest.raises(ValueError, match="cannot be read"):
        load_torchvision(ResNetTrunk((8,) * 12), path)
    torch.save({"state_dict": {"conv1.weight": torch.zeros(1)}}, path)
    with pytest.raises(ValueError, match="no plain state_dict"):
        load_torchvision(ResNetTrunk((8,) * 12), path)
    assert "ran" not in capsys.readouterr().out
