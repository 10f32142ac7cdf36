"""Models as `predict` opens them: every form of a network answers alike, and what is no model is named."""

import json
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_nets import ABOUT, CONFIG, STORED, tiny_checkpoint, tiny_graph, tiny_net, tiny_onnx
from tiny_sets import noise

import fermodels
from compress.exporting.signed_onnx import write_onnx
from compress.libraries import Unavailable
from fermodels.faces.landmarks import landmarker
from fermodels.predict.classifier import FACES_AT_ONCE, answers_of
from fermodels.predict.models import open_model


def faces(count: int) -> np.ndarray:
    return np.stack([noise(seed, STORED, 3) for seed in range(count)])


@pytest.mark.parametrize("model", ["mrf", "vggnet"])
def test_a_checkpoint_answers_as_its_graph(model: str, tmp_path: Path):
    found = open_model(tiny_checkpoint(model, tmp_path))(faces(FACES_AT_ONCE + 3))
    with torch.inference_mode():
        wanted = tiny_graph(model)(torch.from_numpy(faces(FACES_AT_ONCE + 3)).permute(0, 3, 1, 2).float())
    np.testing.assert_allclose(found.probabilities, wanted[0].numpy(), atol=1e-5)
    assert (found.attention is None) == (len(wanted) == 1)
    if found.attention is not None:
        np.testing.assert_allclose(found.attention, wanted[1][:, 0].numpy(), atol=1e-5)


@pytest.mark.slow
def test_an_onnx_file_answers_as_its_checkpoint(tmp_path: Path):
    pytest.importorskip("onnxruntime")
    net = open_model(tiny_checkpoint("mrf", tmp_path / "net"))
    onnx = open_model(tiny_onnx("mrf"))
    assert (onnx.classes, onnx.side, onnx.crop) == (net.classes, net.side, net.crop)
    found, wanted = onnx(faces(FACES_AT_ONCE + 3)), net(faces(FACES_AT_ONCE + 3))
    np.testing.assert_allclose(found.probabilities, wanted.probabilities, atol=1e-4)
    assert found.attention is not None and wanted.attention is not None
    np.testing.assert_allclose(found.attention, wanted.attention, atol=1e-4)


def test_where_it_was_trained_with_landmarks_they_are_found_first(tmp_path: Path):
    fermodels.save(tiny_net("mrf"), tmp_path / "given", ABOUT | {"regions": "given"})
    given, fixed = open_model(tmp_path / "given"), open_model(tiny_checkpoint("mrf", tmp_path / "fixed"))
    found = given(faces(3)).probabilities
    assert np.abs(found - fixed(faces(3)).probabilities).max() > 1e-4 and landmarker("own")(faces(3)).points.any()
    np.testing.assert_allclose(given(faces(3)[1:2]).probabilities, found[1:2], atol=1e-5)


def test_a_silent_checkpoint_takes_faces_of_the_suites_proportion(tmp_path: Path):
    fermodels.save(tiny_net("vggnet"), tmp_path, {name: ABOUT[name] for name in fermodels.checkpoint.CLAIMS})
    assert open_model(tmp_path).side == STORED


def mean_colour(path: Path, said: dict | None) -> Path:
    """An ONNX network whose probabilities are the softmax of a face's mean red, green and blue."""
    pytest.importorskip("onnxruntime")
    onnx = pytest.importorskip("onnx")
    steps = [("GlobalAveragePool", "face", "mean"), ("Flatten", "mean", "flat"), ("Softmax", "flat", "probabilities")]
    nodes = [onnx.helper.make_node(kind, [start], [end]) for kind, start, end in steps]
    face = onnx.helper.make_tensor_value_info("face", onnx.TensorProto.FLOAT, ["batch", 3, 9, 9])
    answer = onnx.helper.make_tensor_value_info("probabilities", onnx.TensorProto.FLOAT, ["batch", 3])
    graph = onnx.helper.make_graph(nodes, "colour", [face], [answer])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 20)], ir_version=9)
    if said is None:
        path.write_bytes(model.SerializeToString())
    else:
        write_onnx(model, path, said)
    return path


SAID = {"side": 9, "regions": "fixed", "crop": 0.5, "classes": ["red", "green", "blue"]}


def test_an_onnx_file_is_fed_pixels_as_it_says(tmp_path: Path):
    model = open_model(mean_colour(tmp_path / "a.onnx", SAID))
    assert (model.classes, model.side, model.crop) == (("red", "green", "blue"), 9, 0.5)
    given = np.stack([noise(seed, 9, 3) for seed in range(FACES_AT_ONCE + 3)])
    powers = np.exp(given.astype(np.float64).mean((1, 2)) - 128)
    found = model(given)
    np.testing.assert_allclose(found.probabilities, powers / powers.sum(1, keepdims=True), atol=1e-4)
    assert found.attention is None


