"""Landmarks from any ONNX model: back in the crop, and trusted as far as its answers agree."""

import os
from pathlib import Path

import numpy as np
import pytest
from fake_landmarkers import Brightest, InTwo, noise, spot

from fermodels.data.synthetic import render
from fermodels.faces import landmark_onnx
from fermodels.faces.landmark_base import as_shares
from fermodels.faces.landmark_errors import nme
from fermodels.faces.landmarks import landmarker

REPOSITORY = Path(__file__).resolve().parents[2]
REAL = Path(os.environ.get("FER_DATA", REPOSITORY / "../shared/data")) / "detectors/pfld68_cunjian.onnx"


def test_an_onnx_models_points_come_back_to_the_crop():
    crops = spot()
    found = landmark_onnx.OnnxLandmarks(Brightest(), "x.onnx")(crops)
    assert np.allclose(found.points[:, 8], [(62, 45), (62, 50), (62, 55)], atol=0.05)
    # Jaw ends: half the difference of their offsets, 16 steps of 0.4 / 67 of a side of 100 px.
    assert np.allclose(found.points[0, [0, 16], 0] - 62, np.array([-8, 8]) * 40 / 67, atol=0.05)


def test_answers_that_move_with_the_picture_are_trusted_and_others_are_not():
    sure = landmark_onnx.OnnxLandmarks(Brightest(), "x.onnx")(spot()).confidence
    blind = landmark_onnx.OnnxLandmarks(Brightest(sees=False), "x.onnx")(spot()).confidence
    assert sure.min() > 0.9 > 0.5 > blind.max()


def test_agreement_by_hand():
    """Two views, eye corners 10 apart, one point told 1 to the left and 1 to the right of its mean."""
    answers = np.zeros((2, 1, 68, 2), np.float32)
    answers[:, :, 45, 0] = 10
    answers[0, :, 30, 0], answers[1, :, 30, 0] = -1, 1
    confidence = landmark_onnx.agreement(answers)
    assert confidence[0, 30] == pytest.approx(1 / (1 + (0.1 / landmark_onnx.DOUBT) ** landmark_onnx.SLOPE))
    assert confidence[0, 0] == 1


def test_pixels_and_shares_are_told_apart_and_confidence_is_taken_as_given():
    shares, pixels = (landmark_onnx.OnnxLandmarks(Brightest(scale=s), "x.onnx")(spot()).points for s in (1.0, 100.0))
    assert np.allclose(shares, pixels, atol=1e-3)
    for session in (Brightest(outputs=204), InTwo()):
        told = landmark_onnx.OnnxLandmarks(session, "x.onnx")(spot())
        assert np.allclose(told.confidence, 0.7) and np.allclose(told.points[:, 8, 0], 62, atol=0.05)


def test_a_fixed_batch_is_filled_up():
    session = Brightest(batch=2)
    found = landmark_onnx.OnnxLandmarks(session, "x.onnx")(spot())
    assert set(session.calls) == {2} and np.allclose(found.points[:, 8, 1], (45, 50, 55), atol=0.05)


def test_a_model_of_other_points_is_refused():
    with pytest.raises(ValueError, match="answers with 10 numbers a face; a 68-point model gives 136"):
        landmark_onnx.OnnxLandmarks(Brightest(outputs=10), "x.onnx")


def test_a_real_onnx_file_is_opened(tmp_path: Path):
    onnx = pytest.importorskip("onnx")
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    middle = helper.make_tensor("middle", kind, [1, 136], np.full(136, 0.5, np.float32).tolist())
    zero = helper.make_tensor("zero", kind, [3, 136], np.zeros(408, np.float32).tolist())
    nodes = [
        helper.make_node("ReduceMean", ["x"], ["colour"], axes=[2, 3], keepdims=0),
        helper.make_node("MatMul", ["colour", "zero"], ["nothing"]),
        helper.make_node("Add", ["nothing", "middle"], ["points"]),
    ]
    graph = helper.make_graph(
        nodes,
        "middle",
        [helper.make_tensor_value_info("x", kind, ["b", 3, 32, 32])],
        [helper.make_tensor_value_info("points", kind, ["b", 136])],
        [middle, zero],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    file = tmp_path / "middle.onnx"
    onnx.save(model, file)
    assert np.allclose(landmarker(f"onnx:{file}")(noise(2, 30, 60)).points, (30, 15), atol=1e-4)
    file.write_bytes(b"not a model")
    with pytest.raises(ValueError, match="cannot open"):
        landmarker(f"onnx:{file}")


@pytest.mark.slow
@pytest.mark.skipif(
    not REAL.is_file(), reason="pfld68_cunjian.onnx is not here; FER_DATA names the folder of detectors"
)
def test_a_published_model_finds_the_eyes_and_the_mouth():
    faces = render(range(2**31 + 5000, 2**31 + 5002), size=64, seed=0, occluders=0.4)
    found = landmarker(f"onnx:{REAL}")(faces.images[:2])
    assert nme(as_shares(found.points, faces.images[:2]), faces.landmarks[:2]) < 0.25
