"""Where networks look: maps in the frame of the face, Grad-CAM against its equations, mass on a cover by counting."""

import pytest
import torch
from tiny_nets import small
from torch.nn import functional

from fermodels.nets.ocl import REGIONS, laid_back, region_boxes
from fermodels.nets.saliency import covered_share, looked
from fermodels.nets.vgg import probabilities

FACED = ("global", "mrf", "ocl", "resnet18", "vggnet")


@pytest.mark.parametrize("name", FACED)
def test_maps_lie_on_the_face_and_the_network_is_unchanged(name: str) -> None:
    net = small(name).eval()
    views = net.example(3)
    with torch.no_grad():
        before = probabilities(net(*views))
    found = looked(net, views)
    assert found.answers.equal(before.argmax(1))
    assert found.cam.shape == (3, 32, 32) and float(found.cam.min()) >= 0
    assert (found.attention is None) == (name in ("resnet18", "vggnet"))
    if found.attention is not None:
        assert found.attention.shape == (3, 32, 32) and 0 < float(found.attention.min()) <= found.attention.max() < 1
    with torch.no_grad():
        assert probabilities(net(*views)).equal(before), "no hook stays behind"
    assert all(p.grad is None and p.requires_grad for p in net.parameters())


def test_grad_cam_of_a_linear_head_is_its_weights() -> None:
    """VGGNet's class score is linear in the pooled features, so its gradient is the classifier's row over the cells."""
    net = small("vggnet").eval()
    views = net.example(4)
    with torch.no_grad():
        features = net.trunks["face"](*views)
        answers = probabilities(net(*views)).argmax(1)
        cam = torch.einsum("bchw,bc->bhw", features, net.classifier.weight[answers]).relu() / features[0, 0].numel()
    wanted = functional.interpolate(cam[:, None], (32, 32), mode="bilinear", align_corners=False)[:, 0]
    assert torch.allclose(looked(net, views).cam, wanted, atol=1e-6)


def test_a_face_looks_the_same_alone_and_in_a_batch() -> None:
    net = small("ocl").eval()
    (faces,) = net.example(3)
    together, alone = looked(net, (faces,)), looked(net, (faces[1:2],))
    assert torch.allclose(together.cam[1:2], alone.cam, atol=1e-5)
    assert torch.allclose(together.attention[1:2], alone.attention, atol=1e-5)


def test_regions_are_laid_where_they_were_cut() -> None:
    maps = torch.zeros(len(REGIONS) * 2, 1, 4, 4)
    maps[1] = 1.0  # the upper left region of the second face
    laid = laid_back(maps, 40)
    x0, y0, x1, y1 = region_boxes(40)[0]
    assert not laid[0].any()
    assert (laid[1, 0, y0:y1, x0:x1] > 0).all() and not laid[1, 0, y1:].any() and not laid[1, 0, :, x1:].any()
    assert float(laid[1, 0, 0, 0]) == 1.0, "no other region covers the corner"


def test_the_mass_on_a_cover_is_counted() -> None:
    maps, masks = torch.zeros(3, 4, 4), torch.zeros(3, 4, 4, dtype=torch.bool)
    masks[:, :2] = True
    maps[0], maps[1, 0] = 1.0, 2.0
    shares = covered_share(maps, masks)
    assert shares[:2].tolist() == [0.5, 1.0] and bool(shares[2].isnan())


def test_mistakes_are_sentences() -> None:
    net = small("local").eval()
    with pytest.raises(ValueError, match="does not see the whole face"):
        looked(net, net.example(1))
    net = small("vggnet").train()
    with pytest.raises(ValueError, match=r"net\.eval\(\)"):
        looked(net, net.example(2))
