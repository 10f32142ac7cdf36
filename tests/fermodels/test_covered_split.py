"""A split behind an occluder: what is covered, what stays, and that eye and mouth boxes do not move."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fermodels.data.base import Split
from fermodels.faces.covered_split import covered_split, grey, pictures_beside
from fermodels.faces.occlude import RECTANGLES, Occluder
from fermodels.training.views import ViewConfig, Views

SIZE, STORED = 16, 21


def split(channels: int = 1, *, landmarks: bool = False) -> Split:
    random = np.random.default_rng(4)
    images = random.integers(0, 200, (5, STORED, STORED, channels), np.uint8)
    points = random.uniform(0.2, 0.8, (5, 68, 2)).astype(np.float32) if landmarks else None
    return Split(images=images, labels=np.arange(5), names=list("abcde"), landmarks=points)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("family", RECTANGLES)
def test_exactly_the_share_of_what_the_network_sees_is_covered(family: str, channels: int) -> None:
    bare = split(channels)
    before = bare.images.copy()
    made = covered_split(bare, Occluder(name=family, share=0.25), size=SIZE)
    covered = made.split
    assert made.share == pytest.approx(0.25) and covered.images.shape == before.shape
    np.testing.assert_array_equal(bare.images, before)
    corner = Views(bare, ViewConfig(size=SIZE, local_size=8), ("face",)).spread(1)  # the crop that a network gets
    assert corner[0].views[0].shape[-1] == SIZE
    changed = (covered.images != before).any(-1)
    outside = np.ones((STORED, STORED), bool)
    outside[2 : 2 + SIZE, 2 : 2 + SIZE] = False
    assert not changed[:, outside].any()
    assert not changed[:, 2 : 2 + SIZE, 2 : 2 + SIZE][~made.masks].any(), "the masks say where"
    assert 0.2 < changed[:, ~outside].mean() <= 0.25


def test_a_crop_covered_here_is_the_crop_that_views_cut() -> None:
    config = ViewConfig(size=SIZE, local_size=8, mean=0.0, std=1.0)
    covered = covered_split(split(), Occluder(name="black", share=1.0), size=SIZE).split
    batch = next(Views(covered, config, ("face",)).evaluation(5))
    assert float(batch.views[0].abs().max()) == 0


def test_landmarks_place_a_mask_but_boxes_and_points_stay_those_of_the_bare_face() -> None:
    bare = split(3, landmarks=True)
    made = covered_split(bare, Occluder(name="mask"), size=SIZE)
    covered = made.split
    assert covered.landmarks is bare.landmarks and 0 < made.share < 1
    moved = replace(bare, landmarks=bare.landmarks + np.float32(0.2))
    assert (covered_split(moved, Occluder(name="mask"), size=SIZE).split.images != covered.images).any()
    config = ViewConfig(size=SIZE, local_size=8)
    one, two = (Views(each, config, ("face", "eyes")) for each in (bare, covered))
    assert one.boxes.equal(two.boxes) and one.points.equal(two.points)


def test_grey_is_the_luminance_and_a_grey_picture_stays() -> None:
    image = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255], [70, 70, 70]]], np.uint8)
    assert grey(image)[0, :, 0].tolist() == [76, 150, 29, 70]
    assert grey(image[..., :1]) is not image and (grey(image[..., :1]) == image[..., :1]).all()


def test_a_crop_larger_than_the_faces_is_a_sentence() -> None:
    with pytest.raises(ValueError, match="stored at 21 px"):
        covered_split(split(), Occluder(name="black"), size=22)


def test_pictures_of_masks_lie_beside_the_data(tmp_path: Path) -> None:
    assert pictures_beside("synthetic") is None and pictures_beside(f"fer2013:{tmp_path / 'fer.npz'}") is None
    (tmp_path / "masks").mkdir()
    (tmp_path / "masks" / "masks.cfg").write_text("")
    assert pictures_beside(f"fer2013:{tmp_path / 'fer.npz'}") == tmp_path / "masks"
