"""Occluders: laws over every registered one, rectangles against their definition, the manifest against the picture."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from fermodels.faces.align import template
from fermodels.faces.covers import rectangle_mask
from fermodels.faces.mask_pictures import bend, key_points
from fermodels.faces.occlude import (
    LEVELS,
    OCCLUDERS,
    RECTANGLES,
    SEEN,
    UNSEEN,
    Occluder,
    occlude,
    read_manifest,
    repeat,
    write_manifest,
)

SIX = {"a": (10, 20), "b": (50, 5), "c": (90, 20), "d": (15, 60), "e": (50, 95), "f": (85, 60)}
shares = st.floats(0, 0.5)
places = st.tuples(st.floats(0, 1), st.floats(0, 1))
aspects = st.floats(0.5, 2)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of the form of MaskTheFace's: one green picture, opaque inside a frame of 5 pixels."""
    folder = tmp_path_factory.mktemp("masks")
    pixels = np.zeros((100, 100, 4), np.uint8)
    pixels[5:95, 5:95] = (20, 200, 30, 255)
    Image.fromarray(pixels).save(folder / "green.png")
    lines = [f"mask_{key}: {x}, {y}" for key, (x, y) in SIX.items()]
    (folder / "masks.cfg").write_text("\n".join(["[green]", *lines, "[absent]", *lines, "[empty]"]) + "\n")
    return folder


@pytest.fixture(scope="module")
def face() -> np.ndarray:
    return np.random.default_rng(5).integers(40, 216, (96, 96, 3), np.uint8)


@pytest.fixture(params=sorted(OCCLUDERS))
def occluder(request: pytest.FixtureRequest, pictures: Path) -> Occluder:
    return Occluder(name=request.param, share=0.2, seed=3, pictures=pictures)


def test_every_occluder_is_of_one_family():
    assert sorted((*SEEN, *UNSEEN)) == sorted(OCCLUDERS) and set(RECTANGLES) <= set(OCCLUDERS)
    np.testing.assert_allclose(LEVELS, np.arange(7) / 20)


def test_only_the_mask_is_changed_and_the_count_is_exact(occluder: Occluder, face: np.ndarray):
    before = face.copy()
    covered = occlude(face, occluder, index=7)
    np.testing.assert_array_equal(face, before)
    np.testing.assert_array_equal(covered.image[~covered.mask], face[~covered.mask])
    assert covered.mask.sum() == covered.entry.pixels > 0.05 * covered.mask.size
    assert (covered.image != face).any(-1)[covered.mask].mean() > 0.9
    assert covered.image.dtype == np.uint8 and covered.entry.occluder == occluder.name


def test_the_same_seed_and_index_cover_the_same(occluder: Occluder, face: np.ndarray):
    one, two = (occlude(face, occluder, index=7) for _ in range(2))
    np.testing.assert_array_equal(one.image, two.image)
    assert one.entry == two.entry
    others = [occlude(face, occluder, index=index) for index in range(8, 16)]
    assert any((other.image != one.image).any() for other in others) or occluder.name == "picture"  # one picture only


def test_a_manifest_makes_the_same_pictures_again(occluder: Occluder, face: np.ndarray, tmp_path: Path):
    points = template(96) * 0.9 + (3.3, 4.4)
    made = [occlude(face, occluder, index=index, points=points) for index in range(3)]
    write_manifest(tmp_path / "manifest.json", [each.entry for each in made])
    entries = read_manifest(tmp_path / "manifest.json")
    assert entries == [each.entry for each in made]
    for entry, each in zip(entries, made, strict=True):
        np.testing.assert_array_equal(repeat(face, entry, pictures=occluder.pictures).image, each.image)
    with pytest.raises(ValueError, match="write the manifest anew"):
        repeat(face[:80], entries[0], pictures=occluder.pictures)


@pytest.mark.parametrize("name", RECTANGLES)
def test_a_larger_share_contains_the_smaller_ones(name: str, face: np.ndarray):
    covered = [occlude(face, Occluder(name=name, share=share), index=4) for share in LEVELS]
    for share, less, more in zip(LEVELS[1:], covered, covered[1:], strict=False):
        assert more.mask.sum() == round(share * 96 * 96) and not (less.mask & ~more.mask).any()
        np.testing.assert_array_equal(less.image[less.mask], more.image[less.mask])
    assert not covered[0].mask.any()


def test_fills_share_their_rectangle(face: np.ndarray):
    masks = [occlude(face, Occluder(name=name), index=9).mask for name in RECTANGLES]
    assert all((mask == masks[0]).all() for mask in masks)


