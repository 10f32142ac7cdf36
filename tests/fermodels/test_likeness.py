"""Perceptual hashes: what changes them and what does not, and near pairs against a double loop."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fermodels.data.likeness import distance, looks, near_pairs
from fermodels.data.synthetic import render

FACES = render(range(40), size=48, seed=5).images
"""Drawn faces (40, 48, 48, 3)."""


def apart(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return distance(looks(one)[0], looks(other)[0])


def test_distance_counts_the_differing_bits():
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 2**64, (2, 50), np.uint64)
    assert distance(a, b).tolist() == [(x ^ y).bit_count() for x, y in zip(a.tolist(), b.tolist(), strict=True)]


def test_bits_are_coefficients_above_their_median():
    face = FACES[0] @ np.array([0.299, 0.587, 0.114])
    x = (np.arange(48) + 0.5) / 48
    coefficients = [
        sum((face * np.cos(np.pi * v * x)[:, None] * np.cos(np.pi * u * x)).ravel()) for v in range(8) for u in range(8)
    ]
    expected = [False, *(np.array(coefficients[1:]) > np.median(coefficients[1:]))]
    found = np.unpackbits(looks(FACES[:1])[0].view(np.uint8))
    assert found.tolist() == [int(bit) for bit in expected]


def test_brightness_contrast_and_grey_hardly_change_a_face():
    assert apart(FACES, (FACES * 0.7 + 20).astype(np.uint8)).max() <= 2
    grey = np.round(FACES @ np.array([0.299, 0.587, 0.114])).astype(np.uint8)[..., None]
    assert apart(FACES, grey).max() <= 2


def test_a_shift_by_one_pixel_stays_nearer_than_other_faces_and_a_mirrored_face():
    shifted = np.concatenate((FACES[:, :, :1], FACES[:, :, :-1]), axis=2)
    moved, others = apart(FACES, shifted), apart(FACES, np.roll(FACES, 1, axis=0))
    assert np.mean(moved <= 8) > 0.8 and np.mean(others > 8) == 1
    assert np.median(moved) < np.median(others) / 2


def test_the_side_does_not_matter_and_the_spread_is_that_of_the_brightness():
    twice = FACES.repeat(2, axis=1).repeat(2, axis=2)
    assert apart(FACES, twice).max() <= 2
    grey = FACES @ np.array([0.299, 0.587, 0.114])
    np.testing.assert_allclose(looks(FACES)[1], [face.std() for face in grey], rtol=1e-4)


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch):
    whole, spread = looks(FACES)
    monkeypatch.setattr("fermodels.data.likeness._BLOCK", 48 * 48 * 3)
    assert looks(FACES)[0].tolist() == whole.tolist() and looks(FACES)[1].tolist() == spread.tolist()


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 8), st.integers(0, 40), st.integers(0, 10**6))
def test_near_pairs_are_those_of_a_double_loop(bits: int, n: int, seed: int):
    rng = np.random.default_rng(seed)
    centres = rng.integers(0, 2**64, 4, np.uint64)
    hashes = centres[rng.integers(4, size=n)]
    for _ in range(4):  # copies that differ in up to four bits from their centre, in up to eight from each other
        hashes = hashes ^ (np.uint64(1) << rng.integers(64, size=n, dtype=np.uint64))
    pairs, distances = near_pairs(hashes, bits)
    every = [(i, j, (int(hashes[i]) ^ int(hashes[j])).bit_count()) for i in range(n) for j in range(i + 1, n)]
    expected = sorted((d, i, j) for i, j, d in every if d <= bits)
    found = [(d, i, j) for (i, j), d in zip(pairs.tolist(), distances.tolist(), strict=True)]
    assert found == expected


@pytest.mark.parametrize("bits", [-1, 9])
def test_a_distance_out_of_range_is_refused(bits: int):
    with pytest.raises(ValueError, match=f"{bits} bits.*0 to 8"):
        near_pairs(np.zeros(2, np.uint64), bits)
