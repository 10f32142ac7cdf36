"""ONNX: one file, dynamic batch, no batch norm left, described, and the same answers as PyTorch."""

import numpy as np
import pytest
from tiny_nets import ABOUT, tiny_graph, tiny_onnx

import fermodels
from compress.exporting import onnx_file

onnx = pytest.importorskip("onnx", reason="needs onnx: pip install -e '.[onnx]'")


HEAVY = {"resnet50": pytest.mark.slow}
"""Its export takes three times as long as any other."""


@pytest.fixture(scope="module", params=[pytest.param(name, marks=HEAVY.get(name, ())) for name in fermodels.MODELS])
def exported(request):
    return tiny_graph(request.param), tiny_onnx(request.param)


def test_the_file_answers_as_the_network_at_every_batch_size(exported):
    made, path = exported
    found = onnx_file.verify(path, made, [made.example(1), made.example(3), made.example(8)])
    assert found.n == 12
    assert found.largest < 1e-4 and found.agreement == 1
    assert found.checked(onnx_file.TOLERANCES["fp32"]) is found


def test_it_is_one_checked_file_without_batch_norms(exported):
    made, path = exported
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    assert [p.name for p in path.parent.iterdir()] == ["net.onnx"]
    if type(made.net) is not fermodels.MODELS["densenet121"][0]:  # its batch norms come before their convolutions
        assert "BatchNormalization" not in {node.op_type for node in model.graph.node}
    assert all(value.type.tensor_type.shape.dim[0].dim_param == "batch" for value in model.graph.input)


def test_it_says_what_to_feed_and_what_comes_out(exported):
    made, path = exported
    said = onnx_file.described(path)
    assert said["classes"] == list(fermodels.EXPRESSIONS)
    assert said["inputs"]["face"] == {
        **{"colour": "RGB", "layout": "NCHW", "dtype": "float32", "range": [0, 255]},
        "side": 64,
    }
    assert tuple(said["outputs"]) == made.outputs and said["precision"] == "fp32"


def test_half_precision_is_in_the_file():
    made, path = tiny_graph("mrf"), tiny_onnx("mrf", "fp16")
    model = onnx.load(path)
    kinds = {one.data_type for one in model.graph.initializer if len(one.dims) == 4}
    assert kinds == {onnx.TensorProto.FLOAT16}
    assert {value.type.tensor_type.elem_type for value in model.graph.input} == {onnx.TensorProto.FLOAT}
    onnx_file.verify(path, made, [made.example(4)]).checked(onnx_file.TOLERANCES["fp16"])


def test_a_broken_artefact_is_told_by_its_answers():
    rng = np.random.default_rng(0)
    right = rng.dirichlet(np.ones(7), 50)
    far = onnx_file.parity(right[::-1].copy(), right)
    with pytest.raises(ValueError, match="does not compute the network"):
        far.checked(onnx_file.TOLERANCES["fp32"])
    near = onnx_file.parity(right + 1e-5, right)
    assert near.largest == pytest.approx(1e-5) and near.agreement == 1 and near.n == 50
    with pytest.raises(ValueError, match="the same images"):
        onnx_file.parity(right[:3], right)


def test_bad_input_is_a_sentence(tmp_path):
    with pytest.raises(ValueError, match="fp32, fp16"):
        onnx_file.onnx_from_net(tiny_graph("vggnet"), tmp_path / "x.onnx", ABOUT, precision="fp8")
    with pytest.raises(ValueError, match="no readable ONNX file"):
        onnx_file.described(tmp_path / "none.onnx")
    (tmp_path / "text.onnx").write_text("hello")
    with pytest.raises(ValueError, match=r"text\.onnx"):
        onnx_file.described(tmp_path / "text.onnx")
