"""A slim network on disk: a folder with its weights (safetensors) and what is known of it (JSON). Never a pickle.

The file names no code: whoever loads gives the factory that builds the whole network, and the sizes come from the
weights. The JSON file carries digests of the weights and of itself (`compress.about`): a damaged or mixed-up folder is
refused.
"""

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from compress.about import CONFIG, about_of, about_text
from compress.calling import unwrapped
from compress.files import leftovers, temporary_of, to_disk, write_atomic
from compress.sound import must_be_finite, tensors_of

WEIGHTS = "model.safetensors"


def save(
    net: nn.Module,
    folder: Path | str,
    about: Mapping[str, Any] | None = None,
    *,
    overwrite: bool = False,
    beside: Mapping[str, str] | None = None,
) -> None:
    """Writes the weights of `net` and what is known of it to `folder`: all files or none.

    >>> with tempfile.TemporaryDirectory() as parent:
    ...     save(nn.Conv2d(3, 5, 3), f"{parent}/small", about={"accuracy": 0.9})
    ...     load(f"{parent}/small", lambda: nn.Conv2d(3, 8, 3)), about_of(f"{parent}/small")["accuracy"]
    (Conv2d(3, 5, kernel_size=(3, 3), stride=(1, 1)), 0.9)

    Args:
        about: whatever JSON can hold, and NumPy's numbers.
        overwrite: replace the checkpoint that lies there; other files in the folder stay.
        beside: more files of text that belong to it, by name, like {"plan.json": plan.to_json()}.

    Raises:
        ValueError: `folder` exists, `about` cannot be written, or a weight is NaN or infinite.
    """
    write(folder, net, about or {}, overwrite=overwrite, beside=beside)


def load(folder: Path | str, factory: Callable[[], nn.Module]) -> nn.Module:
    """The network that `save` wrote, in evaluation mode on the CPU.

    Args:
        factory: a function that builds the network as it was before it was slimmed; its weights are thrown away.

    Raises:
        ValueError: no checkpoint, a damaged one, or weights that do not fit the network of `factory`.
    """
    tensors = weights_of(folder, about_of(folder))
    if isinstance(factory, nn.Module) or not callable(factory):
        raise ValueError(f"factory is a {type(factory).__name__}: give what builds the network, like lambda: my_net()")
    net = unwrapped(factory())
    if not isinstance(net, nn.Module):
        raise ValueError(f"factory gives a {type(net).__name__}: it must build the network as it was before the cut")
    resize(net, tensors)
    fill(net, tensors, Path(folder) / WEIGHTS)
    return net.eval()


def write(
    folder: Path | str,
    net: nn.Module,
    about: Mapping[str, Any],
    *,
    overwrite: bool,
    beside: Mapping[str, str] | None = None,
) -> None:
    """Writes a checkpoint as a whole; see `save`."""
    from safetensors.torch import save as bytes_from_tensors

    folder = Path(os.path.realpath(folder))  # what a link leads to is replaced, not the link
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder} is a file: a checkpoint is a folder, give another name")
    if not overwrite and folder.exists() and any(folder.iterdir()):
        raise ValueError(f"{folder} exists: give another folder, or overwrite=True to replace its checkpoint")
    if not isinstance(about, Mapping):
        raise ValueError(f"about is a {type(about).__name__}: give a dict of what is known of the network")
    tensors = {name: value.detach().cpu().contiguous().clone() for name, value in tensors_of(unwrapped(net)).items()}
    weights = bytes_from_tensors(tensors)
    text = about_text(dict(about) | {"weights_sha256": hashlib.sha256(weights).hexdigest()})
    with _swapped(folder) as new:
        for name, content in {WEIGHTS: weights, CONFIG: text, **(beside or {})}.items():
            write_atomic(new / name, content)


