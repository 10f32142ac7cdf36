"""A checkpoint is a folder: config.json (what a user must know) + model.safetensors (the weights). Never a pickle.

Loading is strict: the network is rebuilt from its architecture and widths, and every tensor must be there with its
shape. `python -c "import fermodels.checkpoint as c; print(c.describe('FOLDER'))"` says what a checkpoint claims.
"""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as tensors_from_bytes
from safetensors.torch import save as bytes_from_tensors
from torch import nn

import fermodels
from compress.files import plain, write_atomic
from fermodels.claims import CLAIMS, CONFIG, FORMAT, describe

WEIGHTS = "model.safetensors"


def save(net: nn.Module, folder: Path | str, about: dict[str, Any]) -> None:
    """Writes `net` and what is known of it to `folder`; config.json comes last, so a half-written one has none.

    Args:
        about: the `CLAIMS`. What `load` gave may be handed on: the architecture written is that of `net` itself.
    Raises:
        ValueError: `about` lacks one of `CLAIMS` (None is allowed where a value is unknown, silence is not).
    """
    if missing := [claim for claim in CLAIMS if claim not in about]:
        raise ValueError(f"a checkpoint says {', '.join(CLAIMS)}; missing here: {', '.join(missing)} (None if unknown)")
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in net.state_dict().items()}
    own = {"format": FORMAT, "architecture": fermodels.name_of(net), "config": asdict(net.config)}  # type: ignore[call-overload]
    config = own | {name: value for name, value in plain(about).items() if name not in own}
    write_atomic(Path(folder) / WEIGHTS, bytes_from_tensors(tensors))
    write_atomic(Path(folder) / CONFIG, json.dumps(config, indent=1) + "\n")


def load(folder: Path | str) -> tuple[nn.Module, dict[str, Any]]:
    """The network (eval mode, CPU) and its config.json.

    Raises:
        ValueError: no checkpoint, a truncated or pickled weights file, or weights of another shape; says which.
    """
    config = describe(folder)
    net = fermodels.build(config["architecture"], **config["config"])
    path = Path(folder) / WEIGHTS
    state = _tensors(path)
    try:
        net.load_state_dict(state, strict=True)
    except RuntimeError as error:
        raise ValueError(
            f"{path} does not fit the architecture in {CONFIG}: {error}; keep the two files together"
        ) from error
    return net.eval(), config


def _tensors(path: Path) -> dict[str, torch.Tensor]:
    if not path.is_file():
        raise ValueError(f"{path} is missing; a checkpoint is {CONFIG} and {WEIGHTS} together")
    data = path.read_bytes()
    if data[:2] in (b"PK", b"\x80\x02", b"\x80\x04"):
        raise ValueError(f"{path} is a pickle, which can run code when loaded; it is refused. Save with fermodels.save")
    try:
        return tensors_from_bytes(data)
    except SafetensorError as error:
        raise ValueError(f"{path} is truncated or damaged ({error}); copy or save it again") from error
