"""TensorRT without a GPU: engines really built, precision proved, sidecars checked, foreign and broken ones refused."""

import hashlib
import json
import shutil
import sys
from dataclasses import asdict, replace
from enum import Enum
from pathlib import Path

import pytest
import torch
from tiny_nets import tiny_graph, tiny_onnx

from compress.exporting import quantize
from compress.runtimes import RUNTIMES, Unavailable, engine_builder, engine_session, engines, tensor_rt
from compress.runtimes.buffers import BUFFERS
from compress.runtimes.engines import trtexec
from compress.runtimes.session import ANY, Target, honoured
from compress.runtimes.tensor_rt import TensorRt

pytest.importorskip("onnx", reason="needs onnx: pip install -e '.[onnx]'")
FOUR = Target(capabilities=("8.0", "8.6", "8.9", "12.0"))
RTX = RUNTIMES["tensorrt-rtx"]
needs_rtx = pytest.mark.skipif(
    "not __import__('importlib.util').util.find_spec('tensorrt_rtx')",
    reason="needs tensorrt-rtx: pip install -e '.[trt-rtx]'",
)


@pytest.fixture(scope="module")
def exported(tmp_path_factory) -> Path:
    """A folder with fp32.onnx, fp16.onnx and int8.onnx of a slim MRF."""
    folder = tmp_path_factory.mktemp("trt")
    graph = tiny_graph("mrf")
    for precision in ("fp32", "fp16"):
        shutil.copy(tiny_onnx("mrf", precision), folder / f"{precision}.onnx")
    feeds = [{"face": graph.example(250)[0].numpy()} for _ in range(2)]
    quantize.quantise(folder / "fp32.onnx", folder / "int8.onnx", feeds, method="minmax")
    return folder


@needs_rtx
@pytest.mark.trt
@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_engines_for_four_architectures_are_built_without_a_gpu(exported: Path, precision: str) -> None:
    engine = RTX.build(exported / f"{precision}.onnx", precision=precision, target=FOUR)
    said = engines.told(engine)
    assert engine.stat().st_size == said["bytes"] > 100_000
    assert said["config"]["capabilities"] == list(FOUR.capabilities)
    found = list(said["layers"].values())
    assert len(found) >= 28, "every convolution is listed"
    kinds = {kind: found.count(kind) for kind in set(found)}
    if precision == "int8":
        assert kinds["int8"] >= 26 and kinds.keys() <= {"int8", "fp32"}
    elif precision == "fp16":
        assert kinds["fp16"] >= 28 and kinds.keys() == {"fp16"}
    else:
        assert kinds.keys() == {"fp32"}


@needs_rtx
@pytest.mark.trt
def test_a_build_tells_its_progress(tmp_path: Path, exported: Path, capsys) -> None:
    onnx = tmp_path / "net.onnx"
    onnx.write_bytes((exported / "fp16.onnx").read_bytes())
    RTX.build(onnx, precision="fp16", target=Target(capabilities=("8.6",)))
    steps = [line for line in capsys.readouterr().err.splitlines() if line.startswith("net.onnx: ")]
    assert steps and all(int(done) <= int(of) for done, of in (line.rsplit(" ", 1)[1].split("/") for line in steps))


def test_the_timings_of_another_gpu_are_left(tmp_path: Path) -> None:
    class Settings:
        """Takes a cache that it knows, as TensorRT's builder configuration."""

        taken = b"nothing"

        def create_timing_cache(self, kept: bytes) -> bytes:
            return kept

        def set_timing_cache(self, cache: bytes, *, ignore_mismatch: bool) -> bool:
            fits = cache in (b"", b"of this GPU") and not ignore_mismatch
            self.taken = cache if fits else self.taken
            return fits

    for kept, taken in ((None, b""), (b"of this GPU", b"of this GPU"), (b"of another", b"")):
        settings, path = Settings(), tmp_path / "timing.cache"
        if kept is not None:
            path.write_bytes(kept)
        engine_builder._start_from(settings, path)
        assert settings.taken == taken


