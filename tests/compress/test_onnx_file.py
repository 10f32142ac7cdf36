"""ONNX: one file, dynamic batch, no batch norm left, described, whole, and the same answers as PyTorch."""

import numpy as np
import pytest
import torch
from tiny_nets import tiny_graph, tiny_onnx
from torch import nn

import fermodels
from compress.exporting.export import export
from compress.exporting.graph import graph_of
from compress.exporting.parity import TOLERANCES, parity, verified
from compress.exporting.signed_onnx import checked, described, whole
from compress.runtimes import RUNTIMES
from compress.runtimes.onnx_runtime import OnnxRuntimeSession

onnx = pytest.importorskip("onnx", reason="needs onnx: pip install -e '.[onnx]'")


HEAVY = {"resnet50": pytest.mark.slow}
"""Its export takes three times as long as any other."""


def graph(deployed):
    return graph_of(deployed, deployed.example(2), inputs=deployed.inputs, outputs=deployed.outputs)


@pytest.fixture(scope="module", params=[pytest.param(name, marks=HEAVY.get(name, ())) for name in fermodels.MODELS])
def exported(request):
    return tiny_graph(request.param), tiny_onnx(request.param)


def test_the_file_answers_as_the_network_at_every_batch_size(exported):
    made, path = exported
    found = verified(OnnxRuntimeSession(path, "fp32"), graph(made), [made.example(n) for n in (1, 3, 8)])
    assert found.n == 12
    assert found.largest < 1e-4 and found.agreement == 1
    assert found.checked(TOLERANCES["fp32"]) is found


def test_it_is_one_checked_file_without_batch_norms(exported):
    made, path = exported
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    assert sorted(p.name for p in path.parent.iterdir()) == ["fp32.onnx", "program.pt2"]
    if type(made.net) is not fermodels.MODELS["densenet121"][0]:  # its batch norms come before their convolutions
        assert "BatchNormalization" not in {node.op_type for node in model.graph.node}
    assert all(value.type.tensor_type.shape.dim[0].dim_param == "batch" for value in model.graph.input)


def test_it_says_what_to_feed_and_what_comes_out(exported):
    made, path = exported
    said = described(path)
    assert said["classes"] == list(fermodels.EXPRESSIONS)
    assert said["inputs"]["face"] == {"dtype": "float32", "shape": [3, 64, 64]}
    assert (said["side"], said["crop"], said["colour"], said["range"]) == (64, 56 / 64, "RGB", [0, 255])
    assert tuple(said["outputs"]) == made.outputs and said["precision"] == "fp32"


def test_half_precision_is_in_the_file():
    made, path = tiny_graph("mrf"), tiny_onnx("mrf", "fp16")
    model = onnx.load(path)
    kinds = {one.data_type for one in model.graph.initializer if len(one.dims) == 4}
    assert kinds == {onnx.TensorProto.FLOAT16}
    assert {value.type.tensor_type.elem_type for value in model.graph.input} == {onnx.TensorProto.FLOAT}
    verified(OnnxRuntimeSession(path, "fp16"), graph(made), [made.example(4)]).checked(TOLERANCES["fp16"])


def test_a_broken_artefact_is_told_by_its_answers():
    rng = np.random.default_rng(0)
    right = rng.dirichlet(np.ones(7), 50)
    far = parity(right[::-1].copy(), right)
    with pytest.raises(ValueError, match="does not compute the network"):
        far.checked(TOLERANCES["fp32"])
    near = parity(right + 1e-5, right)
    assert near.largest == pytest.approx(1e-5) and near.agreement == 1 and near.n == 50
    with pytest.raises(ValueError, match="the same inputs"):
        parity(right[:3], right)


@pytest.mark.parametrize("precision", TOLERANCES)
@pytest.mark.parametrize("side", ["found", "wanted", "both"])
def test_nan_is_near_nothing(precision: str, side: str):
    found, wanted = np.full((4, 3), 0.5), np.full((4, 3), 0.5)
    for name, answers in (("found", found), ("wanted", wanted)):
        if side in (name, "both"):
            answers[1] = np.nan
    with pytest.raises(ValueError, match="does not compute the network"):
        parity(found, wanted).checked(TOLERANCES[precision])


def test_weights_that_are_not_finite_are_neither_exported_nor_opened(tmp_path):
    net = nn.Linear(3, 2)
    path = export(net, torch.randn(2, 3), tmp_path / "fp32.onnx").path
    model = onnx.load(path)
    del model.metadata_props[:]
    weight = next(one for one in model.graph.initializer if len(one.dims) == 2)
    values = onnx.numpy_helper.to_array(weight).copy()
    values[0, 0] = np.nan
    weight.CopyFrom(onnx.numpy_helper.from_array(values, weight.name))
    onnx.save(model, tmp_path / "nan.onnx")
    for name in ("onnxruntime", "openvino"):
        with pytest.raises(ValueError, match=r"weights that are NaN or infinite"):
            RUNTIMES[name].open(tmp_path / "nan.onnx", precision="fp32")
    with torch.no_grad():
        net.bias[1] = torch.inf
    with pytest.raises(ValueError, match="bias holds NaN or infinite"):
        export(net, torch.randn(2, 3), tmp_path / "never.onnx")
    assert not (tmp_path / "never.onnx").exists()


def test_no_flipped_bit_is_opened(tmp_path):
    data = tiny_onnx("local").read_bytes()
    random = np.random.default_rng(0)
    places = [*random.integers(0, len(data), 200), *range(len(data) - 100, len(data)), 0]
    broken = tmp_path / "broken.onnx"
    for place in places:
        damaged = bytearray(data)
        damaged[place] ^= 1 << int(random.integers(8))
        broken.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"broken\.onnx is damaged"):
            whole(broken)
    for length in (0, 10, len(data) - 1):
        broken.write_bytes(data[:length])
        with pytest.raises(ValueError, match=r"broken\.onnx"):
            checked(broken)


def test_an_invalid_graph_is_refused_before_a_runtime_crashes_on_it(tmp_path):
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    bad = helper.make_graph(
        [helper.make_node("Conv", ["face"], ["out"])],  # without weights: OpenVINO ends the process
        "bad",
        [helper.make_tensor_value_info("face", kind, ["batch", 3, 8, 8])],
        [helper.make_tensor_value_info("out", kind, ["batch", 3, 8, 8])],
    )
    onnx.save(helper.make_model(bad), tmp_path / "bad.onnx")
    for name in ("onnxruntime", "openvino"):
        with pytest.raises(ValueError, match="no valid ONNX file"):
            RUNTIMES[name].open(tmp_path / "bad.onnx", precision="fp32")


def test_bad_input_is_a_sentence(tmp_path):
    with pytest.raises(ValueError, match="fp32, fp16, int8"):
        export(nn.Linear(3, 2), torch.randn(2, 3), tmp_path / "x.onnx", precision="fp8")
    with pytest.raises(ValueError, match="is no file"):
        described(tmp_path / "none.onnx")
    (tmp_path / "text.onnx").write_text("hello")
    with pytest.raises(ValueError, match=r"text\.onnx"):
        described(tmp_path / "text.onnx")
