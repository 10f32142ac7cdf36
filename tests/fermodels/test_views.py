"""Regions, masks and views: coordinates under crop and flip, normalisation, order, resampling."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fermodels.data.base import Split
from fermodels.faces import regions
from fermodels.training.views import FIVE_CROPS, ViewConfig, Views, resample

CONFIG = ViewConfig(size=48, local_size=16)
INPUTS = ("face", "eyes", "mouth")
MIRROR = [*range(16, -1, -1), *range(26, 16, -1), *range(27, 31), *range(35, 30, -1)]
MIRROR += [45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40]
MIRROR += [54, 53, 52, 51, 50, 49, 48, 59, 58, 57, 56, 55, 64, 63, 62, 61, 60, 67, 66, 65]


def faces(n: int = 4, *, size: int = 64, channels: int = 1, landmarks: bool = False) -> Split:
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (n, size, size, channels), dtype=np.uint8)
    points = random.uniform(0.2, 0.8, (n, 68, 2)).astype(np.float32) if landmarks else None
    return Split(images=images, labels=np.arange(n) % 7, names=[str(i) for i in range(n)], landmarks=points)


def test_region_boxes_are_bounding_boxes_with_a_fifth_of_margin():
    points = np.full((1, 68, 2), 0.5, np.float32)
    points[0, 17], points[0, 45] = (0.2, 0.3), (0.8, 0.4)
    points[0, 48], points[0, 57] = (0.4, 0.7), (0.6, 0.9)
    eyes, mouth = regions.region_boxes(points)[0]
    assert eyes == pytest.approx([0.2 - 0.12, 0.3 - 0.04, 0.8 + 0.12, 0.5 + 0.04])
    assert mouth == pytest.approx([0.4 - 0.04, 0.5 - 0.08, 0.6 + 0.04, 0.9 + 0.08])


def test_the_main_points_and_the_mean_face_are_closed_under_mirroring():
    assert len(regions.MAIN_POINTS) == len(set(regions.MAIN_POINTS)) == len(regions.MEAN_MAIN_POINTS) == 31
    assert {MIRROR[p] for p in regions.MAIN_POINTS} == set(regions.MAIN_POINTS)
    place = dict(zip(regions.MAIN_POINTS, regions.MEAN_MAIN_POINTS, strict=True))
    for point, (x, y) in place.items():
        assert place[MIRROR[point]] == pytest.approx((1 - x, y))


def test_the_mean_face_sits_in_the_fallback_boxes():
    eyes, mouth = regions.FALLBACK_BOXES
    for point, (x, y) in zip(regions.MAIN_POINTS, regions.MEAN_MAIN_POINTS, strict=True):
        if point != 30:
            x0, y0, x1, y1 = mouth if point in regions.MOUTH else eyes
            assert x0 < x < x1 and y0 < y < y1


@given(st.floats(0, 0.25), st.floats(0, 0.25), st.floats(0.5, 0.75), st.booleans())
def test_boxes_move_with_their_corners(x: float, y: float, size: float, flip: bool):
    box = torch.tensor([[[0.3, 0.4, 0.7, 0.6]]])
    corners = torch.tensor([[[0.3, 0.4], [0.7, 0.6]]])
    corner, flips = torch.tensor([[x, y]]), torch.tensor([flip])
    moved = regions.mirrored(regions.into_crop(box, corner, size), flips)[0, 0]
    points = regions.mirrored(regions.into_crop(corners, corner, size), flips)[0]
    assert torch.allclose(moved[:2], points.amin(0), atol=1e-6)
    assert torch.allclose(moved[2:], points.amax(0), atol=1e-6)


def test_the_mask_holds_reliable_points_inside_the_frame_only():
    points = torch.tensor([[[0.0, 0.0], [0.5, 0.5], [1.01, 0.5], [0.99, 0.99], [-0.01, 0.2]]])
    confidence = torch.tensor([[0.5, 0.49, 1.0, 1.0, 1.0]])
    grid = regions.mask_grid(points, confidence)[0, 0]
    assert grid.nonzero().tolist() == [[0, 0], [6, 6]]


def test_a_flipped_face_is_the_mirror_image_and_so_is_its_mask():
    views = Views(faces(landmarks=True), CONFIG, INPUTS)
    index, corner = torch.arange(4), torch.full((4, 2), 8)
    plain = views.batch(index, corner, torch.zeros(4, dtype=torch.bool))
    flipped = views.batch(index, corner, torch.ones(4, dtype=torch.bool))
    for one, other in zip(plain.views, flipped.views, strict=True):
        assert torch.allclose(one.flip(-1), other, atol=1e-4)
    assert torch.equal(plain.mask.flip(-1), flipped.mask)


def test_the_face_view_is_the_crop_normalised():
    split = faces()
    batch = Views(split, CONFIG, ("face",)).batch(
        torch.tensor([2, 1]), torch.tensor([[3, 5], [16, 0]]), torch.zeros(2, dtype=torch.bool)
    )
    expected = split.images[2, 5:53, 3:51, 0] / 255
    for channel in range(3):
        assert np.allclose(batch.views[0][0, channel].numpy(), (expected - 0.5) / 0.25, atol=1e-6)
    assert np.allclose(batch.views[0][1, 0].numpy() * 0.25 + 0.5, split.images[1, 0:48, 16:64, 0] / 255, atol=1e-6)
    assert batch.labels.tolist() == [2, 1]


def test_colour_keeps_its_channels():
    split = faces(channels=3)
    face = next(Views(split, CONFIG, ("face",)).evaluation(4)).views[0]
    assert np.allclose(face[0, 2].numpy() * 0.25 + 0.5, split.images[0, 8:56, 8:56, 2] / 255, atol=1e-6)


def test_an_epoch_is_every_face_once_and_repeats_itself():
    views = Views(faces(10), CONFIG, ("face",))
    first, again = (list(views.training(4, seed=3, epoch=5)) for _ in range(2))
    assert sorted(torch.cat([b.labels for b in first]).tolist()) == sorted(views.labels.tolist())
    assert all(torch.equal(a.views[0], b.views[0]) for a, b in zip(first, again, strict=True))
    other = torch.cat([b.views[0] for b in views.training(4, seed=3, epoch=6)])
    assert not torch.equal(torch.cat([b.views[0] for b in first]), other)


def test_evaluation_is_in_order_and_takes_the_crop_it_is_told():
    split = faces(5)
    views = Views(split, CONFIG, ("face",))
    seen = torch.cat([b.labels for b in views.evaluation(2)])
    assert torch.equal(seen, torch.from_numpy(split.labels))
    corner = next(views.evaluation(1, crop=FIVE_CROPS[4])).views[0]
    assert np.allclose(corner[0, 0].numpy() * 0.25 + 0.5, split.images[0, 16:, 16:, 0] / 255, atol=1e-6)


def test_resampling_a_box_at_its_own_size_gives_its_pixels():
    images = torch.arange(64.0).view(1, 1, 8, 8)
    assert torch.allclose(resample(images, torch.tensor([[0.25, 0.5, 0.75, 1.0]]), 4), images[..., 4:8, 2:6])


def test_too_small_images_are_refused_with_the_size_to_open_them_at():
    with pytest.raises(ValueError, match="size>=48"):
        Views(faces(size=32), CONFIG, ("face",))


def test_random_erasing_hides_a_part_of_some_faces_and_moves_nothing_else():
    views = Views(faces(400), CONFIG, INPUTS)
    (plain,) = views.training(400, seed=3, epoch=1)
    (erased,) = views.training(400, seed=3, epoch=1, erasing=0.5)
    assert torch.equal(plain.labels, erased.labels) and torch.equal(plain.mask, erased.mask)
    changed = (plain.views[0] != erased.views[0]).any(1)
    share = changed.flatten(1).float().mean(1)
    assert 0.4 < (share > 0).float().mean() < 0.6
    assert share.max() <= 0.3 + 2 / 48 and share[share > 0].min() > 0.02
    for mask in changed[share > 0]:
        rows, columns = mask.any(1).nonzero()[:, 0], mask.any(0).nonzero()[:, 0]
        box = (rows[-1] - rows[0] + 1) * (columns[-1] - columns[0] + 1)
        assert mask.sum() > 0.9 * box, "one rectangle; its fill may meet a pixel's own value"
    assert erased.views[0].min() >= -2 and erased.views[0].max() <= 2
    untouched = share == 0
    assert all(torch.equal(a[untouched], b[untouched]) for a, b in zip(plain.views, erased.views, strict=True))
    assert not torch.equal(plain.views[1], erased.views[1]), "eyes are cut from the erased face"


def test_random_erasing_repeats_with_seed_and_epoch():
    views = Views(faces(40), CONFIG, ("face",))
    first, again = (torch.cat([b.views[0] for b in views.training(16, seed=3, epoch=1, erasing=1.0)]) for _ in range(2))
    other = torch.cat([b.views[0] for b in views.training(16, seed=3, epoch=2, erasing=1.0)])
    assert torch.equal(first, again) and not torch.equal(first, other)
