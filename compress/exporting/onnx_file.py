"""One ONNX file of a graph: dynamic batch, precision inside, metadata and digest with it.

    onnx_from_graph(graph, program_of(graph), Path("net.onnx"), said)

The precision is in the file (float32, float16, or explicit quantisation): no runtime has to be trusted with it.
"""

import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch.export import ExportedProgram

from compress.exporting.graph import Graph
from compress.exporting.program import program_of
from compress.exporting.signed_onnx import write_onnx
from compress.libraries import library

OPSET = 20
PRECISIONS = {"fp32": torch.float32, "fp16": torch.float16}
"""What a file's weights and arithmetic can be in, besides int8, which `compress.exporting.quantize` makes of fp32."""
FORMAT = 1


def onnx_from_graph(
    graph: Graph, program: ExportedProgram, path: Path, said: Mapping[str, Any], *, precision: str = "fp32"
) -> Path:
    """Writes `graph` to `path`: one file, batch norms folded into the convolutions.

    Args:
        program: `graph` as `program_of` traced it.
        said: goes into the file's metadata beside what a feeder must know (`interface`).
        precision: "fp32", or "fp16" for half-precision weights and arithmetic between float32 inputs and outputs.

    Raises:
        ValueError: the network cannot be written as ONNX; says why.
        Unavailable: onnx or onnxscript is not installed.
    """
    library("onnx")
    if precision != "fp32":
        program = program_of(graph.in_precision(PRECISIONS[precision]))
    names: dict[str, Any] = {"input_names": list(graph.inputs), "output_names": list(graph.outputs)}
    with _quiet():
        try:
            exported = torch.onnx.export(program, dynamo=True, opset_version=OPSET, verbose=False, **names)
        except Exception as error:  # the exporter's errors share no base class
            raise ValueError(f"this network cannot be written as ONNX: {str(error).strip()[:300]}") from error
    assert exported is not None
    model = exported.model_proto
    _name_batch(model)
    write_onnx(model, path, {**said, **interface(graph), "precision": precision})
    return path


def interface(graph: Graph) -> dict[str, Any]:
    """What is fed and what is answered: type and shape of each input without the batch, names of the outputs."""
    inputs = {
        name: {"dtype": str(one.dtype).removeprefix("torch."), "shape": list(one.shape[1:])}
        for name, one in zip(graph.inputs, graph.example, strict=True)
    }
    return {"format": FORMAT, "inputs": inputs, "outputs": list(graph.outputs)}


def onnx_name(precision: str) -> str:
    """Name of the ONNX file that runs in `precision`. In bf16 computes the runtime: the file is float32."""
    return f"{precision if precision in ('fp16', 'int8') else 'fp32'}.onnx"


def _name_batch(model: Any) -> None:
    """The exporter numbers the dynamic axis; people look for a name."""
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    del model.graph.value_info[:]  # still under the number; runtimes infer it again


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporter's remarks on libraries that this project does not use."""
    logger = logging.getLogger("torch.onnx")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(before)
