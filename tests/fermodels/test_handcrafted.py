"""Handcrafted baselines: shapes by closed form, the SVM at its minimum, what is learned and reloaded."""

from pathlib import Path

import numpy as np
import pytest

from fermodels import handcrafted
from fermodels.handcrafted import FEATURES, Baseline, basis_of, fit, svm, vectors

LIBRARY = {"hog": "skimage", "lbp": "skimage", "sift": "cv2"}
SIDE = 24


@pytest.fixture(params=sorted(FEATURES))
def feature(request: pytest.FixtureRequest) -> str:
    pytest.importorskip(LIBRARY[request.param], reason=handcrafted.HELP)
    return request.param


def faces(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Stripes: down for class 0, across for class 1, slanted for class 2, with noise."""
    random = np.random.default_rng(seed)
    labels = np.arange(n) % 3
    y, x = np.mgrid[:SIDE, :SIDE]
    waves = np.stack([np.sin((x, y, x + y)[label] * 0.9 + random.uniform(0, 6)) for label in labels])
    return (128 + 60 * waves + random.normal(0, 12, waves.shape)).clip(0, 255).astype(np.uint8), labels


@pytest.mark.parametrize("cost", [0.05, 2.0])
def test_the_svm_is_the_minimum(cost: float) -> None:
    """The objective is strictly convex: its minimum is where w = 2 C sum of t max(0, 1 - t w.x) x."""
    random = np.random.default_rng(1)
    x, labels = random.normal(0, 1, (40, 5)), random.integers(0, 3, 40)
    found = svm(x, labels, classes=3, cost=cost)
    for k in range(3):
        wanted = np.zeros(5)
        for row, label in zip(x, labels, strict=True):
            sign = 1.0 if label == k else -1.0
            wanted += 2 * cost * sign * max(0.0, 1 - sign * sum(found[:, k] * row)) * row
        np.testing.assert_allclose(found[:, k], wanted, atol=1e-3)


def test_shapes_follow_from_cells_blocks_and_grids(feature: str) -> None:
    given, _ = faces(4)
    found = vectors(feature, given, basis_of(feature, given))
    cells = SIDE // handcrafted.CELL
    width = {
        "hog": (cells - 1) ** 2 * 4 * 9,
        "lbp": 7 * 6 * 59,
        "sift": 81 * handcrafted.COMPONENTS,
    }
    assert found.shape == (4, width[feature]) and found.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, rtol=1e-5)


def test_histograms_of_patterns_count_every_pixel() -> None:
    pytest.importorskip("skimage", reason=handcrafted.HELP)
    found = handcrafted.lbp(faces(2)[0]).reshape(2, 42, 59)
    np.testing.assert_allclose(found.sum(-1), 1, rtol=1e-6)


def test_root_sift_has_length_one() -> None:
    pytest.importorskip("cv2", reason=handcrafted.HELP)
    found = handcrafted.root_sift(faces(2)[0])
    assert found.shape == (2, 81, 128)
    np.testing.assert_allclose((found**2).sum(-1), 1, rtol=1e-5)


def test_one_face_alone_is_what_it_is_among_others(feature: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handcrafted, "CHUNK", 3)
    given, _ = faces(7)
    basis = basis_of(feature, given)
    together = vectors(feature, given, basis)
    alone = np.concatenate([vectors(feature, given[i : i + 1], basis) for i in range(7)])
    np.testing.assert_allclose(alone, together, atol=1e-6)


def test_directions_are_learned_chosen_on_validation_and_reloaded(feature: str, tmp_path: Path) -> None:
    (given, labels), (more, theirs) = faces(30), faces(12, seed=7)
    made, costs = fit(feature, given, labels, validation=(more, theirs), classes=3, costs=(1e-6, 1.0))
    assert costs[made.cost] == max(costs.values()) >= 0.9
    assert (made.answers(more) == theirs).mean() == costs[made.cost]
    made.save(tmp_path / "made.npz")
    again = Baseline.load(tmp_path / "made.npz")
    np.testing.assert_array_equal(again.answers(more), made.answers(more))
    assert (again.feature, again.cost) == (feature, made.cost)


def test_an_unknown_feature_is_a_sentence() -> None:
    given, labels = faces(3)
    with pytest.raises(ValueError, match=r'no feature "surf": there is hog, lbp, sift'):
        fit("surf", given, labels, validation=(given, labels), classes=3)