def test_an_onnx_file_that_needs_regions_is_refused(tmp_path: Path):
    path = mean_colour(tmp_path / "a.onnx", SAID | {"regions": "given"})
    with pytest.raises(ValueError, match="regions cut at landmarks: give the checkpoint"):
        open_model(path)


def test_an_onnx_file_whose_metadata_is_another_ones_is_a_sentence(tmp_path: Path):
    """Faces of another side than the network takes, and a network that gives something else."""
    model = open_model(mean_colour(tmp_path / "a.onnx", SAID | {"side": 8}))
    with pytest.raises(ValueError, match=r"cannot be run on \(2, 3, 8, 8\) pixels"):
        model(np.zeros((2, 8, 8, 3), np.uint8))
    for named in ({"logits": np.zeros((2, 3))}, {"probabilities": np.zeros(3)}):
        with pytest.raises(ValueError, match="no probability for each class: export it again"):
            answers_of(named, 3)


def test_an_onnx_file_of_others_is_refused(tmp_path: Path):
    with pytest.raises(ValueError, match="carries no compress metadata"):
        open_model(mean_colour(tmp_path / "a.onnx", None))
    (tmp_path / "b.onnx").write_bytes(b"no network")
    with pytest.raises(ValueError, match="cannot open"):
        open_model(tmp_path / "b.onnx")


@pytest.mark.parametrize("lacking", ["crop", "side", "regions"])
def test_an_onnx_file_that_does_not_say_what_it_is_fed_is_refused(tmp_path: Path, lacking: str):
    said = {name: value for name, value in SAID.items() if name != lacking}
    with pytest.raises(ValueError, match=f"metadata of .* is not complete .*{lacking}"):
        open_model(mean_colour(tmp_path / "a.onnx", said))


def test_answers_that_are_no_probabilities_are_refused(tmp_path: Path):
    """A network whose weights are NaN (it is not even saved), and one that ends in logits."""
    net = tiny_net("vggnet")
    with torch.no_grad():
        next(net.parameters())[0] = torch.nan
    with pytest.raises(ValueError, match="holds NaN"):
        fermodels.save(net, tmp_path / "nan", ABOUT)
    for value in (np.nan, np.inf, 7.0):
        with pytest.raises(ValueError, match="where a probability was due"):
            answers_of({"probabilities": np.array([[0.5, 0.5], [value, 0.5]], np.float32)}, 2)


def test_without_onnxruntime_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "a.onnx").write_bytes(b"")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(Unavailable, match=r"fermodels\[onnx\]"):
        open_model(tmp_path / "a.onnx")


def test_what_names_no_classes_or_too_few_is_refused(tmp_path: Path):
    fermodels.save(tiny_net("vggnet"), tmp_path / "none", ABOUT | {"classes": None})
    with pytest.raises(ValueError, match="does not name its classes"):
        open_model(tmp_path / "none")
    fermodels.save(tiny_net("vggnet"), tmp_path / "few", ABOUT | {"classes": ("yes", "no")})
    with pytest.raises(ValueError, match="tells 7 expressions and names 2"):
        open_model(tmp_path / "few")(faces(1))


def test_a_network_without_answers_is_refused(tmp_path: Path):
    fermodels.save(tiny_net("contrastive"), tmp_path, ABOUT)
    with pytest.raises(ValueError, match="contrastive, which tells no expressions"):
        open_model(tmp_path)


def test_what_is_no_model_is_named(tmp_path: Path):
    with pytest.raises(ValueError, match="there is no model"):
        open_model(tmp_path / "nowhere")
    (tmp_path / "config.json").write_text(json.dumps({"format": 99}))
    with pytest.raises(ValueError, match="has format 99"):
        open_model(tmp_path)


@pytest.mark.parametrize(
    ("edit", "sentence"),
    [
        ({"classes": list("aabcdef")}, "names two classes alike"),
        ({"classes": "abcdefg"}, "does not name its classes"),
        ({"preprocessing": {"size": "x"}}, "preprocessing is damaged|does not fit this version"),
        ({"preprocessing": asdict(CONFIG) | {"size": 10**9}}, "preprocessing is damaged"),
        ({"preprocessing": asdict(CONFIG) | {"std": 0}}, "preprocessing is damaged"),
        ({"preprocessing": "x"}, r"config.json is damaged \("),
        ({"stored": 10**9}, r"config.json is damaged \("),
        ({"preprocessing": asdict(CONFIG) | {"size": 4}}, "cannot be run on faces of 64 px"),
    ],
)
def test_claims_that_cannot_be_are_sentences(edit: dict, sentence: str, tmp_path: Path):
    folder = tiny_checkpoint("vggnet", tmp_path / "net")
    config = json.loads((folder / "config.json").read_text())
    config.pop("digest")
    (folder / "config.json").write_text(json.dumps(config | {"format": 1} | edit))
    with pytest.raises(ValueError, match=sentence):
        open_model(folder)(np.zeros((1, STORED, STORED, 3), np.uint8))
