"""The five-point similarity against closed forms and against Umeyama's singular value decomposition."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fermodels.faces.align import align, inverse, moved, similarity, template, warped
from fermodels.faces.regions import FALLBACK_BOXES

angles = st.floats(-np.pi, np.pi)
scales = st.floats(0.05, 20)
shifts = st.tuples(st.floats(-2000, 2000), st.floats(-2000, 2000))
seeds = st.integers(0, 2**31)


def matrix_of(angle: float, scale: float, shift: tuple[float, float]) -> np.ndarray:
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return np.column_stack((turn, shift))


def umeyama(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Umeyama (1991), eq 38-42: rotation by SVD with the sign that forbids a mirror."""
    p, q = source - source.mean(0), target - target.mean(0)
    u, d, vt = np.linalg.svd(q.T @ p / len(p))
    sign = np.diag([1.0, np.sign(np.linalg.det(u) * np.linalg.det(vt))])
    rotation = u @ sign @ vt
    scale = np.trace(np.diag(d) @ sign) / p.var(0).sum()
    return np.column_stack((scale * rotation, target.mean(0) - scale * rotation @ source.mean(0)))


@given(angles, scales, shifts, seeds)
def test_a_similarity_is_recovered(angle: float, scale: float, shift: tuple[float, float], seed: int):
    source = np.random.default_rng(seed).uniform(0, 500, (5, 2))
    expected = matrix_of(angle, scale, shift)
    target = source @ expected[:, :2].T + expected[:, 2]
    np.testing.assert_allclose(moved(similarity(source, target), source), target, atol=1e-6)
    np.testing.assert_allclose(similarity(source, target)[:, :2], expected[:, :2], atol=1e-6)


@given(seeds)
def test_noisy_points_are_fitted_as_umeyama_does(seed: int):
    chance = np.random.default_rng(seed)
    source, target = chance.uniform(0, 100, (5, 2)), chance.uniform(0, 100, (5, 2))
    np.testing.assert_allclose(similarity(source, target), umeyama(source, target), atol=1e-6)


@given(seeds)
def test_mirrored_points_are_never_mirrored_back(seed: int):
    source = np.random.default_rng(seed).uniform(0, 100, (5, 2))
    assert np.linalg.det(similarity(source, source * (-1, 1))[:, :2]) >= 0


@given(angles, scales, shifts, seeds)
def test_the_inverse_brings_points_back(angle: float, scale: float, shift: tuple[float, float], seed: int):
    matrix, points = matrix_of(angle, scale, shift), np.random.default_rng(seed).uniform(0, 500, (7, 2))
    np.testing.assert_allclose(moved(inverse(matrix), moved(matrix, points)), points, atol=1e-6)


@pytest.mark.parametrize("points", [np.full((5, 2), 3.0), np.full((5, 2), np.nan)])
def test_points_without_a_frame_are_refused(points: np.ndarray):
    with pytest.raises(ValueError, match="at least two finite ones that differ"):
        similarity(points, template(112))


def test_the_template_is_arcface_raised_and_lies_in_the_fallback_boxes():
    eye = np.array([(38.2946 + 0.5) / 112, (51.6963 + 0.5) / 112 - 0.08])
    np.testing.assert_allclose(template(224)[0], 224 * eye)
    for points, (x0, y0, x1, y1) in zip((template()[:2], template()[3:]), FALLBACK_BOXES, strict=True):
        assert (points > (x0, y0)).all() and (points < (x1, y1)).all()


def test_the_identity_leaves_the_picture_as_it_is():
    picture = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    np.testing.assert_array_equal(warped(picture, np.eye(2, 3), 32), picture)


def test_a_ramp_is_sampled_at_the_places_of_its_pixels():
    """A picture whose value is 2 x + 1 y shows, after any similarity, that value at the place each pixel came from."""
    x, y = np.meshgrid(np.arange(80) + 0.5, np.arange(80) + 0.5)
    picture = np.repeat((2 * x + y)[..., None], 3, 2).astype(np.uint8)
    matrix = matrix_of(0.3, 0.9, (-4, -20))
    got = warped(picture, matrix, 24)
    grid = np.stack(np.meshgrid(np.arange(24) + 0.5, np.arange(24) + 0.5), -1).reshape(-1, 2)
    came = moved(inverse(matrix), grid).reshape(24, 24, 2)
    assert came.min() > 1 and came.max() < 79
    np.testing.assert_allclose(got[..., 0], 2 * came[..., 0] + came[..., 1], atol=1.6)


def test_a_far_finer_photograph_is_averaged():
    checks = np.indices((400, 400)).sum(0) % 2 * 255
    picture = np.repeat(checks[..., None], 3, 2).astype(np.uint8)
    inner = warped(picture, matrix_of(0.0, 0.125, (0, 0)), 40)
    np.testing.assert_allclose(inner, 127.5, atol=1)


@pytest.mark.parametrize("size", [32, 112, 224])
def test_the_five_points_land_on_the_template_and_go_back(size: int):
    points = template(112) * 1.7 + (30, 12)
    face = align(np.zeros((250, 250, 3), np.uint8), points, size)
    assert face.image.shape == (size, size, 3)
    np.testing.assert_allclose(moved(face.matrix, points), template(size), atol=1e-6)
    np.testing.assert_allclose(moved(inverse(face.matrix), template(size)), points, atol=1e-6)
    with pytest.raises(ValueError, match="size 0"):
        align(face.image, points, 0)
