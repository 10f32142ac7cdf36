"""What a facial expression network is, and what it eats.

>>> net = fermodels.build("mrf", widths={"face": scaled(0.25), "local": scaled(0.25)}, size=56, local_size=32, pools=3)

The names below are loaded when they are first asked for: an exported network is predicted with where PyTorch is not.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from compress.starting import starting

starting(__name__)

EXPRESSIONS = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")
"""The class order of paper 1 and of FER2013; data sets with another order are mapped to it by name."""

if TYPE_CHECKING:
    from fermodels.checkpoint import load, save
    from fermodels.nets.registry import MODELS, build, name_of, rebuild
    from fermodels.nets.vgg import Output, probabilities, scaled

_HOMES = {
    "fermodels.checkpoint": ("load", "save"),
    "fermodels.nets.registry": ("MODELS", "build", "name_of", "rebuild"),
    "fermodels.nets.vgg": ("Output", "probabilities", "scaled"),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    """One of `__all__`, imported now."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


__all__ = ["EXPRESSIONS", "MODELS", "Output", "build", "load", "name_of", "probabilities", "rebuild", "save", "scaled"]
