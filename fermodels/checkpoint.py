"""A checkpoint is a folder: config.json (what a user must know) + model.safetensors (the weights). Never a pickle.

Loading is strict: the network is rebuilt from its architecture and widths, and every tensor must be there with its
shape. `python -c "import fermodels.checkpoint as c; print(c.describe('FOLDER'))"` says what a checkpoint claims.
"""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from torch import Tensor, nn

import fermodels
from compress.checkpoint import WEIGHTS, fill, weights_of, write
from fermodels.claims import CLAIMS, CONFIG, LARGEST_SIDE, describe

__all__ = ["CLAIMS", "CONFIG", "WEIGHTS", "describe", "load", "save"]


def save(net: Any, folder: Path | str, about: dict[str, Any], *, beside: Mapping[str, str] | None = None) -> None:
    """Writes `net` and what is known of it to `folder`: all files or none, in place of a checkpoint that lies there.

    Args:
        net: of `fermodels.MODELS`; a slim one is written with the widths that its trunks have now.
        about: the `CLAIMS`. What `load` gave may be handed on: the architecture written is that of `net` itself.
        beside: more files of text that belong to it, by name.

    Raises:
        ValueError: `about` lacks one of `CLAIMS` (None is allowed where a value is unknown, silence is not) or holds
            what JSON cannot, or a weight is NaN or infinite.
    """
    if missing := [claim for claim in CLAIMS if claim not in about]:
        raise ValueError(f"a checkpoint says {', '.join(CLAIMS)}; missing here: {', '.join(missing)} (None if unknown)")
    widths = {name: trunk.widths for name, trunk in net.trunks.items()}
    own = {"architecture": fermodels.name_of(net), "config": asdict(net.config) | {"widths": widths}}
    claims = own | {name: value for name, value in about.items() if name not in own}
    write(folder, net, claims, overwrite=True, beside=beside)


def load(folder: Path | str) -> tuple[nn.Module, dict[str, Any]]:
    """The network (eval mode, CPU) and its config.json.

    Raises:
        ValueError: no checkpoint, damaged, mixed-up or pickled weights, or weights of another shape; says which.
    """
    config = describe(folder)
    tensors = weights_of(folder, config)
    net = _built(config, tensors, Path(folder) / CONFIG)
    fill(net, tensors, Path(folder) / WEIGHTS)
    return net.eval(), config


def _built(config: Mapping[str, Any], tensors: Mapping[str, Tensor], path: Path) -> nn.Module:
    """The network of a config.json with fresh weights, unless that would be far larger than `tensors`."""
    largest = max([LARGEST_SIDE, *(length for value in tensors.values() for length in value.shape)])
    try:
        if any(value > largest for value in _numbers(config["config"])):  # before so much memory is asked for
            raise ValueError(f"numbers above {largest}, which its weights have not")
        return fermodels.build(config["architecture"], **config["config"])
    except (RuntimeError, ValueError) as error:  # PyTorch's, of negative sizes
        reason = str(error).partition("\n")[0]
        raise ValueError(f"{path} describes no network ({reason}); save the checkpoint again") from None


def _numbers(value: Any) -> list[float]:
    """All numbers in nested settings."""
    if isinstance(value, (dict, list)):
        inner = value.values() if isinstance(value, dict) else value
        return [number for one in inner for number in _numbers(one)]
    return [value] if isinstance(value, (int, float)) else []
