"""INT8 as explicit quantisation: quantise / dequantise pairs in the ONNX file, which every runtime reads the same way.

Symmetric signed 8 bit for weights (per channel) and activations, biases in float: the form that TensorRT takes too
(ONNX Runtime's default of unsigned activations with integer biases does not parse there). Normalisation, region cuts
and the first convolution of every trunk (1 % of the MACs, but it sees the pixels) stay in float. Which calibration is
best depends on the network, so all are tried and validation decides.
"""

import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from jaxtyping import Float

from compress.exporting.signed_onnx import described, write_onnx
from compress.files import write_atomic
from compress.libraries import library

Feed = Mapping[str, Float[np.ndarray, "b ..."]]
QUANTISED = ("Conv", "Gemm", "MaxPool")
"""Operators between which activations stay in 8 bit."""
ENOUGH = 500
"""Different inputs below which the ranges of activations are not to be trusted."""
CHUNK = 128
"""Most inputs that run together while ranges are measured."""
METHODS: dict[str, dict[str, Any]] = {
    "minmax": {"calibrate_method": "MinMax"},
    "percentile": {"calibrate_method": "Percentile", "CalibPercentile": 99.99},
    "entropy": {"calibrate_method": "Entropy"},
}


@dataclass(frozen=True, kw_only=True)
class Quantised:
    """The chosen 8-bit file and what every calibration scored on validation."""

    path: Path
    method: str
    scores: dict[str, float]


def int8_from_onnx(source: Path, path: Path, calibration: Sequence[Feed], score: Callable[[Path], float]) -> Quantised:
    """Quantises the float32 file `source` by each of `METHODS` and keeps the best one at `path`.

    Args:
        calibration: batches of training inputs as the graph eats them. Constant ones and copies are left out; at least
            `ENOUGH` must stay.
        score: how good an ONNX file is, like its accuracy on validation; ties go to the earlier method.

    Raises:
        ValueError: too few inputs.
    """
    even = evened(calibration)
    scores: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        made = {name: Path(folder) / f"{name}.onnx" for name in METHODS}
        for name, file in made.items():
            quantise(source, file, even, method=name)
            scores[name] = score(file)
        best = max(scores, key=lambda name: scores[name])
        write_atomic(path, made[best].read_bytes())
    return Quantised(path=path, method=best, scores=scores)


def evened(calibration: Sequence[Feed]) -> list[Feed]:
    """The different inputs of `calibration` in batches of one size: ONNX Runtime cannot add ranges of unequal ones up.

    Raises:
        ValueError: fewer than `ENOUGH` inputs that are neither constant nor copies of others.
    """
    together = {name: np.concatenate([feed[name] for feed in calibration]) for name in calibration[0]}
    seen: dict[bytes, int] = {}
    given = len(next(iter(together.values())))
    for i in range(given):
        if all(values[i].min() < values[i].max() for values in together.values()):
            seen.setdefault(b"".join(values[i].tobytes() for values in together.values()), i)
    if len(seen) < ENOUGH:
        raise ValueError(
            f"{len(seen)} of {given} inputs to calibrate on are neither constant nor copies: ranges of activations "
            f"need at least {ENOUGH}"
        )
    kept = np.array(list(seen.values()))
    parts = -(-len(kept) // CHUNK)
    size = len(kept) // parts
    return [
        {name: values[kept[start : start + size]] for name, values in together.items()}
        for start in range(0, parts * size, size)
    ]


def quantise(source: Path, path: Path, calibration: Sequence[Feed], *, method: str) -> None:
    """Writes `source` with quantise / dequantise pairs, ranges by `method` of `METHODS`."""
    onnx, quantization = library("onnx"), library("onnxruntime.quantization")

    settings = dict(METHODS[method])
    calibrate = quantization.CalibrationMethod[settings.pop("calibrate_method")]
    extra = {"ActivationSymmetric": True, "WeightSymmetric": True, "QuantizeBias": False} | settings
    with redirect_stdout(sys.stderr):  # it tells its progress there, where commands give their answer
        quantization.quantize_static(
            source,
            path,
            cast(Any, _Reader(calibration)),
            quant_format=quantization.QuantFormat.QDQ,
            op_types_to_quantize=list(QUANTISED),
            nodes_to_exclude=_seeing_pixels(source),
            per_channel=True,
            activation_type=quantization.QuantType.QInt8,
            weight_type=quantization.QuantType.QInt8,
            calibrate_method=calibrate,
            extra_options=extra,
        )
    write_onnx(onnx.load(path), path, described(source) | {"precision": "int8", "calibration": method})


def _seeing_pixels(source: Path) -> list[str]:
    """Names of the convolutions with three input channels."""
    graph = library("onnx").load(source).graph
    colour = {one.name for one in graph.initializer if len(one.dims) == 4 and one.dims[1] == 3}
    return [node.name for node in graph.node if node.op_type == "Conv" and node.input[1] in colour]


class _Reader:
    """Calibration batches, one after the other, as ONNX Runtime asks for them."""

    def __init__(self, feeds: Sequence[Feed]) -> None:
        self._feeds: Iterator[Feed] = iter(feeds)

    def get_next(self) -> Feed | None:
        return next(self._feeds, None)
