"""Supervised augmentation: what it may change, that regions and points move with the face, that it repeats."""

import numpy as np
import pytest
import torch

from fermodels.data.base import Split
from fermodels.training.augmentation import DRAWS, Augmentation, Warp, relit_and_erased, warp_of
from fermodels.training.views import ViewConfig, Views

STILL = Augmentation(scale=(1.0, 1.0), shift=0.0, rotation=0.0, light=0.0, erasing=0.0)
CONFIG = ViewConfig(size=48, local_size=16)


def views(n: int = 6) -> Views:
    images = np.random.default_rng(0).integers(0, 256, (n, 64, 64, 1), dtype=np.uint8)
    split = Split(images=images, labels=np.arange(n) % 7, names=[str(i) for i in range(n)])
    return Views(split, CONFIG, ("face", "eyes", "mouth"))


def quarter_turn() -> Warp:
    """The whole stored face, turned by 90 degrees."""
    return Warp(centre=torch.tensor([[0.5, 0.5]]), matrix=torch.tensor([[[0.0, -1.0], [1.0, 0.0]]]))


def test_an_augmentation_that_changes_nothing_gives_the_plain_views():
    plain = next(iter(views().training(6, seed=1, epoch=2)))
    still = next(iter(views().training(6, seed=1, epoch=2, augmentation=STILL)))
    for one, other in zip(plain.views, still.views, strict=True):
        assert torch.allclose(one, other, atol=2e-4)
    assert torch.equal(plain.mask, still.mask) and torch.equal(plain.labels, still.labels)


def test_the_same_epoch_gives_the_same_faces_and_another_epoch_others():
    first, again, other = (
        next(iter(views().training(6, seed=0, epoch=epoch, augmentation=Augmentation()))).views[0]
        for epoch in (0, 0, 1)
    )
    assert torch.equal(first, again) and not torch.equal(first, other)


def test_a_quarter_turn_moves_pixels_and_points_alike():
    face = torch.zeros(1, 8, 8, 1, dtype=torch.uint8)
    face[0, 1, 6] = 255  # row 1, column 6: the point (6.5 / 8, 1.5 / 8)
    view = quarter_turn().picture(face, 8)[0, 0]
    row, column = divmod(int(view.argmax()), 8)
    moved = quarter_turn().points(torch.tensor([[[6.5 / 8, 1.5 / 8]]]))[0, 0]
    assert view.max() == pytest.approx(1) and moved.tolist() == pytest.approx([(column + 0.5) / 8, (row + 0.5) / 8])


def test_boxes_keep_their_size_relative_to_the_face():
    warp = Warp(centre=torch.tensor([[0.5, 0.5]]), matrix=0.5 * torch.eye(2)[None])  # enlarged twice
    assert warp.boxes(torch.tensor([[[0.4, 0.45, 0.6, 0.55]]]))[0, 0].tolist() == pytest.approx([0.3, 0.4, 0.7, 0.6])


def test_drawn_warps_stay_within_their_bounds():
    chance = iter(torch.rand(DRAWS, 500, generator=torch.Generator().manual_seed(0)))
    config = Augmentation(scale=(0.8, 1.25), shift=0.1, rotation=20.0)
    warp = warp_of(config, torch.zeros(500, 2), 0.75, chance)
    side, angle = warp.matrix.det().sqrt(), torch.atan2(warp.matrix[:, 1, 0], warp.matrix[:, 0, 0]).rad2deg()
    assert 0.75 / 1.25 <= side.min() < 0.65 and 0.9 < side.max() <= 0.75 / 0.8 + 1e-6
    assert angle.abs().max() <= 20.001 and 0.4 < (angle == 0).float().mean() < 0.6
    moved = (warp.centre - 0.375).abs()
    assert moved.max() <= 0.1 + 1e-6 and 0.4 < (moved.amax(1) == 0).float().mean() < 0.6


def test_light_stays_in_range_and_about_as_many_faces_are_erased_as_asked():
    faces = torch.full((400, 1, 16, 16), 0.5)
    chance = iter(torch.rand(DRAWS, 400, generator=torch.Generator().manual_seed(0)))
    changed = relit_and_erased(faces, Augmentation(light=0.3, erasing=0.5), chance)
    assert changed.min() >= 0 and changed.max() <= 1
    plain = (changed.flatten(1).std(1) == 0).float().mean()  # "mean" fills leave a flat face flat
    assert 0.5 <= plain < 0.75


@pytest.mark.parametrize(
    "wrong",
    [{"scale": (0, 1)}, {"shift": 0.6}, {"rotation": -1}, {"light": 2}, {"erasing": 1.5}, {"erased_area": (0, 1)}],
)
def test_settings_out_of_range_are_refused_by_name(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Augmentation(**wrong)
