"""What expression recognition did before it learned its features: HOG, LBP and dense SIFT with a linear SVM (Fig 3).

Paper 2 gives no parameters; ours: docs/papers.md, 2.9. HOG and LBP are scikit-image's, SIFT is OpenCV's; the
SVM is ours: all classes share every product with the features, so seven one-against-all problems cost little more than
one (LinearSVC of scikit-learn, the same objective, solves them one after the other).

    baseline = fit("hog", faces, labels, validation=(more, theirs), classes=7)
    baseline.answers(faces)
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32, Int, UInt8
from torch.nn import functional

from compress.files import atomic_path

HELP = "pip install 'fermodels[handcrafted]'"
CELL, BLOCK, ORIENTATIONS = 8, 2, 9
"""HOG: pixels a side of a cell, cells a side of a block, orientations."""
POINTS, RADIUS, GRID = 8, 2, (7, 6)
"""LBP: neighbours, their distance in pixels, rows and columns of histograms."""
PATTERNS = POINTS * (POINTS - 1) + 3
"""Codes of scikit-image's "nri_uniform": the uniform patterns, rotations told apart, and one for all others."""
KEYPOINTS, SPREAD = 9, 2.0
"""SIFT: points a side of the grid, and a keypoint's size in grid steps."""
COMPONENTS, PCA_FACES = 32, 2000
"""Principal components kept of SIFT's 128, and the faces, evenly spaced, on whose descriptors they are found."""
CHUNK = 1024
"""Faces whose full descriptors are held at a time."""
COSTS = (0.01, 0.1, 1.0, 10.0)
"""C of the SVM, from which validation chooses."""
STEPS, GRADIENT = 150, 1e-6
"""At most so many steps of L-BFGS for one C, and the gradient (of the objective over C n) at which it stops."""

Faces = UInt8[np.ndarray, "n side side"]


def hog(faces: Faces) -> Float32[np.ndarray, "n d"]:
    """Histograms of oriented gradients (Dalal and Triggs 2005), L2-Hys blocks."""
    feature = _skimage()
    shape: dict[str, Any] = {"orientations": ORIENTATIONS, "pixels_per_cell": (CELL, CELL)}
    shape |= {"cells_per_block": (BLOCK, BLOCK), "block_norm": "L2-Hys"}
    return np.stack([feature.hog(face, **shape) for face in faces]).astype(np.float32)


def lbp(faces: Faces) -> Float32[np.ndarray, "n d"]:
    """Histograms of uniform local binary patterns (Ahonen et al. 2006) in a grid, each of sum 1."""
    feature = _skimage()
    found = []
    for face in faces:
        codes = feature.local_binary_pattern(face, POINTS, RADIUS, method="nri_uniform").astype(int)
        rows = np.array_split(codes, GRID[0], axis=0)
        cells = [cell.ravel() for row in rows for cell in np.array_split(row, GRID[1], axis=1)]
        found.append(np.concatenate([np.bincount(cell, minlength=PATTERNS) / cell.size for cell in cells]))
    return np.stack(found).astype(np.float32)


def root_sift(faces: Faces) -> Float32[np.ndarray, "n points 128"]:
    """SIFT descriptors (Lowe 2004) upright on a dense grid, as RootSIFT (Arandjelovic and Zisserman 2012)."""
    try:
        import cv2
    except ImportError as error:
        raise ValueError(f"dense SIFT needs OpenCV: {HELP} ({error})") from None
    side = faces.shape[1]
    step = side / KEYPOINTS
    centres = [(i + 0.5) * step - 0.5 for i in range(KEYPOINTS)]
    grid = [cv2.KeyPoint(x, y, SPREAD * step, 0.0) for y in centres for x in centres]
    detector = cv2.SIFT.create()
    found = np.stack([detector.compute(face, grid)[1] for face in faces])
    return np.sqrt(found / np.maximum(found.sum(-1, keepdims=True), 1e-9)).astype(np.float32)


