"""`python -m compress.export` as typed: artefacts on disk, verified, and honest about what could not be run."""

import json

import pytest
from tiny_nets import tiny_checkpoint

import fermodels
from compress.commands import export
from compress.runtimes import RUNTIMES, Unavailable, tensor_rt

pytest.importorskip("onnx", reason="needs onnx: pip install -e '.[onnx]'")
DATA = "synthetic:train=512,validation=32,test=8"


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return tiny_checkpoint("vggnet", tmp_path_factory.mktemp("net"))


def told(capsys) -> dict:
    return json.loads(capsys.readouterr().out.strip().splitlines()[-1])


def test_int8_is_calibrated_and_verified_on_the_data_set(checkpoint, tmp_path, capsys):
    words = [checkpoint, "--out", tmp_path, "--precision", "int8", "--data", DATA, "--runs", tmp_path / "runs"]
    assert export.main(list(map(str, words))) == 0
    said = told(capsys)
    assert (tmp_path / "int8.onnx").stat().st_size == said["bytes"]
    assert said["verified"]["n"] == 32 and said["verified"]["agreement"] > 0.9
    assert 0 <= said["verified"]["accuracy"] <= 1 and 0 <= said["verified"]["accuracy_pytorch"] <= 1
    assert fermodels.load(tmp_path / "checkpoint")[1]["stored"] == 64


def test_without_data_it_says_that_the_images_were_random(checkpoint, tmp_path, capsys):
    assert export.main([str(checkpoint), "--out", str(tmp_path), "--runtime", "torch"]) == 0
    verified = told(capsys)["verified"]
    assert verified["faces"] == "random images" and verified["accuracy"] is None
    assert verified["largest"] < 1e-4


def test_an_engine_that_cannot_run_here_is_built_and_said_to_be_unverified(checkpoint, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(tensor_rt.TensorRt, "build", lambda self, onnx, *, precision: onnx)

    def refuse(self, artefact, *, precision):
        raise Unavailable("no GPU")

    monkeypatch.setattr(tensor_rt.TensorRt, "open", refuse)
    words = ["--runtime", "tensorrt", "--precision", "fp16", "--batch", "1,4,8"]
    assert export.main([str(checkpoint), "--out", str(tmp_path), *words]) == 0
    captured = capsys.readouterr()
    said = json.loads(captured.out.strip().splitlines()[-1])
    assert said["verified"] is None and "not run here: no GPU" in captured.err
    assert "--maxShapes=face:8x3x64x64" in said["trtexec"] and said["onnx"].endswith("fp16.onnx")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--precision", "fp7"], 'no precision "fp7"'),
        (["--precision", "int8"], "name a data set with --data"),
        (["--runtime", "tensorrt", "--batch", "1,2"], "three numbers"),
        (["--runtime", "tensorrt", "--batch", "8,2,1"], "rising"),
    ],
)
def test_mistakes_are_sentences(checkpoint, tmp_path, capsys, words, sentence):
    assert export.main([str(checkpoint), "--out", str(tmp_path), *words]) == 2
    assert sentence in capsys.readouterr().err


def test_options_are_frozen():
    given = vars(export.arguments(["net", "--out", "x"]))
    names = "checkpoint out runtime precision batch capability stored data runs"
    assert sorted(given) == sorted(names.split())
    assert given["runtime"] in RUNTIMES