@needs_rtx
@pytest.mark.trt
def test_an_engine_is_built_once_and_again_when_anything_changes(exported: Path, monkeypatch) -> None:
    onnx = exported / "fp32.onnx"
    engine = RTX.build(onnx, precision="fp32", target=FOUR)
    built = []
    monkeypatch.setattr(tensor_rt, "build_engine", lambda *given: built.append(given) or (b"plan", {}))
    before = engine.read_bytes()
    assert RTX.build(onnx, precision="fp32", target=FOUR) == engine and not built
    RTX.build(onnx, precision="fp32", target=replace(FOUR, workspace_mib=512))
    assert len(built) == 1
    engine.write_bytes(before[:100])
    RTX.build(onnx, precision="fp32", target=FOUR)
    assert len(built) == 2, "a truncated engine is built again"


def fake(tmp_path: Path, **changes) -> Path:
    """An engine of four bytes with a sidecar that fits it, but for `changes`."""
    engine = tmp_path / "net-tensorrt.engine"
    engine.write_bytes(b"plan")
    said = {
        "engine_sha256": hashlib.sha256(b"plan").hexdigest(),
        "version": "1.0",
        "gpu": None,
        "config": {"capabilities": []},
    }
    said |= changes
    engines.sidecar(engine).write_text(json.dumps(said))
    return engine


def test_broken_engines_and_sidecars_are_refused_before_tensorrt_sees_them(tmp_path: Path) -> None:
    engine = fake(tmp_path)
    assert engines.told(engine)["version"] == "1.0"
    engine.write_bytes(b"pla")
    with pytest.raises(ValueError, match="truncated, damaged or exchanged"):
        engines.told(engine)
    for text in ("{", "[]", "{}"):
        engines.sidecar(engine).write_text(text)
        with pytest.raises(ValueError, match="is damaged"):
            engines.told(engine)
    engines.sidecar(engine).unlink()
    with pytest.raises(ValueError, match="needs its sidecar"):
        engines.told(engine)


def test_what_differs_is_named(tmp_path: Path) -> None:
    engine = fake(tmp_path, onnx_sha256="abc")
    assert engines.mismatches(engine, {"version": "1.0", "onnx_sha256": "abd", "gpu": None}) == ["onnx_sha256"]
    engine.write_bytes(b"")
    assert engines.mismatches(engine, {"version": "1.0"}) == ["version"]


def test_how_an_engine_is_run_makes_no_other_engine_of_it(tmp_path: Path) -> None:
    (tmp_path / "net.onnx").write_bytes(b"")
    plain, other = TensorRt("tensorrt"), TensorRt("tensorrt", buffers="pycuda", graphs=True)
    conditions = [one._conditions(Library, tmp_path / "net.onnx", "fp32", ANY) for one in (plain, other)]
    assert conditions[0] == conditions[1] and conditions[0]["config"].keys() == asdict(ANY).keys()
    with pytest.raises(ValueError, match=r'buffers="numpy": the libraries are torch, pycuda'):
        TensorRt("tensorrt", buffers="numpy")


class Library:
    """TensorRT as far as opening looks at it before it would load an engine."""

    __version__ = "2.0"


