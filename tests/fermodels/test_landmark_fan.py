"""Landmarks from face-alignment's FAN, whose library and weights may both be absent."""

import hashlib
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from fake_landmarkers import Hill, noise

from fermodels.faces import landmark_fan
from fermodels.faces.landmarks import landmarker


def test_fan_sees_the_crop_where_it_is_laid_and_answers_in_the_crops_pixels():
    crops = np.zeros((2, 82, 164, 3), np.uint8)
    crops[0, 38:42, 80:88] = 255
    crops[1, 18:22, 80:88] = 255
    found = landmark_fan.FanLandmarks(Hill())(crops)
    assert np.allclose(found.points[:, 0], [(84, 40), (84, 20)], atol=1.0)
    assert found.confidence.min() > 0.5


def test_peaks_are_found_between_cells():
    heat = torch.zeros(1, 1, 64, 64)
    heat[0, 0, 10, 20], heat[0, 0, 10, 21], heat[0, 0, 40, 40] = 0.9, 0.3, 0.8
    place, top = landmark_fan.peaks(heat)
    assert (place[0, 0] * 64).tolist() == pytest.approx([20.5 + 0.25, 10.5]) and top.item() == pytest.approx(0.9)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A temporary TORCH_HOME with random weights of the real library's network under the published name."""
    models = pytest.importorskip("face_alignment.models", reason="needs face-alignment (extra faces)")
    home = tmp_path_factory.mktemp("torch")
    file = home / "hub/checkpoints" / landmark_fan.URL.rsplit("/", 1)[1]
    file.parent.mkdir(parents=True)
    torch.manual_seed(0)
    torch.save(models.FAN(4).state_dict(), file)
    return file


@pytest.mark.slow
def test_the_real_librarys_network_runs_with_weights_of_the_right_name(weights: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TORCH_HOME", str(weights.parents[2]))
    with pytest.raises(ValueError, match="begin with 11f355bf06"):
        landmarker("fan")
    monkeypatch.setattr(landmark_fan, "DIGEST", hashlib.sha256(weights.read_bytes()).hexdigest()[:10])
    found = landmarker("fan")(noise(1))
    assert found.points.shape == (1, 68, 2) and np.isfinite(found.points).all()
    assert found.confidence.shape == (1, 68) and 0 <= found.confidence.min() <= found.confidence.max() <= 1
    with pytest.raises(ValueError, match="no such file"):
        landmarker(f"fan:{weights.parent / 'nowhere'}")


def test_fan_without_the_library_is_a_sentence(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "face_alignment", None)
    monkeypatch.setitem(sys.modules, "face_alignment.models", None)
    with pytest.raises(ValueError, match=r"pip install 'fermodels\[faces\]'"):
        landmarker("fan")


def test_fan_offline_is_a_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    def refused(*_: object, **__: object) -> None:
        raise OSError("no network")

    pytest.importorskip("face_alignment.models", reason="needs face-alignment (extra faces)")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", refused)
    with pytest.raises(ValueError, match=r"cannot be fetched \(no network\).*put the file at"):
        landmarker("fan")
