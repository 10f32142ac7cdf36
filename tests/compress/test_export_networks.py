"""`compress.export` takes any network: inputs and outputs of any number and kind, any batch, left as it was."""

from collections.abc import Callable
from copy import deepcopy
from typing import NamedTuple

import pytest
import torch
from torch import Tensor, nn

from compress.exporting.export import export
from compress.exporting.program import load_program
from compress.exporting.signed_onnx import described
from compress.runtimes import RUNTIMES, Session, Unavailable

pytest.importorskip("onnx", reason="needs onnx: pip install -e '.[onnx]'")


class Answer(NamedTuple):
    logits: Tensor
    map: Tensor | None
    rest: dict[str, Tensor]


class Two(nn.Module):
    """Two inputs, three outputs in a tuple with names, and a field that is None."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.head = nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Linear(10, 5)

    def forward(self, picture: Tensor, age: Tensor) -> Answer:
        features = self.norm(self.conv(picture)).relu()
        both = torch.cat([features.mean((2, 3)), age], 1)
        return Answer(self.head(both), None, {"pooled": both, "first": features[:, :1]})


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """The network and the folder it was exported to, in training mode and from a batch of one."""
    torch.manual_seed(0)
    net, folder = Two(), tmp_path_factory.mktemp("two")
    net.norm.running_mean.normal_()
    net.train()
    before = deepcopy(net.state_dict())
    export(net, (torch.randn(1, 3, 8, 8), torch.randn(1, 2)), folder / "fp32.onnx", about={"classes": list("abcde")})
    assert net.training and all(torch.equal(before[name], value) for name, value in net.state_dict().items())
    return net.eval(), folder


def opened(folder, name: str, precision: str) -> Session:
    runtime = RUNTIMES[name]
    try:
        return runtime.open(runtime.build(folder / "fp32.onnx", precision=precision), precision=precision)
    except Unavailable as missing:
        pytest.skip(str(missing))


CASES = [
    (name, precision)
    for name, runtime in RUNTIMES.items()
    if name != "torch-compile"
    for precision in runtime.precisions
    if precision in ("fp32", "bf16")
]


@pytest.mark.parametrize(("name", "precision"), CASES)
@pytest.mark.parametrize("batch", [0, 1, 3])
def test_every_output_of_every_runtime_is_that_of_the_network(two, name: str, precision: str, batch: int) -> None:
    net, folder = two
    session = opened(folder, name, precision)
    fed = {"picture": torch.randn(batch, 3, 8, 8), "age": torch.randn(batch, 2)}
    session.run({"picture": torch.randn(3, 3, 8, 8), "age": torch.randn(3, 2)})  # what an empty batch must not repeat
    found = session.run(fed)
    with torch.inference_mode():
        answer = net(*fed.values()) if batch else net(torch.zeros(1, 3, 8, 8), torch.zeros(1, 2))
    wanted = {"logits": answer.logits, **answer.rest}
    assert found.keys() == wanted.keys()
    for output, value in wanted.items():
        assert found[output].shape == (batch, *value.shape[1:]) and found[output].dtype == torch.float32
        if batch:
            assert (found[output] - value).abs().max() < (1e-4 if precision == "fp32" else 0.05)


def test_inputs_of_different_batches_are_refused(two) -> None:
    with pytest.raises(ValueError, match=r"different batch sizes: .*'picture': 2.*'age': 3"):
        opened(two[1], "torch", "fp32").run({"picture": torch.zeros(2, 3, 8, 8), "age": torch.zeros(3, 2)})


def test_names_come_from_the_network_or_from_the_user(two, tmp_path) -> None:
    said = described(two[1] / "fp32.onnx")
    assert list(said["inputs"]) == ["picture", "age"] and said["outputs"] == ["logits", "pooled", "first"]
    assert said["classes"] == list("abcde") and said["inputs"]["age"] == {"dtype": "float32", "shape": [2]}
    example = (torch.randn(2, 3, 8, 8), torch.randn(2, 2))
    chosen = {"output": lambda answer: answer.logits.softmax(1), "names": (["face", "years"], ["probabilities"])}
    said = described(export(two[0], example, tmp_path / "one.onnx", **chosen).path)
    assert list(said["inputs"]) == ["face", "years"] and said["outputs"] == ["probabilities"]
    for names in ((["face"], []), ([], ["one"])):
        with pytest.raises(ValueError, match="give one for each"):
            export(two[0], example, tmp_path / "two.onnx", names=names)


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")  # the compiler's own imports warn of each other
@pytest.mark.parametrize(
    "wrapped", [nn.DataParallel, torch.compile, lambda net: net.half(), lambda net: net.bfloat16()]
)
def test_wrapped_and_half_networks_are_exported_as_what_they_are(tmp_path, wrapped: Callable) -> None:
    net = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    path = export(wrapped(deepcopy(net)), torch.randn(2, 3), tmp_path / "fp32.onnx").path
    given = torch.randn(5, 3)
    found = RUNTIMES["onnxruntime"].open(path, precision="fp32").run({"input": given})["output"]
    assert (found - net(given)).abs().max() < 0.02


def test_what_cannot_leave_is_a_sentence(tmp_path) -> None:
    class Branching(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x) if x.sum() > 0 else x

    class Averaging(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x).mean(0)

    with pytest.raises(ValueError, match=r"torch\.export cannot trace"):
        export(Branching(3, 3), torch.randn(2, 3), tmp_path / "x.onnx")
    with pytest.raises(ValueError, match="its first axis must be the batch"):
        export(Averaging(3, 3), torch.randn(2, 3), tmp_path / "x.onnx")
    with pytest.raises(ValueError, match="at least 500"):
        export(nn.Linear(3, 3), torch.randn(2, 3), tmp_path / "x.onnx", precision="int8", calibrate=[torch.randn(9, 3)])
    with pytest.raises(ValueError, match="give calibrate="):
        export(nn.Linear(3, 3), torch.randn(2, 3), tmp_path / "x.onnx", precision="int8")


def test_a_loader_with_targets_calibrates(tmp_path) -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Conv2d(4, 4, 3), nn.Flatten(), nn.Linear(64, 3))
    loader = [(torch.randn(100, 3, 6, 6), torch.zeros(100)) for _ in range(6)]
    made = export(net, torch.randn(1, 3, 6, 6), tmp_path / "int8.onnx", precision="int8", calibrate=loader)
    assert made.calibration in ("minmax", "percentile", "entropy") and made.parity.agreement > 0.9
    assert RUNTIMES["onnxruntime"].open(made.path, precision="int8").precision_by_layer()


def test_a_program_belongs_to_its_file_and_is_whole(two, tmp_path) -> None:
    net, folder = two
    data = (folder / "program.pt2").read_bytes()
    place = data.index(net.conv.weight.detach().numpy().tobytes())
    damaged = bytearray(data)
    damaged[place + 5] ^= 16
    (tmp_path / "program.pt2").write_bytes(damaged)
    with pytest.raises(ValueError, match=r"program\.pt2 is"):
        load_program(tmp_path / "program.pt2")
    path = export(nn.Linear(3, 2), torch.randn(2, 3), tmp_path / "other.onnx").path
    export(nn.Linear(3, 2), torch.randn(2, 3), tmp_path / "fp32.onnx")
    with pytest.raises(ValueError, match=r"other\.onnx comes from another network than program\.pt2"):
        RUNTIMES["torch"].build(path, precision="fp32")