def test_without_a_gpu_opening_says_so_and_elsewhere_what_differs(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(tensor_rt, "library", lambda name: Library)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    runtime = TensorRt("tensorrt")
    with pytest.raises(Unavailable, match="needs an NVIDIA GPU"):
        runtime.open(fake(tmp_path), precision="fp32")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(tensor_rt, "_machine", lambda trt: {"version": trt.__version__, "gpu": None})
    with pytest.raises(ValueError, match=r"built elsewhere \(version '1.0', here '2.0'\)"):
        runtime.open(fake(tmp_path), precision="fp32")


def test_a_missing_library_names_its_extra(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    (tmp_path / "net.onnx").write_bytes(b"a network")
    with pytest.raises(Unavailable, match=r"pip install 'fermodels\[trt\]'"):
        TensorRt("tensorrt").build(tmp_path / "net.onnx", precision="fp32")


def test_settings_that_make_no_sense_are_refused() -> None:
    for batches in ((0, 1, 2), (4, 2, 8), (1, 8, 4)):
        with pytest.raises(ValueError, match="rising"):
            Target(batches=batches)

    class Known:
        ComputeCapability = Enum("ComputeCapability", ["NONE", "SM80", "SM121"])

    with pytest.raises(ValueError, match=r"SM90: this version builds for 8\.0, 12\.1"):
        engine_builder._target(Known, None, Target(capabilities=("9.0",)))
    with pytest.raises(ValueError, match="only be named for tensorrt-rtx"):
        engine_builder._target(object(), None, Target(capabilities=("9.0",)))


def test_the_command_of_tensorrts_own_tool_is_told() -> None:
    said = trtexec(Path("/deployed/net.onnx"), {"face": (3, 64, 64)}, Target(batches=(1, 8, 32)))
    assert said == (
        "trtexec --onnx=net.onnx --stronglyTyped --minShapes=face:1x3x64x64 --optShapes=face:8x3x64x64 "
        "--maxShapes=face:32x3x64x64 --shapes=face:8x3x64x64 --memPoolSize=workspace:1024M"
    )


def test_the_inspectors_report_is_read() -> None:
    report = [
        {"Name": "conv1", "LayerType": "CaskConvolution", "Inputs": [{"Format/Datatype": "Row major linear FP32"}]},
        {"Name": "conv2", "LayerType": "CaskConvolution", "Inputs": [{"Format/Datatype": "Thirty-two wide Int8"}]},
        {"Name": "gemm", "LayerType": "gemm", "Inputs": [{"Format/Datatype": "Channel major FP16 format"}]},
        {"Name": "relu", "LayerType": "PointWise", "Inputs": [{"Format/Datatype": "Row major FP32"}]},
    ]
    found = {layer["Name"]: engine_session._inspected(layer) for layer in report if engine_session._computes(layer)}
    assert found == {"conv1": "fp32", "conv2": "int8", "gemm": "fp16"}


@pytest.mark.gpu
@pytest.mark.trt
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")
@pytest.mark.parametrize("name", tensor_rt.PACKAGES)
@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_on_a_gpu_the_engine_answers_as_onnx_runtime(exported: Path, name: str, precision: str) -> None:
    runtime = TensorRt(name)
    try:
        running = runtime.open(runtime.build(exported / f"{precision}.onnx", precision=precision), precision=precision)
    except Unavailable as missing:
        pytest.skip(str(missing))
    assert honoured(running, tensor_rt.HONOURED) is running
    pixels = torch.randint(0, 256, (5, 3, 64, 64)).float()
    reference = RUNTIMES["onnxruntime"].open(exported / "fp32.onnx", precision="fp32").run({"face": pixels})
    found = running.run({"face": pixels.cuda()})["probabilities"].cpu()
    assert (found - reference["probabilities"]).abs().max() < {"fp32": 1e-3, "fp16": 0.02, "int8": 0.1}[precision]


@pytest.mark.gpu
@pytest.mark.trt
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")
@pytest.mark.parametrize("name", tensor_rt.PACKAGES)
@pytest.mark.parametrize("graphs", [False, True])
@pytest.mark.parametrize("buffers", BUFFERS)
def test_on_a_gpu_other_buffers_and_graphs_change_no_answer(
    exported: Path, name: str, buffers: str, graphs: bool
) -> None:
    runtime = TensorRt(name)
    try:
        engine = runtime.build(exported / "fp32.onnx", precision="fp32")
        plain = runtime.open(engine, precision="fp32")
        other = replace(runtime, buffers=buffers, graphs=graphs).open(engine, precision="fp32")
    except Unavailable as missing:
        pytest.skip(str(missing))
    for batch in (1, 5, 1, 1, 5):
        pixels = {"face": torch.randint(0, 256, (batch, 3, 64, 64)).float().cuda()}
        wanted, found = plain.run(pixels), other.run(pixels)
        assert all((found[output] - value).abs().max() < 1e-5 for output, value in wanted.items())
