"""The graph that ships answers as the network does on the views it was trained on."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny_nets import CONFIG, tiny_net

import fermodels
from fermodels.data.base import Split
from fermodels.predict.deployed import Deployed, interpolation
from fermodels.training.views import Views, resample


def faces(n: int, side: int = 64, *, landmarks: bool = False) -> Split:
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (n, side, side, 3), dtype=np.uint8)
    points = random.uniform(0.2, 0.8, (n, 68, 2)).astype(np.float32) if landmarks else None
    return Split(images=images, labels=np.zeros(n, np.int64), names=[str(i) for i in range(n)], landmarks=points)


@pytest.mark.parametrize("model", fermodels.MODELS)
@pytest.mark.parametrize("regions", ["fixed", "given"])
def test_pixels_in_probabilities_out_as_through_the_views(model: str, regions: str):
    net, split = tiny_net(model), faces(5, landmarks=regions == "given")
    (batch,) = Views(split, CONFIG, net.inputs).evaluation(5)
    with torch.inference_mode():
        wanted = net.mapped(*batch.views) if model == "ocl" else net(*batch.views)
        graph = Deployed(net, CONFIG, stored=64, regions=regions)
        (pixels,) = Views(split, graph.view_config, graph.inputs).evaluation(5)
        found = dict(zip(graph.outputs, graph(*pixels.views), strict=True))
    if regions == "fixed":
        assert torch.allclose(pixels.views[0], torch.from_numpy(split.images).permute(0, 3, 1, 2).float(), atol=1e-3)
    assert torch.allclose(found["probabilities"], fermodels.probabilities(wanted), atol=2e-5)
    assert ("attention" in found) == (wanted.attention is not None)
    if wanted.attention is not None:
        assert torch.allclose(found["attention"], wanted.attention, atol=2e-5)


@given(st.floats(-0.2, 0.45), st.floats(0.55, 1.2), st.integers(1, 40), st.integers(1, 40))
def test_interpolation_is_the_resampling_of_the_views(low: float, high: float, side: int, size: int):
    images = torch.rand(1, 1, side, side, generator=torch.Generator().manual_seed(0))
    wanted = resample(images, torch.tensor([[low, low, high, high]]), size)
    matrix = interpolation(low, high, side, size)
    assert torch.allclose(matrix @ images @ matrix.T, wanted, atol=1e-4)
    assert torch.allclose(matrix.sum(1), torch.ones(size))


def test_what_cannot_be_deployed_is_a_sentence():
    with pytest.raises(ValueError, match="fixed, given"):
        Deployed(tiny_net("mrf"), CONFIG, stored=64, regions="guessed")
    with pytest.raises(ValueError, match="a crop of 56"):
        Deployed(tiny_net("mrf"), CONFIG, stored=48)
