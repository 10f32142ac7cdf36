"""Pretraining views: reproducible face by face, in range, and each change is what it says."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from fermodels.training import contrast_views as augment
from fermodels.training import erasing
from fermodels.training.contrast_views import AugmentConfig, augmented, simclr, uniforms

PLAIN = AugmentConfig(
    size=40, crop_area=(1.0, 1.0), crop_aspect=(1.0, 1.0), flip=0, jitter=0, grey=0, blur=0, occlude=0, mean=0, std=1
)
"""Nothing happens but the change to [0, 1]."""


@pytest.fixture(scope="module")
def images():
    return torch.from_numpy(np.random.default_rng(0).integers(0, 256, (60, 40, 40, 3), dtype=np.uint8))


def views(images, config, index=None, **coordinates):
    index = torch.arange(len(images)) if index is None else index
    return augmented(images, index, config, **({"seed": 0, "epoch": 0, "view": 0} | coordinates))


def pixels(images):
    return images.permute(0, 3, 1, 2).float() / 255


def test_without_any_change_a_view_is_the_face(images):
    assert torch.allclose(views(images, PLAIN), pixels(images), atol=1e-5)
    scaled = views(images, replace(PLAIN, mean=0.5, std=0.25))
    assert torch.allclose(scaled, (pixels(images) - 0.5) / 0.25, atol=1e-4)


def test_a_view_depends_on_its_face_and_coordinates_alone(images):
    config = AugmentConfig(size=32)
    whole = views(images, config)
    order = torch.tensor([41, 3, 17])
    assert torch.allclose(views(images, config, order), whole[order], atol=1e-6)
    for other in ({"seed": 1}, {"epoch": 1}, {"view": 1}):
        assert not torch.isclose(views(images, config, **other), whole).flatten(1).all(1).any(), other
    assert whole.shape == (60, 3, 32, 32) and whole.is_contiguous(memory_format=torch.channels_last)
    assert whole.min() >= -2 and whole.max() <= 2


def test_computing_every_view_as_a_gpu_does_changes_none(images, monkeypatch):
    few = views(images, AugmentConfig(size=32))
    for module in (augment, erasing):
        monkeypatch.setattr(module, "worth_computing", lambda on: torch.arange(len(on)))
    assert torch.equal(views(images, AugmentConfig(size=32)), few)


def test_the_chance_is_uniform_and_its_columns_are_unrelated():
    draws = uniforms(torch.arange(20_000), 17, key=5)
    assert draws.min() >= 0 and draws.max() < 1
    counts = torch.stack([torch.histc(column, 10, 0, 1) for column in draws.T])
    assert ((counts - 2000).abs() < 5 * (20_000 * 0.09) ** 0.5).all()
    likeness = torch.corrcoef(torch.cat((draws, uniforms(torch.arange(20_000), 17, key=6)), 1).T)
    assert likeness.fill_diagonal_(0).abs().max() < 5 / 20_000**0.5


def test_occlusion_hides_the_asked_area_and_nothing_else(images):
    config = replace(PLAIN, occlude=1.0, occluded_area=(0.1, 0.3))
    changed = (views(images, config) - pixels(images)).abs().amax(1) > 1e-4
    for mask in changed:
        rows, columns = mask.any(1).nonzero()[:, 0], mask.any(0).nonzero()[:, 0]
        box = (rows[-1] - rows[0] + 1) * (columns[-1] - columns[0] + 1)
        assert mask.sum() > 0.97 * box, "one rectangle (noise may meet a pixel's own value)"
        assert 0.1 - 0.06 < box / 1600 < 0.3 + 0.06, "to a row and a column"
    shares = changed.flatten(1).float().mean(1)
    assert shares.min() < 0.15 and shares.max() > 0.25


def test_every_fill_occurs(images):
    bright = torch.full((90, 40, 40, 3), 200, dtype=torch.uint8)
    config = replace(PLAIN, occlude=1.0, occluded_area=(0.2, 0.2))
    lowest, spread = views(bright, config).flatten(1).min(1).values, views(bright, config).flatten(1).unique(dim=1)
    black = int(((lowest == 0) & (views(bright, config)[:, 0].flatten(1).eq(0).sum(1) > 200)).sum())
    same = int((views(bright, config).flatten(1).std(1) < 1e-3).sum())
    assert 15 < black < 45 and 15 < same < 45 and 15 < 90 - black - same < 45
    assert spread.shape[1] > 3


def test_simclr_is_the_same_without_the_rectangle(images):
    config = AugmentConfig(size=40, mean=0, std=1)
    with_it, without = views(images, config), views(images, simclr(config))
    same = torch.isclose(with_it, without, atol=1e-5).all(1).flatten(1).float().mean(1)
    assert same.min() > 0.6 and same.mean() < 0.97 and (same == 1).any()


def test_flip_grey_and_blur_are_what_they_say(images):
    faces = pixels(images)
    assert torch.allclose(views(images, replace(PLAIN, flip=1.0)), faces.flip(3), atol=1e-5)
    luminance = 0.299 * faces[:, 0] + 0.587 * faces[:, 1] + 0.114 * faces[:, 2]
    grey = views(images, replace(PLAIN, grey=1.0))
    assert all(torch.allclose(grey[:, channel], luminance, atol=1e-5) for channel in range(3))
    blurred = views(images, replace(PLAIN, blur=1.0))
    kernel = torch.tensor([0.25, 0.5, 0.25])
    by_hand = (faces[:, :, 9:12, 19:22] * kernel[:, None] * kernel).sum((2, 3))
    assert torch.allclose(blurred[:, :, 10, 20], by_hand, atol=1e-5)
    some = views(images, replace(PLAIN, flip=0.5))
    flipped = torch.isclose(some, faces.flip(3), atol=1e-5).flatten(1).all(1)
    kept = torch.isclose(some, faces, atol=1e-5).flatten(1).all(1)
    assert torch.equal(flipped, ~kept) and 15 < flipped.sum() < 45


def test_jitter_keeps_pixels_in_range_and_grey_faces_grey(images):
    changed = views(images, replace(PLAIN, jitter=1.0))
    assert changed.min() >= 0 and changed.max() <= 1
    assert not torch.isclose(changed, pixels(images)).flatten(1).all(1).any()
    grey = views(images[..., :1], replace(AugmentConfig(size=40), jitter=1.0))
    assert torch.equal(grey[:, 0], grey[:, 1]) and torch.equal(grey[:, 0], grey[:, 2])


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ({"flip": 1.5}, "flip=1.5"),
        ({"occluded_area": (0.3, 0.1)}, "low <= high"),
        ({"crop_area": (0.0, 1)}, "crop_area"),
    ],
)
def test_a_wrong_setting_is_a_sentence(setting, said):
    with pytest.raises(ValueError, match=said):
        AugmentConfig(**setting)
