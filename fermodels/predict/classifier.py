"""A model as `predict` uses it: aligned faces in, probabilities and the attention map out, classes in its own order.

>>> classify = open_model("reports/runs/FOLDER/chosen")      # fermodels.predict.models: every form of a network
>>> classify(faces).probabilities                            # (n, side, side, 3) uint8 RGB -> (n, classes)
"""

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

import numpy as np
from jaxtyping import Float32, UInt8

FACES_AT_ONCE = 32
"""Faces that go through a network together: within the profile that `compress.export` builds engines for."""


class Answers(NamedTuple):
    """What a model says of n faces."""

    probabilities: Float32[np.ndarray, "n classes"]
    attention: Float32[np.ndarray, "n h w"] | None
    """In [0, 1], over the centre crop that the network sees; None of a network without attention."""


class Classifier(Protocol):
    """A model that is ready: safe to share between threads, and it can be pickled."""

    classes: tuple[str, ...]
    side: int
    """Side in pixels of the aligned faces it takes."""
    crop: float
    """Share of that side, around the centre, that the network sees."""
    about: dict[str, Any]
    """What it claims of itself: data, split, n, accuracy."""

    def __call__(self, faces: UInt8[np.ndarray, "n side side 3"]) -> Answers:
        """RGB faces, as `fermodels.faces.align` gives them."""
        ...


def classes_of(about: Mapping[str, Any], where: object) -> tuple[str, ...]:
    """The class names in what a model claims.

    Raises:
        ValueError: there are none, they are no names, or two are the same.
    """
    names = about.get("classes")
    if not names or not isinstance(names, (list, tuple)) or not all(isinstance(name, str) and name for name in names):
        raise ValueError(f"{where} does not name its classes: save it again with their names, in the network's order")
    if len(set(names)) < len(names):
        raise ValueError(f"{where} names two classes alike ({', '.join(names)}): save it again with different names")
    return tuple(names)


def answers_of(named: Mapping[str, np.ndarray], classes: int) -> Answers:
    """A network's outputs by name as answers.

    Raises:
        ValueError: there are more or fewer probabilities than `classes`, or one of them is none.
    """
    if "probabilities" not in named or named["probabilities"].ndim != 2:
        raise ValueError(f"the model tells {', '.join(named)}, no probability for each class: export it again")
    probabilities, attention = named["probabilities"], named.get("attention")
    if probabilities.shape[1] != classes:
        raise ValueError(f"the model tells {probabilities.shape[1]} expressions and names {classes}: save it again")
    if not ((probabilities > -0.01) & (probabilities < 1.01)).all():  # false for NaN, too
        worst = probabilities[~((probabilities > -0.01) & (probabilities < 1.01))][0]
        raise ValueError(f"the model answers with {worst} where a probability was due: its weights are damaged")
    return Answers(probabilities, None if attention is None else attention[:, 0])
