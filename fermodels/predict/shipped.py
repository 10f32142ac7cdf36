"""The networks that come with the package, and how far to trust a network: one line, from what it claims of itself."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[1] / "shipped"
SHIPPED: dict[str, Path] = {name: FOLDER / name for name in ("small", "demo")}
"""name -> folder of a checkpoint, with an ONNX file beside it where PyTorch shall not be needed. A new one is a folder
and one line here; its config.json may say under "trust" how far to trust it."""
DEFAULT = "small"
"""Which of them answers when none is named."""


def introduced(model: Path | str, about: Mapping[str, Any]) -> str:
    """Which network answers and how far to trust it, in one line.

    Args:
        model: as `open_model` was given it; of one that ships, its config.json speaks.
        about: what an opened model claims.
    """
    if folder := SHIPPED.get(str(model)):
        about = json.loads((folder / "config.json").read_text())
    return f"{model} answers: {trust(about)}"


def trust(about: Mapping[str, Any]) -> str:
    """How far to trust a network, from its config.json or metadata: what that says itself, else its accuracy."""
    if said := about.get("trust"):
        return str(said)
    try:
        low, high = about["accuracy"]["interval"]
        return (
            f"{about['accuracy']['overall']:.1%} right (95 %: {low:.1%} to {high:.1%}) on the {about['n']:,} faces of "
            f"{about['data']} ({about['split']}); photographs of another origin are harder"
        )
    except (KeyError, TypeError, ValueError):
        return "it does not say how often it is right"