def weights_of(folder: Path | str, about: Mapping[str, Any]) -> dict[str, Tensor]:
    """The tensors of a checkpoint, held to the digest in `about` (checkpoints of before there were digests have none).

    Raises:
        ValueError: the file is missing, damaged, or of another checkpoint; a weight is NaN or infinite.
    """
    path = Path(folder) / WEIGHTS
    if not path.is_file():
        raise ValueError(f"{path} is missing; a checkpoint is {CONFIG} and {WEIGHTS} together")
    data = path.read_bytes()
    tensors = _tensors(path, data)
    if about.get("weights_sha256", digest := hashlib.sha256(data).hexdigest()) != digest:
        raise ValueError(f"{path} is damaged, or not the file that {CONFIG} belongs to: its digest is another")
    must_be_finite(tensors, "take an earlier checkpoint", f"{path}: ")
    return tensors


def resize(net: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Gives convolutions, linear layers, batch norms and PReLUs of `net` the sizes of `tensors`, in place."""
    for name, module in net.named_modules():
        for own, old in [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]:
            new = tensors.get(f"{name}.{own}" if name else own)
            if new is not None and new.shape != old.shape and new.ndim == old.ndim:
                blank = torch.empty_like(old, memory_format=torch.contiguous_format).new_empty(new.shape)
                setattr(module, own, nn.Parameter(blank, old.requires_grad) if isinstance(old, nn.Parameter) else blank)
        _tell_sizes(module)


def fill(net: nn.Module, tensors: Mapping[str, Tensor], path: Path) -> None:
    """Loads `tensors` into `net` strictly.

    Raises:
        ValueError: a tensor is missing, unknown, or of another shape or type; it names `path`.
    """
    try:
        net.load_state_dict(dict(tensors), strict=True)
    except RuntimeError as error:
        raise ValueError(f"{path} does not fit the architecture: {error}; keep both files together") from error


def _tell_sizes(module: Any) -> None:
    """The numbers by which `module` says how large it is, from its tensors."""
    from torch.nn.modules.batchnorm import _BatchNorm
    from torch.nn.modules.conv import _ConvNd

    if isinstance(module, _ConvNd) and not module.transposed:
        outputs, inputs = module.weight.shape[:2]
        if module.groups > 1 and inputs == 1:
            module.groups = outputs * module.groups // module.out_channels
        module.in_channels, module.out_channels = inputs * module.groups, outputs
    elif isinstance(module, nn.Linear):
        module.out_features, module.in_features = module.weight.shape
    elif isinstance(module, _BatchNorm) and module.weight is not None:
        module.num_features = len(module.weight)
    elif isinstance(module, nn.PReLU):
        module.num_parameters = len(module.weight)


def _tensors(path: Path, data: bytes) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load as tensors_from_bytes

    try:
        return tensors_from_bytes(data)
    except (SafetensorError, ValueError, KeyError) as error:
        if data[:1] == b"\x80" or data[:2] == b"PK":
            raise ValueError(f"{path} is a pickle, which can run code when loaded: refused, save again") from error
        raise ValueError(f"{path} is truncated or damaged ({error}); save the checkpoint again") from error


@contextmanager
def _swapped(folder: Path) -> Iterator[Path]:
    """A new folder beside `folder`, which takes its place when the block ends well, and is removed when it does not.

    What else lay in `folder` lies there again. What a killed process has left is put back first.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    for leftover in leftovers(folder):
        _put_back(leftover, folder)
    new = temporary_of(folder)
    (new / "made").mkdir(parents=True)
    try:
        yield new / "made"
        if folder.exists():
            os.replace(folder, new / "old")
        os.replace(new / "made", folder)
    finally:
        _put_back(new, folder)
        to_disk(folder.parent)


def _put_back(new: Path, folder: Path) -> None:
    """Ends a swap wherever it stopped: `folder` is there, with every file of the old one that the new one has not."""
    old = new / "old"
    if old.exists() and not folder.exists():
        os.replace(old, folder)
    for other in old.iterdir() if old.exists() else ():
        if not (folder / other.name).exists():
            os.replace(other, folder / other.name)
    shutil.rmtree(new)
