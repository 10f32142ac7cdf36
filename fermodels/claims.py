"""What a checkpoint claims of itself: its config.json, read without PyTorch."""

import json
from pathlib import Path
from typing import Any

FORMAT = 1
CONFIG = "config.json"
CLAIMS = ("classes", "preprocessing", "data", "split", "n", "accuracy")
"""What `about` should hold: class order, ViewConfig, data set, the split measured, its size, accuracy with interval."""


def describe(folder: Path | str) -> dict[str, Any]:
    """config.json of a checkpoint.

    Raises:
        ValueError: the folder holds no checkpoint, or its config.json cannot be read.
    """
    path = Path(folder) / CONFIG
    try:
        if not path.is_file():
            raise ValueError(
                f"{folder} is no checkpoint: it has no {CONFIG}; give the folder that fermodels.save wrote"
            )
        config = json.loads(path.read_text(encoding="utf-8"))
        if config["format"] != FORMAT:
            raise ValueError(f"{path} has format {config['format']}, this version reads {FORMAT}")
        if not (isinstance(config["architecture"], str) and isinstance(config["config"], dict)):
            raise TypeError("architecture is no name, or config no table")
    except OSError as error:
        raise ValueError(f"{folder} cannot be read: {error.strerror or error}") from error
    except (json.JSONDecodeError, KeyError, TypeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"{path} is damaged ({error!r}); save the checkpoint again") from error
    return config
