"""Laws that every runtime keeps: PyTorch's answers at every batch size, wrong inputs refused, precision as asked."""

import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_nets import tiny_deployed, tiny_graph, tiny_onnx

from compress.runtimes import RUNTIMES, Session, TensorSpec, Unavailable, session, torch_runtimes

pytest.importorskip("onnx", reason="needs onnx: pip install -e '.[onnx]'")
TOLERANCES = {"fp32": 1e-4, "bf16": 0.05, "fp16": 0.02}
COMPILES = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")]
"""The compiler's own imports warn of each other."""
CASES = [
    pytest.param(name, precision, marks=COMPILES if name == "torch-compile" else [])
    for name, runtime in RUNTIMES.items()
    for precision in runtime.precisions
    if precision in TOLERANCES
]


@pytest.fixture(scope="module")
def deployed(tmp_path_factory) -> Path:
    """A folder with a program and its ONNX files."""
    return filled(tmp_path_factory.mktemp("deployed"), "mrf")


@pytest.fixture(scope="module")
def one_trunk(tmp_path_factory) -> Path:
    """The same of half as many layers, for the compiler's sake."""
    return filled(tmp_path_factory.mktemp("one_trunk"), "local")


def filled(folder: Path, model: str) -> Path:
    tiny_deployed(model, folder)
    if model == "mrf":
        shutil.copy(tiny_onnx(model, "fp16"), folder / "fp16.onnx")
    shutil.copy(folder / "fp32.onnx", folder / "bf16.onnx")  # the runtime computes in bf16, the file stays float32
    return folder


def opened(folder: Path, name: str, precision: str) -> Session:
    runtime = RUNTIMES[name]
    try:
        return runtime.open(runtime.build(folder / f"{precision}.onnx", precision=precision), precision=precision)
    except Unavailable as missing:
        pytest.skip(str(missing))


@pytest.mark.parametrize(("name", "precision"), CASES)
def test_answers_are_those_of_pytorch_at_every_batch_size(
    request: pytest.FixtureRequest, name: str, precision: str
) -> None:
    compiled = name == "torch-compile"
    deployed = request.getfixturevalue("one_trunk" if compiled else "deployed")
    graph = tiny_graph("local" if compiled else "mrf")
    running = opened(deployed, name, precision)
    for batch in (1, 3):
        pixels = graph.example(batch)
        found = running.run(dict(zip(graph.inputs, pixels, strict=True)))
        with torch.inference_mode():
            wanted = dict(zip(graph.outputs, graph(*pixels), strict=True))
        assert found.keys() == wanted.keys()
        for output, value in wanted.items():
            assert found[output].shape == value.shape and found[output].dtype == torch.float32
            assert np.abs(found[output].numpy() - value.numpy()).max() < TOLERANCES[precision]


@pytest.mark.parametrize("name", [name for name in RUNTIMES if name != "torch-compile"])
def test_an_empty_batch_has_an_empty_answer_and_not_the_last_ones(deployed: Path, name: str) -> None:
    running, graph = opened(deployed, name, "fp32"), tiny_graph("mrf")
    some = running.run(dict(zip(graph.inputs, graph.example(2), strict=True)))
    none = running.run({name: value[:0] for name, value in zip(graph.inputs, graph.example(2), strict=True)})
    assert {name: (0, *value.shape[1:]) for name, value in some.items()} == {
        name: tuple(value.shape) for name, value in none.items()
    }


@pytest.mark.parametrize("name", [name for name in RUNTIMES if name != "torch-compile"])
def test_a_batch_that_does_not_fit_is_refused_with_what_is_wanted(deployed: Path, name: str) -> None:
    running = opened(deployed, name, "fp32")
    face = torch.zeros(1, 3, 64, 64)
    for wrong in (face[0], face[:, :1], face.half(), torch.zeros(1, 3, 56, 56)):
        with pytest.raises(ValueError, match=r'"face" float32 \(any, 3, 64, 64\) was given'):
            running.run({"face": wrong})
    with pytest.raises(ValueError, match=r"'image'.*this session eats \"face\""):
        running.run({"image": face})


@pytest.mark.parametrize("name", RUNTIMES)
def test_an_unknown_precision_and_a_missing_file_are_sentences(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match=rf'{name} has no precision "fp7": it has fp32'):
        RUNTIMES[name].build(tmp_path / "net.onnx", precision="fp7")
    with pytest.raises(ValueError, match="export"):
        RUNTIMES[name].build(tmp_path / "net.onnx", precision="fp32")


@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
def test_a_truncated_file_is_refused_with_a_sentence(deployed: Path, tmp_path: Path, name: str) -> None:
    opened(deployed, name, "fp32")  # skips where the library is missing
    broken = tmp_path / "broken.onnx"
    broken.write_bytes((deployed / "fp32.onnx").read_bytes()[:1000])
    with pytest.raises(ValueError, match=r"broken\.onnx is no valid ONNX file"):
        RUNTIMES[name].open(broken, precision="fp32")


@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
def test_threads_rest_when_a_run_is_over(deployed: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)  # with one there is no pool
    running = opened(deployed, name, "fp32")
    face = {"face": torch.zeros(8, 3, 64, 64)}
    spent = []
    for _ in range(5):
        running.run(face)
        before = time.process_time()
        time.sleep(0.04)
        spent.append(time.process_time() - before)
    assert sorted(spent)[2] < 0.015, "ONNX Runtime's own way is to spin on all of this time"


class Claimed:
    """A session that says what it is told to say."""

    runtime, precision = "imagined", "int8"

    def __init__(self, **layers: str) -> None:
        self.layers = layers

    def precision_by_layer(self) -> dict[str, str]:
        return self.layers


