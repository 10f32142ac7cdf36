"""Weights that a network starts from: a user's ImageNet file, or the encoder that `fermodels.pretrain` wrote.

A file of torchvision's is read without running any code of it; either way a report says what was taken.

>>> report = load_torchvision(net.trunks["face"], "resnet18-f37072fd.pth")
>>> report = load_encoder(net, "out/pretrained")  # a ResNet-18, an OCL or a VGGNet of the pretraining's widths
>>> print(report.sentence)
"""

import pickle
import re
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from fermodels import checkpoint
from fermodels.nets.densenet import DenseNetTrunk
from fermodels.nets.resnet import ResNetTrunk

ENOUGH = 0.9
"""Share of the trunk's tensors that a file of torchvision's must bring; an encoder brings all."""
COUNTER = "num_batches_tracked"
"""Of batch norms: no weight, and absent in older files."""
_OLDER = re.compile(r"\.(norm|conv)\.(\d)\.")
"""How torchvision's published DenseNet files write norm1, conv1, ...; all their names begin with "features."."""


@dataclass(frozen=True, kw_only=True)
class LoadReport:
    """What became of the tensors of the trunk and of those in the file, by name."""

    matched: tuple[str, ...]
    missing: tuple[str, ...]
    """Of the trunk, not in the file or there with another shape: they keep their values."""
    unused: tuple[str, ...]
    """In the file, not in the trunk (like its classifier)."""

    @property
    def share(self) -> float:
        """Share of the trunk's tensors that were loaded, 0 to 1."""
        return len(self.matched) / (len(self.matched) + len(self.missing))

    @property
    def sentence(self) -> str:
        """The report in a line; at most four names of each kind."""
        return (
            f"{len(self.matched)} of {len(self.matched) + len(self.missing)} tensors loaded ({self.share:.1%}); "
            f"missing: {_named(self.missing)}; unused: {_named(self.unused)}"
        )


def load_torchvision(trunk: ResNetTrunk | DenseNetTrunk, path: Path | str) -> LoadReport:
    """Copies into `trunk`, in place, every tensor of the file at `path` whose name and shape fit.

    Args:
        path: what `torch.save(model.state_dict(), path)` wrote for torchvision's network of the same layout.

    Raises:
        ValueError: no such file, no file of tensors, or one that brings less than 90 % of the trunk's tensors (then
            the trunk is left as it was).
    """
    advice = "give torchvision's file of the same depth, and load it before slimming"
    return _load(trunk, _state(Path(path)), ENOUGH, f"{path} does not fit this trunk", advice)


def load_encoder(net: nn.Module, folder: Path | str) -> LoadReport:
    """Copies into the "face" trunk of `net`, in place, the encoder of a contrastive checkpoint; the head stays behind.

    Args:
        net: `resnet18`, `resnet50`, `ocl` or `vggnet`, with the widths of the pretraining.
        folder: what `python -m fermodels.pretrain` wrote.

    Raises:
        ValueError: no checkpoint, one of a classifier, a network without such a trunk, or other widths (then `net` is
            left as it was).
    """
    pretrained, about = checkpoint.load(folder)
    if about["architecture"] != "contrastive":
        raise ValueError(
            f"{folder} holds {about['architecture']}, no encoder: give what python -m fermodels.pretrain wrote"
        )
    if "face" not in getattr(net, "trunks", {}):
        raise ValueError(f"a {type(net).__name__} has no trunk for the whole face, so no encoder fits it")
    widths = pretrained.config.widths["face"]  # type: ignore[union-attr]
    trunk, state = net.trunks["face"], pretrained.trunks["face"].state_dict()  # type: ignore[index]
    said = f"the encoder in {folder} does not fit this network"
    return _load(trunk, state, 1.0, said, f"build the network with widths={list(widths)}")  # type: ignore[arg-type]


def _load(trunk: nn.Module, state: dict[str, Tensor], enough: float, said: str, advice: str) -> LoadReport:
    """Copies what fits; where that is less than the share `enough`, a ValueError of what is wrong and the mend."""
    own = trunk.state_dict()
    wanted = [name for name in own if not name.endswith(COUNTER)]
    matched = tuple(name for name in wanted if name in state and state[name].shape == own[name].shape)
    report = LoadReport(
        matched=matched,
        missing=tuple(name for name in wanted if name not in matched),
        unused=tuple(name for name in state if name not in own),
    )
    if report.share < enough:
        raise ValueError(f"{said}: {report.sentence}; {advice}")
    trunk.load_state_dict({name: state[name] for name in matched}, strict=False)
    return report


def _state(path: Path) -> dict[str, Tensor]:
    """The tensors in a file, by name."""
    if not path.is_file():
        raise ValueError(f"{path} is no file; give a state_dict that torch.save wrote")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        raise ValueError(f"{path} cannot be read as weights alone ({error}); save model.state_dict() again") from error
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise ValueError(f"{path} holds no plain state_dict (names and tensors); save model.state_dict() again")
    return {_OLDER.sub(r".\1\2.", name.removeprefix("features.")): value for name, value in state.items()}


def _named(names: tuple[str, ...]) -> str:
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "") or "none"
