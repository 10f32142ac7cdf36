"""Kinds of inputs that `fermodels.predict` is given: pictures, videos, checkpoints, ONNX files, class names."""

import io
import json
import shutil
import tempfile
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from functools import cache, partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from tiny_nets import tiny_checkpoint

from compress.about import CONFIG, OLD_FORMAT
from compress.checkpoint import WEIGHTS
from compress.libraries import library
from compress.runtimes import RUNTIMES
from fermodels import info
from fermodels.predict.__main__ import main as predict
from fermodels.predict.predictor import Predictor, predictions
from fermodels.predict.rows import rows
from fermodels.predict.shipped import SHIPPED
from fermodels.predict.sources import frames
from fuzz.driver import Kind

_KEPT = tempfile.TemporaryDirectory(prefix="fuzz-")  # goes when the driver ends
CODECS = {"avi": "MJPG", "mp4": "mp4v", "mkv": "mp4v", "wmv": "WMV2"}


@cache
def _checkpoint() -> Path:
    return tiny_checkpoint("vggnet", Path(_KEPT.name) / "net")


@cache
def _photo() -> Path:
    path = Path(_KEPT.name) / "photo.png"
    cv2.imwrite(str(path), np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))
    return path


def said(main: Callable[[list[str]], int], *words: object) -> str:
    """What a command prints; its sentence as ValueError."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        status = main([str(word) for word in words])
    if status == 2:
        *_, last = err.getvalue().splitlines()
        assert last.startswith(("predict: ", "info: ")), last
        raise ValueError(last)
    return out.getvalue()


def predicted(*words: object) -> str:
    """The rows of `fermodels.predict`, without the file's name."""
    return told([json.loads(row) for row in said(predict, *words, "--cropped", "--json", "--top", "7").splitlines()])


@cache
def _predictor() -> Predictor:
    return Predictor(_checkpoint(), None)


def shown(path: Path) -> str:
    """What the command does with a picture or a video, by a network that is open already: nothing may end it."""
    try:
        found = [row for frame, faces in predictions(_predictor(), frames([path])) for row in rows(frame, faces, 7)]
    except ValueError as error:
        raise AssertionError("a file's fault ends the run") from error
    return told(found)


def told(found: list[dict[str, Any]]) -> str:
    """Rows without the file's name; ValueError where nothing can be read."""
    statuses = {row["status"].partition(":")[0] for row in found}
    assert statuses and statuses <= {"ok", "unreadable"}, found
    if statuses == {"unreadable"}:
        raise ValueError(found[-1]["status"])
    return json.dumps([row | {"file": None} for row in found])


def _of_photo(model: Path, *words: str) -> str:
    return predicted(_photo(), "--model", model, *words)


def picture(make: Callable[[], bytes], suffix: str) -> Kind:
    """Photographs of one format."""
    return Kind(make, shown, f"a{suffix}")


def _video(suffix: str) -> Kind:
    def make() -> bytes:
        cv2.setNumThreads(0)  # a fork has no other threads
        path = Path(_KEPT.name) / f"whole.{suffix}"
        writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*CODECS[suffix]), 10, (48, 48))
        for number in range(4):
            writer.write(np.full((48, 48, 3), (60 * number, 128, 255 - 60 * number), np.uint8))
        writer.release()
        return path.read_bytes()

    return Kind(make, shown, f"a.{suffix}")


def _file(name: str) -> bytes:
    return (_checkpoint() / name).read_bytes()


def _beside(path: Path, other: str) -> Path:
    """The folder of `path`, with the checkpoint's other file in it."""
    shutil.copy(_checkpoint() / other, path.parent)
    return path.parent


def _onnx() -> bytes:
    return (SHIPPED["small"] / "fp32.onnx").read_bytes()


def _foreign() -> bytes:
    """A small network as an ONNX file that says nothing of ours."""
    onnx = library("onnx")
    node, chance = onnx.helper.make_node, np.random.default_rng(0)
    weights = {"kernel": chance.normal(size=(4, 3, 3, 3)), "matrix": chance.normal(size=(4, 7))}
    nodes = [
        node("Conv", ["face", "kernel"], ["conv"], pads=[1, 1, 1, 1]),
        node("Relu", ["conv"], ["relu"]),
        node("GlobalAveragePool", ["relu"], ["pooled"]),
        node("Flatten", ["pooled"], ["flat"]),
        node("Gemm", ["flat", "matrix"], ["logits"]),
        node("Softmax", ["logits"], ["probabilities"]),
    ]
    ends = [
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)
        for name, shape in (("face", ("batch", 3, 16, 16)), ("probabilities", ("batch", 7)))
    ]
    kept = [onnx.numpy_helper.from_array(value.astype(np.float32), name) for name, value in weights.items()]
    graph = onnx.helper.make_graph(nodes, "foreign", ends[:1], ends[1:], kept)
    opset = onnx.helper.make_opsetid("", 20)
    return onnx.helper.make_model(graph, opset_imports=[opset], ir_version=10).SerializeToString()


def _in_runtime(path: Path, name: str) -> None:
    """Opened and run as compress.speed does it."""
    from torch import zeros

    runtime = RUNTIMES[name]
    session = runtime.open(runtime.build(path, precision="fp32"), precision="fp32")
    session.run({spec.name: zeros([side or 2 for side in spec.shape]) for spec in session.io.inputs})


def _classes() -> bytes:
    return json.dumps(json.loads(_file(CONFIG))["classes"]).encode()


def _with_classes(path: Path) -> str:
    """The checkpoint, whose class names are those in the file."""
    text = _old(classes=0).decode()
    (path.parent / CONFIG).write_text(text.replace('"classes": 0', f'"classes": {path.read_text()}'))
    return _of_photo(_beside(path, WEIGHTS))


def _old(**changes: Any) -> bytes:
    """config.json as earlier versions have written it: without its digest."""
    config = json.loads(_file(CONFIG)) | changes | {"format": OLD_FORMAT}
    config.pop("digest")
    return json.dumps(config).encode()


PREDICTED: dict[str, Kind] = {
    **{f"predict {suffix}": _video(suffix) for suffix in CODECS},
    "predict weights": Kind(partial(_file, WEIGHTS), lambda path: _of_photo(_beside(path, CONFIG)), WEIGHTS, True),
    "predict config.json": Kind(partial(_file, CONFIG), lambda path: _of_photo(_beside(path, WEIGHTS)), CONFIG, True),
    "predict old config.json": Kind(_old, lambda path: _of_photo(_beside(path, WEIGHTS)), CONFIG),
    "info": Kind(_old, lambda path: said(info.main, path.parent), CONFIG),
    "predict classes": Kind(_classes, _with_classes, "classes.json"),
    "predict onnx": Kind(_onnx, _of_photo, "net.onnx", True),
    "predict onnx in openvino": Kind(_onnx, lambda path: _of_photo(path, "--runtime", "openvino"), "net.onnx", True),
    "predict foreign onnx": Kind(_foreign, _of_photo, "net.onnx"),
    "foreign onnx in onnxruntime": Kind(_foreign, lambda path: _in_runtime(path, "onnxruntime"), "net.onnx"),
    "foreign onnx in openvino": Kind(_foreign, lambda path: _in_runtime(path, "openvino"), "net.onnx"),
}
"""name -> how it is made and read."""