@given(shares, places, aspects, st.integers(8, 40), st.integers(8, 40))
@example(0.421875, (0.5, 0.0), 0.5, 9, 10)  # two columns reached at once
def test_rectangles_are_exact_and_whole_but_for_one_edge(share, anchor, aspect, height, width):
    mask = rectangle_mask(height, width, share, anchor=anchor, aspect=aspect)
    count = round(share * height * width)
    assert mask.sum() == count
    if count:
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        box = (np.ptp(rows) + 1) * (np.ptp(columns) + 1)
        assert box - count <= np.ptp(rows) + np.ptp(columns) + 2  # at most one row and one column are a part


@given(places, aspects, shares, shares)
def test_rectangles_are_nested(anchor, aspect, one, other):
    less, more = (rectangle_mask(24, 24, s, anchor=anchor, aspect=aspect) for s in sorted((one, other)))
    assert not (less & ~more).any()


@given(places, aspects)
@settings(max_examples=30)
def test_rectangles_have_their_aspect(anchor, aspect):
    mask = rectangle_mask(100, 100, 0.2, anchor=anchor, aspect=aspect)
    across, down = mask.any(0).sum(), mask.any(1).sum()
    assert across == pytest.approx(np.sqrt(2000 * aspect), abs=2) and down == pytest.approx(
        np.sqrt(2000 / aspect), abs=2
    )


def test_a_thin_plate_meets_its_points_and_keeps_affine_maps():
    chance = np.random.default_rng(0)
    source, target = chance.uniform(0, 100, (6, 2)), chance.uniform(0, 100, (6, 2))
    np.testing.assert_allclose(bend(source, target, source), target, atol=1e-6)
    linear, points = np.array([[1.2, 0.3], [-0.4, 0.8]]), chance.uniform(0, 100, (20, 2))
    np.testing.assert_allclose(bend(source, source @ linear + 5, points), points @ linear + 5, atol=1e-6)


def test_masks_cover_mouth_and_nose_and_glasses_the_eyes(pictures: Path, face: np.ndarray):
    x, y = template(96).astype(int).T
    for name in ("mask", "picture"):
        mask = occlude(face, Occluder(name=name, pictures=pictures), index=0).mask
        assert mask[y[2:], x[2:]].all() and not mask[y[:2], x[:2]].any()
    glasses = occlude(face, Occluder(name="sunglasses"), index=0).mask
    assert glasses[y[:2], x[:2]].all() and not glasses[y[2:], x[2:]].any()


def test_covers_follow_the_face(face: np.ndarray):
    """Points moved by (5, -3) move the mask by as much."""
    here = occlude(face, Occluder(name="sunglasses"), index=0, points=template(60) + np.array([18, 20])).mask
    there = occlude(face, Occluder(name="sunglasses"), index=0, points=template(60) + np.array([23, 17])).mask
    np.testing.assert_array_equal(np.roll(here, (-3, 5), (0, 1)), there)


def test_68_points_give_jaw_and_bridge(face: np.ndarray):
    points = np.full((68, 2), 40.0)
    points[[36, 42, 30, 48, 54]] = template(96)
    points[2:15] = np.stack((np.linspace(20, 76, 13), 50 + 35 * np.sin(np.linspace(0, np.pi, 13))), 1)
    points[28] = (48, 40)
    mask = occlude(face, Occluder(name="mask"), index=0, points=points).mask
    assert mask[84, 48] and mask[42, 48] and not mask[36, 48] and not mask[88, 48] and not mask[60, 10]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"name": "hat"}, "noise, mean, black"),
        ({"share": 1.2}, "from 0 to 1"),
        ({"share": float("nan")}, "from 0 to 1"),
        ({"seed": -1}, "0 or more"),
    ],
)
def test_a_wrong_occluder_is_a_sentence(changes: dict, sentence: str):
    with pytest.raises(ValueError, match=sentence):
        replace(Occluder(name="noise"), **changes)


def test_what_is_missing_is_a_sentence(face: np.ndarray, pictures: Path, tmp_path: Path):
    with pytest.raises(ValueError, match="give the folder with MaskTheFace"):
        occlude(face, Occluder(name="picture"), index=0)
    with pytest.raises(ValueError, match=r"masks\.cfg cannot be read"):
        occlude(face, Occluder(name="picture", pictures=tmp_path), index=0)
    with pytest.raises(ValueError, match=r'no mask picture "gas".*green'):
        occlude(face, Occluder(name="picture", variant="gas", pictures=pictures), index=0)
    with pytest.raises(ValueError, match="5 or 68"):
        occlude(face, Occluder(name="hand"), index=0, points=np.zeros((3, 2)))
    with pytest.raises(ValueError, match="no manifest"):
        read_manifest(tmp_path / "nothing.json")
    assert list(key_points(pictures)) == ["green"]
