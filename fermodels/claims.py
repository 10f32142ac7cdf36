"""What a checkpoint claims of itself: its config.json, read without PyTorch."""

from pathlib import Path
from typing import Annotated, Any, Required, TypedDict

import msgspec

from compress.about import CONFIG, about_of

CLAIMS = ("classes", "preprocessing", "data", "split", "n", "accuracy")
"""What `about` should hold: class order, ViewConfig, data set, the split measured, its size, accuracy with interval."""
LARGEST_SIDE = 4096
Side = Annotated[int, msgspec.Meta(ge=1, le=LARGEST_SIDE)]
"""Of a square picture, in pixels."""


class Claims(TypedDict, total=False):
    """What must be right in config.json for the network to be built and fed."""

    architecture: Required[str]
    """Name in `fermodels.MODELS`."""
    config: Required[dict[str, Any]]
    """Its settings."""
    preprocessing: dict[str, Any] | None
    """Fields of `fermodels.training.views.ViewConfig`."""
    stored: Side | None
    """Of the aligned faces it was trained on."""
    regions: str | None


def describe(folder: Path | str) -> dict[str, Any]:
    """config.json of a checkpoint.

    Raises:
        ValueError: the folder holds no checkpoint, or its config.json is not what `fermodels.save` writes.
    """
    config = about_of(folder)
    try:
        msgspec.convert(config, Claims)
    except msgspec.ValidationError as error:
        raise ValueError(f"{Path(folder) / CONFIG} is damaged ({error}); save the checkpoint again") from None
    return config
