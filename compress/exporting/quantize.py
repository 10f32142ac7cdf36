"""INT8 as explicit quantisation: quantise / dequantise pairs in the ONNX file, which every runtime reads the same way.

Symmetric signed 8 bit for weights (per channel) and activations, biases in float: the form that TensorRT takes too
(ONNX Runtime's default of unsigned activations with integer biases does not parse there). Normalisation, region cuts
and the first convolution of every trunk (1 % of the MACs, but it sees the pixels) stay in float. Which calibration is
best depends on the network, so all are tried and validation decides.
"""

import json
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from jaxtyping import Float

from compress.exporting.onnx_file import METADATA
from compress.files import atomic_path
from compress.libraries import library

Feed = Mapping[str, Float[np.ndarray, "b 3 side side"]]
QUANTISED = ("Conv", "Gemm", "MaxPool")
"""Operators between which activations stay in 8 bit."""
ENOUGH = 500
"""Training faces below which the ranges of activations are not to be trusted."""
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


def int8_from_onnx(
    source: Path, path: Path, calibration: Sequence[Feed], score: Callable[[Path], float], methods: Sequence[str] = ()
) -> Quantised:
    """Quantises the float32 file `source` by every calibration method and keeps the best one at `path`.

    Args:
        calibration: batches of training faces as the graph eats them, at least `ENOUGH` faces in all.
        score: accuracy of an ONNX file on the validation split; ties go to the earlier method.
        methods: names of `METHODS` to try; none: all.

    Raises:
        ValueError: too few faces, or an unknown method.
    """
    faces = sum(len(next(iter(feed.values()))) for feed in calibration)
    if faces < ENOUGH:
        raise ValueError(f"{faces} faces to calibrate on: ranges of activations need at least {ENOUGH}")
    if unknown := set(methods) - set(METHODS):
        raise ValueError(f"calibration {sorted(unknown)}: allowed are {', '.join(METHODS)}")
    scores: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        made = {name: Path(folder) / f"{name}.onnx" for name in methods or METHODS}
        for name, file in made.items():
            quantise(source, file, calibration, method=name)
            scores[name] = score(file)
        best = max(scores, key=lambda name: scores[name])
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(path) as temporary:
            Path(temporary).write_bytes(made[best].read_bytes())
    return Quantised(path=path, method=best, scores=scores)


def quantise(source: Path, path: Path, calibration: Sequence[Feed], *, method: str) -> None:
    """Writes `source` with quantise / dequantise pairs, ranges by `method` of `METHODS`."""
    onnx, quantization = library("onnx"), library("onnxruntime.quantization")

    settings = dict(METHODS[method])
    calibrate = quantization.CalibrationMethod[settings.pop("calibrate_method")]
    extra = {"ActivationSymmetric": True, "WeightSymmetric": True, "QuantizeBias": False} | settings
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
    model = onnx.load(path)
    found = {entry.key: entry.value for entry in model.metadata_props}
    said = json.loads(found[METADATA]) | {"precision": "int8", "calibration": method}
    onnx.helper.set_model_props(model, found | {METADATA: json.dumps(said)})
    onnx.save(model, path)


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
