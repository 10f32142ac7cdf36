"""config.json of a checkpoint: what is known of a network, and a digest of all that. Read without PyTorch."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from compress.files import digest, plain

FORMAT, OLD_FORMAT = 2, 1
"""Checkpoints of the old format carry no digest of what they say; they are read, and written as new ones."""
CONFIG = "config.json"


def about_text(about: Mapping[str, Any]) -> str:
    """config.json as text: `about` with its digest.

    Raises:
        ValueError: it holds what JSON cannot, or the name of what is written beside it.
    """
    if "digest" in about:
        raise ValueError('about holds "digest", which config.json has for itself: take another name')
    content = {"format": FORMAT} | {name: value for name, value in about.items() if name != "format"}
    try:
        return json.dumps(plain(content) | {"digest": digest(content)}, indent=1, allow_nan=False) + "\n"
    except (TypeError, ValueError) as error:
        raise ValueError(f"about cannot be written as JSON: {error}") from error


def about_of(folder: Path | str) -> dict[str, Any]:
    """What config.json of the checkpoint in `folder` says.

    Raises:
        ValueError: the folder holds no checkpoint, or its config.json is not the one that was written.
    """
    path = Path(folder) / CONFIG
    try:
        if not path.is_file():
            raise ValueError(f"{folder} is no checkpoint: it has no {CONFIG}; give the folder that was saved")
        config = json.loads(path.read_text(encoding="utf-8"))
        found, said = config["format"], config.pop("digest", None)
    except OSError as error:
        raise ValueError(f"{folder} cannot be read: {error.strerror or error}") from error
    except (json.JSONDecodeError, KeyError, TypeError, AttributeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"{path} is damaged ({error!r}); save the checkpoint again") from error
    if type(found) is not int or found not in (FORMAT, OLD_FORMAT):
        raise ValueError(f"{path} has format {found}, this version reads {FORMAT}; save the checkpoint again")
    if said != _digest(config) and not (found == OLD_FORMAT and said is None):
        raise ValueError(f"{path} was edited or damaged: its digest is another; save the checkpoint again")
    return config


def _digest(config: dict[str, Any]) -> str:
    try:
        return digest(config)
    except (ValueError, RecursionError):  # it says NaN, which was never written
        return ""
