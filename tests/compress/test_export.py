"""`python -m compress.export` as typed: artefacts on disk, verified, and honest about what could not be run."""

import json
from pathlib import Path

import pytest
import torch
from PIL import Image
from tiny_nets import tiny_checkpoint

from compress.commands import export
from compress.exporting.signed_onnx import described
from compress.runtimes import RUNTIMES, Target, Unavailable, tensor_rt

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
    assert described(tmp_path / "int8.onnx")["side"] == 64 and (tmp_path / "fp32.onnx").is_file()


def test_without_data_it_says_that_the_inputs_were_random(checkpoint, tmp_path, capsys):
    assert export.main([str(checkpoint), "--out", str(tmp_path), "--runtime", "torch"]) == 0
    verified = told(capsys)["verified"]
    assert verified["inputs"] == "random inputs" and verified["accuracy"] is None
    assert verified["largest"] < 1e-4


def test_an_engine_that_cannot_run_here_is_built_and_said_to_be_unverified(checkpoint, tmp_path, capsys, monkeypatch):
    asked = []
    monkeypatch.setattr(tensor_rt.TensorRt, "require", lambda self: None)
    monkeypatch.setattr(
        tensor_rt.TensorRt, "build", lambda self, onnx, *, precision, target: asked.append(target) or onnx
    )

    def refuse(self, artefact, *, precision):
        raise Unavailable("no GPU")

    monkeypatch.setattr(tensor_rt.TensorRt, "open", refuse)
    words = ["--runtime", "tensorrt", "--precision", "fp16", "--batch", "1,4,8", "--capability", "8.6,8.9"]
    assert export.main([str(checkpoint), "--out", str(tmp_path), *words]) == 0
    captured = capsys.readouterr()
    said = json.loads(captured.out.strip().splitlines()[-1])
    assert said["verified"] is None and "not run here: no GPU" in captured.err
    assert asked == [Target(batches=(1, 4, 8), capabilities=("8.6", "8.9"))] and said["onnx"].endswith("fp16.onnx")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--precision", "fp7"], 'no precision "fp7"'),
        (["--precision", "int8"], "name a data set (--data)"),
        (["--runtime", "tensorrt", "--batch", "1,2"], "three numbers"),
        (["--runtime", "tensorrt", "--batch", "8,2,1"], "rising"),
    ],
)
def test_mistakes_are_sentences(checkpoint, tmp_path, capsys, words, sentence):
    assert export.main([str(checkpoint), "--out", str(tmp_path), *words]) == 2
    assert sentence in capsys.readouterr().err


def test_a_data_set_of_other_classes_is_refused(checkpoint, tmp_path, capsys):
    for split in ("train", "val", "test"):
        for i, name in enumerate(("cat", "dog")):
            (tmp_path / "set" / split / name).mkdir(parents=True)
            for n in range(3):
                Image.new("L", (64, 64), 40 * n + 17 * i).save(tmp_path / "set" / split / name / f"{split}{n}.png")
    words = [checkpoint, "--out", tmp_path / "out", "--data", f"folder:{tmp_path / 'set'}", "--runs", tmp_path / "runs"]
    assert export.main(list(map(str, words))) == 2
    assert "names cat, dog, and the checkpoint anger, disgust" in capsys.readouterr().err
    assert not list((tmp_path / "out").glob("*"))


@pytest.mark.parametrize("option", ["--out", "--triton"])
def test_where_nothing_can_be_written_is_told_before_the_export(checkpoint, tmp_path, capsys, option, monkeypatch):
    monkeypatch.setattr(export, "_network", lambda given: pytest.fail("long work began"))
    (tmp_path / "file").touch()
    for place in (tmp_path / "file", tmp_path / "file" / "below", Path("/proc/none")):
        words = [str(checkpoint), "--out", str(tmp_path / "fine"), option, str(place)]
        assert export.main(words) == 2
        assert f"{option} {place} is no folder that can be written to" in capsys.readouterr().err


def small_net():
    return torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.Flatten(), torch.nn.Linear(144, 2))


def test_a_network_of_the_users_own_is_exported_by_its_name(tmp_path, capsys):
    words = ["--net", "test_export:small_net", "--input", "3,8,8", "--out", str(tmp_path)]
    assert export.main(words) == 0
    assert told(capsys)["verified"]["inputs"] == "random inputs" and (tmp_path / "fp32.onnx").is_file()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "which network?"),
        (["--net", "nowhere"], "names no function"),
        (["--net", "nowhere:net"], "cannot be imported"),
        (["--net", "test_export:DATA_OF"], "cannot be imported"),
        (["--net", "builtins:dict"], "gives a dict"),
        (["--net", "test_export:small_net", "--input", "3,x"], "--input 3,x"),
        (["--net", "test_export:small_net", "--precision", "int8"], "call compress.export"),
    ],
)
def test_networks_that_are_none_are_sentences(tmp_path, capsys, words, sentence):
    assert export.main([*words, "--out", str(tmp_path)]) == 2
    assert sentence in capsys.readouterr().err


def test_options_are_frozen():
    given = vars(export.arguments(["net", "--out", "x"]))
    names = "checkpoint out runtime precision batch capability triton stored data runs net input"
    assert sorted(given) == sorted(names.split())
    assert given["runtime"] in RUNTIMES
