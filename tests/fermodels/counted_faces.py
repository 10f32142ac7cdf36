"""A detector that sees as many faces as a picture asks for, and such pictures."""

from pathlib import Path

import numpy as np
import pytest
from tiny_sets import noise, save

from fermodels.faces.align import template
from fermodels.faces.detect import Detector
from fermodels.predict.predictor import FaceExpression


class Counted:
    """Sees as many faces in a photograph as the red of its first pixel says, modulo 3, each larger than the next."""

    version = "1"

    def find(self, photographs: np.ndarray):
        side = min(photographs.shape[1:3])
        found = []
        for photograph in photographs:
            shares = np.array([0.8, 0.6, 0.5][: int(photograph[0, 0, 0]) % 3])
            boxes = np.stack([np.array([0.1, 0.05, 0.1 + s, 0.05 + s]) * side for s in shares] or [np.empty(4)])
            points = np.stack([template(side * s) + np.array([0.1, 0.05]) * side for s in shares] or [np.empty((5, 2))])
            found.append((boxes[: len(shares)], points[: len(shares)], 1 - shares / 10))
        return found


def detector() -> Detector:
    return Detector(name="counted", smallest=12, backend=Counted())


def pictures(count: int = 7) -> list[np.ndarray]:
    """Of three sizes, with 0, 1 or 2 faces."""
    made = [noise(seed, 60 + 20 * (seed % 3), 3)[: 50 + 5 * (seed % 2)].copy() for seed in range(count)]
    for seed, pixels in enumerate(made):
        pixels[0, 0, 0] = seed + 1
    return made


def assert_same(a: list[FaceExpression], b: list[FaceExpression]) -> None:
    """Asserts it, field by field."""
    assert len(a) == len(b)
    for one, other in zip(a, b, strict=True):
        assert (one.box, one.detection, one.expression) == (other.box, other.detection, other.expression)
        assert one.probabilities == pytest.approx(other.probabilities, abs=1e-5)
        np.testing.assert_array_equal(one.matrix, other.matrix)
        assert (one.attention is None) == (other.attention is None)
        if one.attention is not None and other.attention is not None:
            np.testing.assert_allclose(one.attention, other.attention, atol=1e-5)


def folder(root: Path) -> Path:
    """One picture with two faces, one without, one broken."""
    save(root / "photos/a.png", pictures()[1])
    save(root / "photos/b.png", pictures()[2])
    (root / "photos/c.jpg").write_bytes(b"no picture")
    return root / "photos"
