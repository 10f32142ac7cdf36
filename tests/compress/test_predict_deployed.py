"""`python -m compress.predict`: every runtime answers as the checkpoint does; engines find their own ONNX file."""

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_nets import STORED, tiny_checkpoint, tiny_onnx

from compress.commands import predict
from compress.runtimes import RUNTIMES, Unavailable
from fermodels import EXPRESSIONS
from fermodels.predict.__main__ import main as plain_main
from fermodels.predict.classifier import CheckpointClassifier

pytest.importorskip("onnx", reason="needs onnx: pip install -e '.[onnx]'")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A checkpoint and its ONNX file, as compress.export lays them."""
    made = tmp_path_factory.mktemp("deployed")
    tiny_checkpoint("mrf", made / "checkpoint")
    shutil.copy(tiny_onnx("mrf"), made / "fp32.onnx")
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
        model = predict.open_deployed(folder / "fp32.onnx", runtime)
    except Unavailable as missing:
        pytest.skip(str(missing))
    checkpoint = CheckpointClassifier(folder / "checkpoint")
    assert (model.classes, model.side, model.crop) == (checkpoint.classes, STORED, checkpoint.crop)
    several = faces(predict.BATCH + 3)  # more than run together
    found, wanted = model(several), checkpoint(several)
    np.testing.assert_allclose(found.probabilities, wanted.probabilities, atol=2e-5)
    assert found.attention is not None and wanted.attention is not None
    np.testing.assert_allclose(found.attention, wanted.attention, atol=2e-4)


def test_the_command_prints_the_rows_of_the_other(folder: Path, photo: Path, capsys: pytest.CaptureFixture[str]):
    words = [str(photo), "--cropped", "--json"]
    assert predict.main([*words, "--model", str(folder / "fp32.onnx")]) == 0
    ours = json.loads(capsys.readouterr().out)
    assert plain_main([*words, "--model", str(folder / "checkpoint")]) == 0
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
    assert predict.main([str(photo), "--cropped", "--json", "--model", str(path)]) == 0
    row = json.loads(capsys.readouterr().out)
    assert (row["expression"], row["probability"]) == (EXPRESSIONS[1], 1.0)
    assert opened["artefact"] == path and opened["precision"] == "fp32" and opened["session"].batches == [1]
    model = predict.open_deployed(path)
    model(faces(predict.BATCH + 1))
    assert opened["session"].batches == [predict.BATCH, 1]
    engine_in(folder, "0" * 64)
    with pytest.raises(ValueError, match="does not lie beside it"):
        predict.open_deployed(path)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--model", "none.engine"], "there is no file none.engine"),
        (["--model", "{engine}", "--runtime", "openvino"], "leave out --runtime"),
        (["--model", "{photo}"], "no readable ONNX file"),
    ],
)
def test_a_mistake_is_a_sentence(words: list[str], sentence: str, folder: Path, photo: Path, capsys):
    places = {"engine": engine_in(folder, "0" * 64), "photo": photo}
    assert predict.main([str(photo), *(word.format(**places) for word in words)]) == 2
    assert sentence in capsys.readouterr().err


def test_without_a_model_it_says_what_is_wanted(photo: Path, capsys):
    with pytest.raises(SystemExit) as stopped:
        predict.main([str(photo)])
    assert stopped.value.code == 2 and "--model is missing" in capsys.readouterr().err
