"""One convolution as an ONNX file that a runtime can be timed on.

CPU runtimes keep maps in a blocked layout between convolutions. A convolution alone would be timed with the conversion
into it and out of it, so here it stands as it does in a network: behind another convolution (1 x 1, from 3 channels)
and before a global pool, which leaves next to nothing to convert back.
"""

from pathlib import Path
from typing import Any

import numpy as np

from compress.exporting.onnx_file import OPSET
from compress.slimming.layers import Geometry

IR_VERSION = 10
"""Old enough for every runtime that knows the opset."""


def onnx_from_layer(geometry: Geometry, fan_in: int, fan_out: int | None, path: Path) -> Path:
    """Writes (b, 3, side, side) -> 1 x 1 convolution -> the layer with its ReLU and pool -> global mean.

    Args:
        fan_out: width of the layer; None leaves it out, so that the difference of two files is the layer's own time.
    """
    import onnx
    from onnx import TensorProto, helper

    weights = {"stem": (fan_in, 3, 1, 1)}
    if fan_out is not None:
        weights |= {"weight": (fan_out, fan_in, geometry.kernel, geometry.kernel), "bias": (fan_out,)}
    nodes, last = [], "face"
    for operator, names, attributes in _operators(geometry, alone=fan_out is None):
        nodes.append(helper.make_node(operator, [last, *names], [f"after{len(nodes)}"], **attributes))
        last = nodes[-1].output[0]
    generator = np.random.default_rng(0)
    graph = helper.make_graph(
        nodes,
        "layer",
        [helper.make_tensor_value_info("face", TensorProto.FLOAT, ["batch", 3, geometry.side, geometry.side])],
        [helper.make_tensor_value_info(last, TensorProto.FLOAT, ["batch", fan_out or fan_in, 1, 1])],
        [onnx.numpy_helper.from_array(_weight(generator, shape), name) for name, shape in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    path.write_bytes(model.SerializeToString())
    return path


def _operators(geometry: Geometry, *, alone: bool) -> list[tuple[str, list[str], dict[str, Any]]]:
    """(operator, weights, attributes) of the chain, in order; `alone`: of what stands around the layer."""
    stride, pool = [geometry.stride] * 2, [geometry.pool] * 2
    layer: list[tuple[str, list[str], dict[str, Any]]] = [
        ("Conv", ["weight", "bias"], {"strides": stride, "pads": [geometry.padding] * 4}),
        ("Relu", [], {}),
    ]
    layer += [("MaxPool", [], {"kernel_shape": pool, "strides": pool})] if geometry.pool > 1 else []
    return [("Conv", ["stem"], {}), *([] if alone else layer), ("GlobalAveragePool", [], {})]


def _weight(generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Random values of a size that keeps maps in the range of ordinary numbers: denormal ones would be slow."""
    return (generator.standard_normal(shape) * np.sqrt(2 / max(1, np.prod(shape[1:])))).astype(np.float32)
