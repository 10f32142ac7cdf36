"""The network for PyTorch itself: a `torch.export` program, which runs without the source code it was written in.

    save_program(program_of(graph), graph, folder / PROGRAM)

It lies beside the ONNX files and carries the digest of its weights, by which they are known to belong together.
"""

import hashlib
import io
import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.export import ExportedProgram

from compress.calling import reason_of
from compress.exporting.graph import Graph
from compress.files import plain, write_atomic

PROGRAM = "program.pt2"
SAID = "said.json"
"""The file inside the program that says what it is."""
LARGEST_BATCH = 65536


def program_of(graph: Graph) -> ExportedProgram:
    """`graph` traced for any batch size, without the paths of the source it was traced from.

    Raises:
        ValueError: PyTorch cannot trace it, or only for one batch size.
    """
    batch = torch.export.Dim("batch", min=1, max=LARGEST_BATCH)
    shapes = {"inputs": tuple({0: batch} for _ in graph.inputs)}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program = torch.export.export(graph, graph.example, dynamic_shapes=shapes)
    except Exception as error:  # of tracing, of its constraints and of the network itself
        raise ValueError(f"torch.export cannot trace this network for any batch size: {reason_of(error)}") from error
    for module in program.graph_module.modules():
        for node in module.graph.nodes if isinstance(module, torch.fx.GraphModule) else ():
            node.meta.pop("stack_trace", None)
    return program


def save_program(program: ExportedProgram, path: Path, said: Mapping[str, Any]) -> None:
    """Writes `program` to `path` at once, with what is `said` of it."""
    archive = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.export.save(program, archive, extra_files={SAID: json.dumps(plain(dict(said)))})
    write_atomic(path, archive.getvalue())


def load_program(path: Path) -> tuple[ExportedProgram, dict[str, Any]]:
    """The program in `path`, and what is said of it.

    Raises:
        ValueError: no program, or a damaged one.
    """
    if not path.is_file():
        raise ValueError(f"{path} is no file: export the network again (python -m compress.export)")
    extra = {SAID: ""}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program = torch.export.load(path, extra_files=extra)
        said = json.loads(extra[SAID])
        whole = weights_digest(program.state_dict) == said["weights"]
    except Exception as error:  # a damaged archive fails in many ways
        raise ValueError(f"{path} is no program that compress.export wrote, or damaged: {reason_of(error)}") from error
    if not whole:
        raise ValueError(f"{path} is damaged: its weights are not those that were written; export the network again")
    return program, said


def weights_digest(state: Mapping[str, Tensor]) -> str:
    """sha256 (hex) of names, types, shapes and values of all tensors: whose weights these are."""
    total = hashlib.sha256()
    for name, tensor in sorted(state.items()):
        total.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        total.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return total.hexdigest()
