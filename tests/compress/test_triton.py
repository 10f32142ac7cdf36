"""Model repositories are held to Triton's own schema, which its client carries."""

import importlib.util
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from google.protobuf import text_format
from torch import nn

from compress.exporting.export import export
from compress.exporting.triton import repository_from_artefact
from compress.runtimes import Target

pytest.importorskip("onnx", reason="needs onnx: pip install -e '.[onnx]'")
CLASSES = ["calm", 'so-called "rage"']


@pytest.fixture(scope="module")
def schema() -> Any:
    """The client's message types; the file is loaded by itself, because its package asks for grpc."""
    client = importlib.util.find_spec("tritonclient")
    if client is None or not client.submodule_search_locations:
        pytest.skip("needs tritonclient: pip install -e '.[dev]'")
    path = Path(client.submodule_search_locations[0]) / "grpc" / "model_config_pb2.py"
    spec = importlib.util.spec_from_file_location("model_config_pb2", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def onnx(tmp_path_factory) -> Path:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(144, 2))
    names = (["face"], ["probabilities"])
    path = tmp_path_factory.mktemp("net") / "fp32.onnx"
    return export(net, torch.randn(1, 3, 8, 8), path, names=names, about={"classes": CLASSES}).path


@pytest.mark.parametrize(
    ("suffix", "backend", "file"), [(".onnx", "onnxruntime", "model.onnx"), (".engine", "tensorrt", "model.plan")]
)
def test_a_repository_says_what_triton_must_know(schema, onnx, tmp_path, suffix, backend, file) -> None:
    artefact = Path(shutil.copy(onnx, tmp_path / f"served{suffix}"))
    place = repository_from_artefact(artefact, onnx, tmp_path / "models", "faces", target=Target(batches=(1, 8, 64)))
    config = text_format.Parse((place / "config.pbtxt").read_text(), schema.ModelConfig())
    assert (config.name, config.backend, config.max_batch_size) == ("faces", backend, 64) and place.name == "faces"
    (face,), (answer,) = config.input, config.output
    assert (face.name, face.data_type, list(face.dims)) == ("face", schema.TYPE_FP32, [3, 8, 8])
    assert (answer.name, answer.data_type, list(answer.dims)) == ("probabilities", schema.TYPE_FP32, [2])
    assert (place / answer.label_filename).read_text().splitlines() == CLASSES
    assert config.HasField("dynamic_batching") and list(config.dynamic_batching.preferred_batch_size) == [8]
    assert (place / "1" / file).read_bytes() == artefact.read_bytes()


def test_what_triton_cannot_run_is_refused(onnx, tmp_path) -> None:
    with pytest.raises(ValueError, match=r"for no backend of Triton: give one of \.onnx, \.engine"):
        repository_from_artefact(onnx.with_name("program.pt2"), onnx, tmp_path, "faces")