def test_a_precision_that_was_not_honoured_is_an_error() -> None:
    allowed = {"int8": ("int8", "fp32")}
    fine = Claimed(conv="int8", cut="fp32")
    assert session.honoured(fine, allowed) is fine
    with pytest.raises(ValueError, match="conv: fp16; 1 of 2 layers"):
        session.honoured(Claimed(conv="fp16", head="int8"), allowed)
    with pytest.raises(ValueError, match="no layer has it"):
        session.honoured(Claimed(conv="fp32"), allowed)


def test_specs_speak() -> None:
    spec = TensorSpec(name="face", dtype=torch.float32, shape=(None, 3, 64, 64))
    assert str(spec) == '"face" float32 (any, 3, 64, 64)'
    assert spec.fits(torch.zeros(5, 3, 64, 64)) and not spec.fits(torch.zeros(5, 3, 64, 65))


SHARED = [name for name in RUNTIMES if name != "torch-compile"]


@pytest.mark.parametrize("name", SHARED)
def test_threads_that_share_a_session_get_the_answers_of_one(one_trunk: Path, name: str) -> None:
    running = opened(one_trunk, name, "fp32")
    (spec,) = running.io.inputs
    random = torch.Generator().manual_seed(0)
    batches = [torch.randint(0, 256, (1 + i % 5, *spec.shape[1:]), generator=random).float() for i in range(30)]
    wanted = [running.run({spec.name: batch}) for batch in batches]
    orders = [[(i * step) % 30 for i in range(30)] for step in (1, 7, 11, 29)]

    def answers(order: list[int]) -> list[dict[str, torch.Tensor]]:
        return [running.run({spec.name: batches[i]}) for i in order]

    with ThreadPoolExecutor(4) as pool:
        for order, found in zip(orders, pool.map(answers, orders), strict=True):
            for i, answer in zip(order, found, strict=True):
                assert all(torch.equal(answer[output], value) for output, value in wanted[i].items())


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_a_session_that_dynamo_gives_up_on_fails_and_does_not_run_eagerly_in_silence(
    one_trunk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch._dynamo.reset()
    limit = torch._dynamo.config.recompile_limit
    monkeypatch.setattr(torch_runtimes, "VARIANTS", 1)
    running, graph = opened(one_trunk, "torch-compile", "fp32"), tiny_graph("local")
    running.run(dict(zip(graph.inputs, graph.example(1), strict=True)))
    second = dict(zip(graph.inputs, graph.example(2), strict=True))
    with ThreadPoolExecutor(1) as pool, pytest.raises(Exception, match="fullgraph"):
        pool.submit(running.run, second).result()  # the limit holds in every thread
    assert torch._dynamo.config.recompile_limit == limit


class ImaginedGpu:
    """Replays a launch by making it again."""

    def __init__(self) -> None:
        self.recorded = 0

    def resident(self, tensor: torch.Tensor) -> torch.Tensor:
        return tensor

    def copy(self, into: torch.Tensor, given: torch.Tensor) -> None:
        into.copy_(given)

    def captured(self, launch):
        self.recorded += 1
        launch(0)
        return lambda: launch(0)


def test_launches_are_recorded_once_for_each_shape_and_read_the_inputs_of_every_run() -> None:
    gpu, kept = ImaginedGpu(), {}

    def doubled(face: torch.Tensor) -> tuple[torch.Tensor]:
        out = kept.setdefault(face.shape, torch.empty_like(face))
        return (torch.mul(face, 2, out=out),)

    replayed = torch_runtimes.Replayed(doubled, gpu)
    for value in (1.0, 2.0, 3.0):
        for batch in (1, 3):
            given = torch.full((batch, 2), value)
            (found,) = replayed(given)
            assert torch.equal(found, 2 * given) and torch.equal(given, torch.full((batch, 2), value))
    assert gpu.recorded == 2


def test_a_network_that_cannot_be_recorded_is_told_and_not_timed() -> None:
    class Refusing(ImaginedGpu):
        def captured(self, launch):
            raise RuntimeError("operation not permitted when stream is capturing")

    with pytest.raises(Unavailable, match=r"cannot be recorded as a CUDA graph: operation not permitted"):
        torch_runtimes.Replayed(lambda face: (face,), Refusing())(torch.zeros(1, 2))


@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
def test_a_file_of_others_that_contradicts_itself_is_a_sentence(name: str, tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx", reason="needs onnx: pip install -e '.[onnx]'")
    pytest.importorskip(name, reason=f"needs {name}: pip install -e '.[dev]'")
    ends = [
        onnx.helper.make_tensor_value_info(end, onnx.TensorProto.FLOAT, shape)
        for end, shape in (("face", ("batch", 35, 16, 16)), ("map", None))
    ]
    kernel = onnx.numpy_helper.from_array(np.ones((4, 3, 3, 3), np.float32), "kernel")  # for 3 channels, not for 35
    conv = onnx.helper.make_node("Conv", ["face", "kernel"], ["map"])
    model = onnx.helper.make_model(onnx.helper.make_graph([conv], "odd", ends[:1], ends[1:], [kernel]), ir_version=10)
    (tmp_path / "odd.onnx").write_bytes(model.SerializeToString())
    runtime = RUNTIMES[name]
    with pytest.raises(ValueError, match=r"odd.onnx|cannot run this network"):
        opened = runtime.open(runtime.build(tmp_path / "odd.onnx", precision="fp32"), precision="fp32")
        opened.run({"face": torch.zeros(1, 35, 16, 16)})
