"""A model repository for NVIDIA's Triton Inference Server: the file, its configuration, and the names of its classes.

repository_from_artefact(Path("deployed/fp16-tensorrt.engine"), Path("deployed/fp16.onnx"), Path("models"), "faces")
"""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from compress.exporting.signed_onnx import METADATA, checked, described
from compress.files import write_atomic
from compress.runtimes.session import ANY, Target

VERSION = "1"
LABELS = "labels.txt"
TYPES = {1: "TYPE_FP32", 6: "TYPE_INT32", 7: "TYPE_INT64", 9: "TYPE_BOOL", 10: "TYPE_FP16"}
"""ONNX's numbers of element types -> Triton's names."""
BACKENDS = {".onnx": ("onnxruntime", "model.onnx"), ".engine": ("tensorrt", "model.plan")}
QUEUE_US = 500
"""How long a request waits for others to share a batch with, microseconds."""


def repository_from_artefact(artefact: Path, onnx: Path, folder: Path, name: str, *, target: Target = ANY) -> Path:
    """Writes `folder`/`name`: config.pbtxt with dynamic batching, 1/model.onnx or 1/model.plan, and labels.txt.

    Args:
        artefact: what Triton runs: `onnx` itself, or an engine built of it.
        onnx: an ONNX file of `compress.export`; class names are those in its metadata ("classes"), if it has any.
        name: of the model, as clients ask for it.
        target: what an engine was built for: its largest batch is Triton's.

    Raises:
        ValueError: an artefact that Triton has no backend for, or a file that is damaged.
    """
    if artefact.suffix not in BACKENDS:
        raise ValueError(f"{artefact} is for no backend of Triton: give one of {', '.join(BACKENDS)}")
    backend, file = BACKENDS[artefact.suffix]
    model = checked(onnx)
    own = any(entry.key == METADATA for entry in model.metadata_props)
    classes = [str(one) for one in (described(onnx).get("classes") or [])] if own else []
    place = folder / name
    (place / VERSION).mkdir(parents=True, exist_ok=True)
    shutil.copyfile(artefact, place / VERSION / file)
    if classes:
        write_atomic(place / LABELS, "".join(f"{one}\n" for one in classes))
    write_atomic(place / "config.pbtxt", _config(model, name, backend, classes, target))
    return place


def _config(model: Any, name: str, backend: str, classes: Sequence[str], target: Target) -> str:
    """The text of config.pbtxt; shapes are without the batch."""
    _, best, largest = target.batches
    lines = [f"name: {_quoted(name)}", f'backend: "{backend}"', f"max_batch_size: {largest}"]
    lines += [f"input {{ {_tensor(one)} }}" for one in model.graph.input]
    for one in model.graph.output:
        labelled = len(classes) > 0 and _sides(one) == [len(classes)]
        lines.append(f"output {{ {_tensor(one)}{f' label_filename: {_quoted(LABELS)}' if labelled else ''} }}")
    lines.append(f"dynamic_batching {{ preferred_batch_size: [ {best} ] max_queue_delay_microseconds: {QUEUE_US} }}")
    return "\n".join(lines) + "\n"


def _tensor(value: Any) -> str:
    dims = ", ".join(map(str, _sides(value)))
    return f"name: {_quoted(value.name)} data_type: {TYPES[value.type.tensor_type.elem_type]} dims: [ {dims} ]"


def _sides(value: Any) -> list[int]:
    return [side.dim_value or -1 for side in value.type.tensor_type.shape.dim[1:]]


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
