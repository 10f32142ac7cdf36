"""`compress.export`: a network as files that every runtime opens, held to PyTorch's answers.

compress.export(net, torch.randn(1, 3, 64, 64), "deployed/fp32.onnx")
compress.export(net, example, "deployed/int8.onnx", precision="int8", calibrate=loader)
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from compress.calling import Output
from compress.exporting.artefacts import Artefacts, Exported
from compress.exporting.graph import graph_of
from compress.exporting.onnx_file import PRECISIONS
from compress.inputs import Example, batches_from

ALLOWED = (*PRECISIONS, "int8")
HELD_OUT = 4
"""One in so many calibration batches verifies, too."""


def export(  # noqa: PLR0913 - a network and how it is called; the rest has defaults
    net: nn.Module,
    example: Example,
    path: Path | str,
    *,
    precision: str = "fp32",
    calibrate: Iterable[Any] | None = None,
    output: Output | None = None,
    names: tuple[Sequence[str], Sequence[str]] = ((), ()),
    about: Mapping[str, Any] | None = None,
) -> Exported:
    """Writes `net` as one ONNX file for any batch size, and beside it as `program.pt2` for PyTorch; verifies it.

    >>> export(nn.Linear(3, 2), torch.randn(1, 3), folder / "fp32.onnx").parity.n
    2

    Args:
        net: any module that torch.export can trace. It is not changed.
        example: a tensor, or a tuple of tensors, that `net` can be called with; the first axis is the batch.
        path: of the ONNX file. One network to a folder: the program beside it is that of the last one exported there.
        precision: "fp32", "fp16", or "int8" (explicit quantisation of a float32 file).
        calibrate: batches as `net` takes them, or (inputs, targets): a part of them verifies; int8 measures its ranges
            on all, at least 500 different inputs.
        output: from the network's result to the one tensor that is wanted; by default all tensors in its result.
        names: of the inputs and of the outputs; by default those of forward's arguments and of the result's fields.
        about: JSON's own types, kept in the file: class names, the crop, what a user must know.

    Raises:
        ValueError: a network, precision or batch that cannot be exported, or answers that differ; says which.
        Unavailable: onnx or onnxruntime is not installed.
    """
    if precision not in ALLOWED:
        raise ValueError(f'precision="{precision}": allowed are {", ".join(ALLOWED)}')
    graph = graph_of(net, example, output=output, inputs=names[0], outputs=names[1])
    known = [] if calibrate is None else list(batches_from(calibrate, len(graph.inputs), graph.net))
    made = Artefacts(
        folder=Path(path).parent,
        graph=graph,
        about=about or {},
        calibrate=(lambda: known) if known else None,
        verify=(lambda: known[::HELD_OUT]) if known else None,
    )
    return made.write(Path(path), precision)
