"""What every network keeps when it leaves PyTorch: its answers, at another batch size than it was traced with."""

from importlib.util import find_spec

import pytest
import torch
from foreign_zoo import NAMES, PLAIN, build, example, lively

from compress.calling import first_tensor
from compress.exporting.export import export
from compress.runtimes import RUNTIMES

pytest.importorskip("onnx", reason="needs onnx: pip install -e '.[onnx]'")
FAST = (*PLAIN, "resnet18", "mobilenetv3_small_100")
CASES = [pytest.param(name, marks=[] if name in FAST else pytest.mark.slow) for name in NAMES]


@pytest.mark.parametrize("name", CASES)
def test_onnx_runtime_answers_as_the_network(tmp_path, name: str) -> None:
    if name not in PLAIN and find_spec("timm") is None:
        pytest.skip("needs timm: pip install --no-deps timm")
    net = lively(build(name)).eval()
    path = export(net, example(name, 2), tmp_path / "fp32.onnx").path
    session = RUNTIMES["onnxruntime"].open(path, precision="fp32")
    given = example(name, 3)
    fed = given if isinstance(given, tuple) else (given,)
    with torch.inference_mode():
        wanted = first_tensor(net(*fed))
    names = [spec.name for spec in session.io.inputs]
    found = next(iter(session.run(dict(zip(names, fed, strict=True))).values()))
    assert found.shape == wanted.shape
    assert (found - wanted).abs().max() <= 1e-4 * wanted.abs().max()
