"""INT8: pairs in the file as TensorRT wants them, close to float32, chosen on validation."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_nets import tiny_graph, tiny_onnx

import fermodels
from compress.exporting import quantize
from compress.exporting.signed_onnx import described
from compress.runtimes import RUNTIMES

onnx = pytest.importorskip("onnx", reason="needs onnx: pip install -e '.[onnx]'")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Graph, float32 file, and calibration feeds of 500 smooth faces."""
    graph = tiny_graph("mrf")
    path = Path(shutil.copy(tiny_onnx("mrf"), tmp_path_factory.mktemp("int8") / "fp32.onnx"))
    coarse = torch.rand(500, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    faces = 255 * torch.nn.functional.interpolate(coarse, size=64, mode="bilinear")
    return graph, path, [{"face": part.numpy()} for part in faces.split(100)]


@pytest.fixture(scope="module")
def quantised(made):
    _, path, feeds = made
    asked = []
    found = quantize.int8_from_onnx(
        path,
        path.with_name("int8.onnx"),
        feeds,
        lambda file: asked.append(file.stem) or {"percentile": 0.7}.get(file.stem, 0.5),
    )
    return found, asked


def test_every_calibration_is_scored_and_the_best_kept(quantised):
    found, asked = quantised
    assert asked == list(quantize.METHODS) == list(found.scores)
    assert found.method == "percentile" and found.scores["percentile"] == 0.7
    said = described(found.path)
    assert (said["precision"], said["calibration"]) == ("int8", "percentile")
    assert said["classes"] == list(fermodels.EXPRESSIONS)


def test_weights_and_activations_are_signed_and_symmetric_and_biases_are_float(quantised):
    model = onnx.load(quantised[0].path)
    values = {one.name: onnx.numpy_helper.to_array(one) for one in model.graph.initializer}
    makers = {output: node for node in model.graph.node for output in node.output}
    pairs = [node for node in model.graph.node if node.op_type in ("QuantizeLinear", "DequantizeLinear")]
    assert pairs
    for node in pairs:
        assert values[node.input[2]].dtype == np.int8 and not values[node.input[2]].any()
    convolutions = [node for node in model.graph.node if node.op_type == "Conv"]
    assert len(convolutions) == 28
    in_float = [node for node in convolutions if node.input[1] in values]
    assert [values[node.input[1]].shape[1] for node in in_float] == [3, 3], "those that see the pixels"
    for node in (node for node in convolutions if node not in in_float):
        weight = makers[node.input[1]]
        assert weight.op_type == "DequantizeLinear" and values[weight.input[0]].dtype == np.int8
        assert values[weight.input[1]].shape == (values[weight.input[0]].shape[0],), "one scale per channel"
        assert all(values[bias].dtype == np.float32 for bias in node.input[2:])


def test_regions_are_cut_in_float(quantised):
    model = onnx.load(quantised[0].path)
    makers = {output: node.op_type for node in model.graph.node for output in node.output}
    cuts = [node for node in model.graph.node if node.op_type == "MatMul"]
    assert len(cuts) == 4
    assert all(makers.get(name, "given") != "DequantizeLinear" for node in cuts for name in node.input)


@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
def test_runtimes_honour_it_and_stay_close(made, quantised, name):
    graph, _, feeds = made
    if name == "openvino":
        pytest.importorskip("openvino", reason="needs openvino: pip install -e '.[openvino]'")
    running = RUNTIMES[name].open(quantised[0].path, precision="int8")
    pixels = torch.from_numpy(feeds[0]["face"])
    with torch.inference_mode():
        wanted = graph(pixels)[0]
    assert (running.run({"face": pixels})["probabilities"] - wanted).abs().max() < 0.05


def test_too_few_faces_are_a_sentence(made, tmp_path):
    _, path, feeds = made
    with pytest.raises(ValueError, match="at least 500"):
        quantize.int8_from_onnx(path, tmp_path / "x.onnx", feeds[:2], lambda file: 0.0)


@pytest.mark.parametrize("count", [500, 513, 700, 1023])
def test_any_number_of_inputs_makes_batches_of_one_size(count):
    random = np.random.default_rng(0)
    given = random.normal(size=(count, 3, 2, 2)).astype(np.float32)
    even = quantize.evened([{"face": part} for part in np.split(given, range(128, count, 128))])
    (size,) = {len(feed["face"]) for feed in even}
    kept = np.concatenate([feed["face"] for feed in even])
    assert size <= quantize.CHUNK and count - len(even) < len(kept) <= count
    assert np.array_equal(kept, given[: len(kept)])


def test_constant_pictures_and_copies_are_no_calibration():
    random = np.random.default_rng(0)
    given = random.normal(size=(600, 3, 2, 2)).astype(np.float32)
    given[100:300] = 7.0
    with pytest.raises(ValueError, match=r"400 of 600 inputs .* neither constant nor copies"):
        quantize.evened([{"face": given}])
    given[100:300] = given[0]
    with pytest.raises(ValueError, match="400 of 600"):
        quantize.evened([{"face": given}])
    given[100] = 7.0
    assert len(quantize.evened([{"face": random.normal(size=(600, 3, 2, 2)).astype(np.float32)}])) == 5
