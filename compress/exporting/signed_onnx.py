"""An ONNX file that says what it is and carries its own digest: whoever opens it knows that it is whole. No PyTorch.

The digest is the last entry of the file's metadata, in bytes that are appended: a protobuf message followed by another
is their union. So it covers every byte before it, and needs no parsing to be checked.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

from compress.files import plain, write_atomic
from compress.libraries import library

METADATA, DIGEST = "compress", "sha256"
"""Keys in the file's metadata: the JSON of what it says, and the digest of all bytes before."""
NOTES = ("doc_string", "metadata_props")
"""Where PyTorch's exporter notes the source it traced, with the folders of the machine it ran on."""


def write_onnx(model: Any, path: Path, said: dict[str, Any]) -> None:
    """Writes `model` (an onnx.ModelProto) to `path` at once, with `said` as its only metadata, signed.

    Raises:
        onnx.checker.ValidationError: it is no valid model.
    """
    onnx = library("onnx")
    _drop_notes(model)
    onnx.helper.set_model_props(model, {METADATA: json.dumps(plain(said))})
    onnx.checker.check_model(model, full_check=True)
    body = model.SerializeToString()
    write_atomic(path, body + _suffix(body))


def checked(path: Path) -> Any:
    """The onnx.ModelProto in `path`, which is safe to hand to a runtime.

    A file that this project wrote must have the bytes that were written; any must be a valid model with finite weights.

    Raises:
        ValueError: no file, or one that is damaged, invalid or holds NaN; the sentence says which.
        Unavailable: onnx is not installed.
    """
    onnx = library("onnx")
    data = whole(path)
    try:
        model = onnx.load_from_string(data)
        onnx.checker.check_model(model)
    except Exception as error:  # of protobuf and of the checker: they share no base class
        raise ValueError(f"{path} is no valid ONNX file ({_line(error)}): export the network again") from error
    if strange := _not_finite(model):
        raise ValueError(f"{path} holds weights that are NaN or infinite ({strange}): train and export again")
    return model


def whole(path: Path) -> bytes:
    """The bytes of `path`; those of a file that this project wrote are the ones that were written. Needs no onnx.

    Raises:
        ValueError: no file, or a damaged one.
    """
    if not path.is_file():
        raise ValueError(f"{path} is no file: export the network first (python -m compress.export)")
    data = path.read_bytes()
    ours = any(key in data for key in (_key(METADATA), _key(DIGEST)))
    if ours and not data.endswith(_suffix(data[: -len(_suffix(b""))])):
        raise ValueError(f"{path} is damaged: its bytes are not those that were written; export the network again")
    return data


def described(path: Path) -> dict[str, Any]:
    """What the file says of itself: `inputs`, `outputs`, `precision`, `weights` (a digest), and what was told of it.

    Raises:
        ValueError: as `checked`, or no file that this project wrote.
    """
    found = {entry.key: entry.value for entry in checked(path).metadata_props}
    if METADATA not in found:
        raise ValueError(f"{path} does not say what it is: it was not written by compress.export")
    return json.loads(found[METADATA])


def _drop_notes(message: Any) -> None:
    """Clears `NOTES` of a protobuf message and of all messages in it: graphs, nodes, values, functions."""
    for name in NOTES:
        if name in message.DESCRIPTOR.fields_by_name:
            message.ClearField(name)
    for field, value in message.ListFields():
        if field.message_type is not None:
            for part in (value,) if hasattr(value, "ListFields") else value:
                _drop_notes(part)


def _suffix(body: bytes) -> bytes:
    """The metadata entry `DIGEST` of `body` as protobuf writes it: field 14 of a model, fields 1 and 2 of an entry."""
    value = hashlib.sha256(body).hexdigest().encode()
    entry = _key(DIGEST) + b"\x12" + bytes([len(value)]) + value
    return b"\x72" + bytes([len(entry)]) + entry


def _key(name: str) -> bytes:
    """An entry's key as protobuf writes it."""
    return b"\x0a" + bytes([len(name)]) + name.encode()


def _not_finite(model: Any) -> str:
    """The name of a weight that is not finite; empty without one."""
    import numpy as np

    onnx = library("onnx")
    for tensor in model.graph.initializer:
        if tensor.data_type in (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.DOUBLE):
            values = onnx.numpy_helper.to_array(tensor)
            if not np.isfinite(values).all():
                return tensor.name
    return ""


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
