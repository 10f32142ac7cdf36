"""DenseNet-121 against torchvision's published counts and key names, its shapes, and what it refuses."""

import pytest
import torch
from tiny_nets import small

import fermodels
from compress import slim
from compress.cost import macs, params
from fermodels.nets.densenet import BLOCKS, DenseNetTrunk
from fermodels.nets.pretrained import load_torchvision

TORCHVISION_PARAMS, TORCHVISION_GMACS = 7_978_856, 2.83
"""As its documentation gives them for 1000 classes at 224 px."""


def test_full_width_is_torchvisions_network() -> None:
    net = fermodels.build("densenet121", classes=1000)
    biases = sum(BLOCKS) * 32
    assert params(net) == TORCHVISION_PARAMS + biases
    assert macs(net, net.example()) / 1e9 == pytest.approx(TORCHVISION_GMACS, abs=0.01)


@pytest.mark.parametrize(("stem_halvings", "side", "expected"), [(2, 224, 7), (1, 112, 7), (0, 56, 7), (1, 56, 3)])
def test_the_last_map(stem_halvings: int, side: int, expected: int) -> None:
    trunk = DenseNetTrunk((4,) * 4, blocks=(1, 1, 1, 1), growth=4, stem=8, stem_halvings=stem_halvings)
    assert trunk(torch.zeros(1, 3, side, side)).shape == (1, trunk.out_channels, expected, expected)


def older_names(trunk: DenseNetTrunk) -> dict[str, torch.Tensor]:
    """The trunk's tensors as torchvision publishes them: no biases, "norm.1" for norm1 within layers."""
    state = {}
    for name, value in trunk.state_dict().items():
        if name.endswith("conv2.bias") or name.endswith("num_batches_tracked"):
            continue
        for part in ("norm1", "norm2", "conv1", "conv2"):
            name = name.replace(f".{part}.", f".{part[:-1]}.{part[-1]}.")  # noqa: PLW2901 - the renamed one
        state[f"features.{name}"] = torch.randn_like(value)
    return state | {"classifier.weight": torch.zeros(1000, trunk.out_channels)}


def test_a_published_file_fits(tmp_path) -> None:
    trunk = fermodels.build("densenet121").trunks["face"]  # type: ignore[index]
    state = older_names(trunk)
    torch.save(state, tmp_path / "densenet121.pth")
    report = load_torchvision(trunk, tmp_path / "densenet121.pth")
    assert len(report.missing) == sum(BLOCKS) and all(name.endswith("conv2.bias") for name in report.missing)
    assert report.unused == ("classifier.weight",)
    assert torch.equal(
        trunk.get_parameter("denseblock3.denselayer7.conv2.weight"),
        state["features.denseblock3.denselayer7.conv.2.weight"],
    )


def test_what_removed_channels_leave_goes_into_the_bias() -> None:
    net = small("densenet121", size=192, stem_halvings=0).eval()  # large maps have little border
    views = net.example(1)
    with torch.no_grad():
        for layer in net.trunks["face"].modules():  # type: ignore[index]
            if hasattr(layer, "norm2"):
                layer.norm2.weight[:3] = 0  # constant channels, which a cut with absorption does not miss
                layer.norm2.bias[:3] = 1.0
        wanted = net(*views).logits
        cut = slim(net, net.example(), ratio=0.25)[0].eval()
        bare = slim(net, net.example(), ratio=0.25, absorb=False)[0].eval()
    biases = [name for name, _ in cut.named_parameters() if name.endswith("conv2.bias")]
    assert all(cut.get_parameter(name).abs().sum() > bare.get_parameter(name).abs().sum() for name in biases)
    far, near = ((one(*views).logits - wanted).abs().mean() for one in (bare, cut))
    assert near < far, "what remains is the border, where the convolution saw zeros"


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"widths": {"face": (8, 8)}}, "have 58 layers"),
        ({"widths": {"local": (8,)}}, "one inner width a layer"),
        ({"stem_halvings": 3}, "allowed are 2"),
    ],
)
def test_settings_that_no_densenet_has_are_sentences(settings: dict, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        fermodels.build("densenet121", **settings)