FEATURES: dict[str, Callable[[Faces], np.ndarray]] = {"hog": hog, "lbp": lbp, "sift": root_sift}
"""name -> faces to vectors (n, d), or to local descriptors (n, points, d) whose principal components are taken."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Baseline:
    """A fitted method: features, principal components where it has local descriptors, and the SVM."""

    feature: str
    """A key of `FEATURES`."""
    weights: Float32[np.ndarray, "d classes"]
    """The last row is the bias."""
    mean: Float32[np.ndarray, " k"] | None = None
    components: Float32[np.ndarray, "k c"] | None = None
    cost: float = 1.0
    """C."""

    def answers(self, faces: Faces) -> Int[np.ndarray, " n"]:
        """The class named for every face."""
        return (_with_bias(self._vectors(faces)) @ self.weights).argmax(1)

    def _vectors(self, faces: Faces) -> Float32[np.ndarray, "n d"]:
        basis = None if self.mean is None or self.components is None else (self.mean, self.components)
        return vectors(self.feature, faces, basis)

    def save(self, path: Path) -> None:
        """Writes the arrays as one .npz file."""
        basis = {} if self.mean is None else {"mean": self.mean, "components": self.components}
        with atomic_path(path) as temporary, temporary.open("wb") as file:
            np.savez(file, feature=self.feature, cost=self.cost, weights=self.weights, **basis)

    @classmethod
    def load(cls, path: Path) -> "Baseline":
        with np.load(path) as file:
            basis = {name: file[name] for name in ("mean", "components") if name in file}
            return cls(feature=str(file["feature"]), cost=float(file["cost"]), weights=file["weights"], **basis)


Basis = tuple[np.ndarray, np.ndarray]
"""Mean (k,) and components (k, c) of local descriptors."""


def vectors(feature: str, faces: Faces, basis: Basis | None = None) -> Float32[np.ndarray, "n d"]:
    """Features of `faces`, each vector of length 1, so that one list of C suits every method."""
    parts = []
    for start in range(0, len(faces), CHUNK):
        found = FEATURES[feature](faces[start : start + CHUNK])
        if basis is not None:
            found = ((found - basis[0]) @ basis[1]).reshape(len(found), -1)
        parts.append(found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-9))
    return np.concatenate(parts)


def basis_of(feature: str, faces: Faces) -> Basis | None:
    """Principal components of the local descriptors of `PCA_FACES` of the faces; None for features that are vectors."""
    picked = np.unique(np.linspace(0, len(faces) - 1, min(PCA_FACES, len(faces))).astype(int))
    if FEATURES[feature](faces[:1]).ndim == 2:
        return None
    found = FEATURES[feature](faces[picked])
    local = found.reshape(-1, found.shape[-1])
    mean = local.mean(0)
    _, directions = np.linalg.eigh(np.cov(local - mean, rowvar=False))
    return mean, np.ascontiguousarray(directions[:, ::-1][:, :COMPONENTS]).astype(np.float32)


def fit(
    feature: str,
    faces: Faces,
    labels: Int[np.ndarray, " n"],
    *,
    validation: tuple[Faces, np.ndarray],
    classes: int,
    costs: Sequence[float] = COSTS,
) -> tuple[Baseline, dict[float, float]]:
    """The method with the C of the best validation accuracy (of equal ones the smallest), and C -> that accuracy.

    Raises:
        ValueError: an unknown feature, or its library is not installed.
    """
    if feature not in FEATURES:
        raise ValueError(f'no feature "{feature}": there is {", ".join(FEATURES)}')
    basis = basis_of(feature, faces)
    known, held = (_with_bias(vectors(feature, those, basis)) for those in (faces, validation[0]))
    fitted: dict[float, np.ndarray] = {}
    start = None
    for cost in sorted(costs):
        start = fitted[cost] = svm(known, labels, classes=classes, cost=cost, start=start)
    found = {cost: float(((held @ weights).argmax(1) == validation[1]).mean()) for cost, weights in fitted.items()}
    best = max(found, key=lambda cost: (found[cost], -cost))
    mean, components = basis or (None, None)
    return Baseline(feature=feature, weights=fitted[best], cost=best, mean=mean, components=components), found


def svm(
    features: Float32[np.ndarray, "n d"],
    labels: Int[np.ndarray, " n"],
    *,
    classes: int,
    cost: float,
    start: Float32[np.ndarray, "d classes"] | None = None,
) -> Float32[np.ndarray, "d classes"]:
    """One-against-all linear SVMs: the least |w|^2 / 2 + C sum max(0, 1 - t w.x)^2 for each class, by L-BFGS.

    A bias is a column of ones in `features`, punished like the others (LinearSVC's convention).
    """
    x = torch.from_numpy(features)
    signs = 2 * functional.one_hot(torch.from_numpy(np.asarray(labels, np.int64)), classes).to(x.dtype) - 1
    begin = np.zeros((x.shape[1], classes), features.dtype) if start is None else start
    weights = torch.from_numpy(begin.copy()).requires_grad_()
    search: dict[str, Any] = {"line_search_fn": "strong_wolfe", "history_size": 20, "max_iter": STEPS}
    optimiser = torch.optim.LBFGS([weights], tolerance_grad=GRADIENT, tolerance_change=1e-12, **search)

    def objective() -> torch.Tensor:
        optimiser.zero_grad()
        short = (1 - signs * (x @ weights)).clamp_min(0)
        value = (0.5 * weights.square().sum() / cost + short.square().sum()) / len(x)
        value.backward()
        return value

    optimiser.step(objective)  # type: ignore[arg-type]
    return weights.detach().numpy()


def _with_bias(found: Float32[np.ndarray, "n d"]) -> Float32[np.ndarray, "n e"]:
    return np.column_stack((found, np.ones(len(found), found.dtype)))


def _skimage() -> Any:
    try:
        from skimage import feature
    except ImportError as error:
        raise ValueError(f"HOG and LBP need scikit-image: {HELP} ({error})") from None
    return feature
