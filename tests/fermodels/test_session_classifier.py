"""Exported networks in `predict`: every runtime answers as the checkpoint does; engines find their own ONNX file."""

import hashlib
import json
import pickle
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_nets import STORED, tiny_checkpoint, tiny_deployed

from compress.runtimes import RUNTIMES, Unavailable
from fermodels import EXPRESSIONS
from fermodels.predict.__main__ import main
from fermodels.predict.checkpoint_classifier import CheckpointClassifier
from fermodels.predict.classifier import FACES_AT_ONCE
from fermodels.predict.models import open_model

pytest.importorskip("onnx", reason="needs onnx: pip install -e '.[onnx]'")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A checkpoint and its ONNX file, as compress.export lays them."""
    made = tmp_path_factory.mktemp("deployed")
    tiny_checkpoint("mrf", made / "checkpoint")
    tiny_deployed("mrf", made)
    return made


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    pixels = np.random.default_rng(0).integers(0, 256, (STORED, STORED, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "face.png")
    return tmp_path / "face.png"


def faces(n: int) -> np.ndarray:
    return np.random.default_rng(n).integers(0, 256, (n, STORED, STORED, 3), dtype=np.uint8)


@pytest.mark.parametrize("runtime", ["torch", "onnxruntime", "openvino"])
def test_a_runtime_answers_as_the_checkpoint(folder: Path, runtime: str):
    try:
        model = open_model(folder / "fp32.onnx", runtime=runtime)
    except Unavailable as missing:
        pytest.skip(str(missing))
    checkpoint = CheckpointClassifier(folder / "checkpoint")
    assert (model.classes, model.side, model.crop) == (checkpoint.classes, STORED, checkpoint.crop)
    several = faces(FACES_AT_ONCE + 3)  # more than run together
    found, wanted = model(several), checkpoint(several)
    np.testing.assert_allclose(found.probabilities, wanted.probabilities, atol=2e-5)
    assert found.attention is not None and wanted.attention is not None
    np.testing.assert_allclose(found.attention, wanted.attention, atol=2e-4)


def test_the_command_prints_the_rows_of_the_other(folder: Path, photo: Path, capsys: pytest.CaptureFixture[str]):
    words = [str(photo), "--cropped", "--json"]
    assert main([*words, "--model", str(folder / "fp32.onnx")]) == 0
    ours = json.loads(capsys.readouterr().out)
    assert main([*words, "--model", str(folder / "checkpoint")]) == 0
    assert ours == json.loads(capsys.readouterr().out) and ours["status"] == "ok"


class Engine:
    """What a runtime gives for an engine: certain of the second class."""

    def __init__(self) -> None:
        self.batches: list[int] = []

    def run(self, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        self.batches.append(len(batch["face"]))
        return {"probabilities": torch.eye(7)[1].expand(len(batch["face"]), 7).half()}


def engine_in(folder: Path, onnx: str) -> Path:
    path = folder / "fp32-tensorrt.engine"
    path.write_bytes(b"engine")
    said = {"runtime": "tensorrt", "precision": "fp32", "engine_sha256": hashlib.sha256(b"engine").hexdigest()}
    path.with_suffix(".json").write_text(json.dumps(said | {"onnx_sha256": onnx}))
    return path


def test_an_engine_runs_as_its_sidecar_says(folder: Path, photo: Path, monkeypatch, capsys):
    opened = {}

    def open_engine(self, artefact, *, precision):
        opened.update(artefact=artefact, precision=precision, session=Engine())
        return opened["session"]

    monkeypatch.setattr(type(RUNTIMES["tensorrt"]), "open", open_engine)
    path = engine_in(folder, hashlib.sha256((folder / "fp32.onnx").read_bytes()).hexdigest())
    assert main([str(photo), "--cropped", "--json", "--model", str(path)]) == 0
    row = json.loads(capsys.readouterr().out)
    assert (row["expression"], row["probability"]) == (EXPRESSIONS[1], 1.0)
    assert opened["artefact"] == path and opened["precision"] == "fp32" and opened["session"].batches == [1]
    model = open_model(path)
    model(faces(FACES_AT_ONCE + 1))
    assert opened["session"].batches == [FACES_AT_ONCE, 1]
    engine_in(folder, "0" * 64)
    with pytest.raises(ValueError, match="does not lie beside it"):
        open_model(path)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--model", "none.engine"], "there is no model none.engine: give one of small, demo"),
        (["--model", "{engine}", "--runtime", "openvino"], "leave out --runtime"),
        (["--model", "{photo}"], "is no model: give one of small, demo"),
        (["--model", "{onnx}", "--device", "cuda"], "--device cuda is for checkpoints"),
        (["--model", "{onnx}", "--runtime", "nowhere"], 'there is no runtime "nowhere": torch,'),
        (["--model", "{onnx}", "--precision", "int8"], "is fp32 and ONNX Runtime runs it as it is"),
        (["--model", "{checkpoint}", "--device", "nowhere"], 'PyTorch cannot use the device "nowhere" here'),
    ],
)
def test_a_mistake_is_a_sentence(words: list[str], sentence: str, folder: Path, photo: Path, capsys):
    places = {
        "engine": engine_in(folder, "0" * 64),
        "photo": photo,
        "onnx": folder / "fp32.onnx",
        "checkpoint": folder / "checkpoint",
    }
    assert main([str(photo), *(word.format(**places) for word in words)]) == 2
    assert sentence in capsys.readouterr().err


def test_a_folder_of_exports_is_a_model(folder: Path, tmp_path: Path):
    assert open_model(folder).side == STORED
    torch_model = open_model(folder, runtime="torch")
    assert isinstance(torch_model, CheckpointClassifier)
    np.testing.assert_allclose(
        torch_model(faces(2)).probabilities, open_model(folder)(faces(2)).probabilities, atol=2e-5
    )
    with pytest.raises(ValueError, match=r"holds no ONNX file for --runtime openvino"):
        open_model(folder / "checkpoint", runtime="openvino")
    for name in ("a", "b"):
        shutil.copy(folder / "fp32.onnx", tmp_path / f"{name}.onnx")
    with pytest.raises(ValueError, match=r"holds a\.onnx, b\.onnx: name one"):
        open_model(tmp_path)


def test_a_model_can_be_pickled(folder: Path):
    for path in (folder / "fp32.onnx", folder / "checkpoint"):
        model = open_model(path)
        again = pickle.loads(pickle.dumps(model))
        np.testing.assert_array_equal(again(faces(3)).probabilities, model(faces(3)).probabilities)


@pytest.mark.parametrize("runtime", ["torch", "onnxruntime", "openvino"])
def test_a_model_is_shared_by_threads(folder: Path, runtime: str):
    """Four threads, thirty batches of one to four faces each: as one after the other."""
    try:
        model = open_model(folder, runtime=runtime)
    except Unavailable as missing:
        pytest.skip(str(missing))
    given = [faces(1 + seed % 4) for seed in range(30)]
    alone = [model(one).probabilities for one in given]
    with ThreadPoolExecutor(4) as pool:
        runs = list(pool.map(lambda _: [model(one).probabilities for one in given], range(4)))
    for run in runs:
        for found, wanted in zip(run, alone, strict=True):
            np.testing.assert_allclose(found, wanted, atol=1e-6)
