"""Files that leave this machine name no folder of it and no line of the source."""

import re
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from compress.exporting.export import export
from compress.exporting.program import PROGRAM, load_program
from compress.exporting.signed_onnx import checked, described, write_onnx
from compress.exporting.triton import repository_from_artefact

onnx = pytest.importorskip("onnx", reason="needs onnx: pip install -e '.[onnx]'")
ROOT = Path(__file__).parents[2]
SHIPPED = sorted(path for path in (ROOT / "fermodels").rglob("*") if path.suffix in (".onnx", ".safetensors", ".json"))
PLACES = sorted(str(place).encode() for place in {ROOT, Path.home(), Path(torch.__file__).parent} - {Path("/")})
LINE = re.compile(rb"\.py\W{1,4}line \d|\.py:\d")
"""How tracebacks name a line of the source: File "net.py", line 3, or net.py:3."""


def betrays(data: bytes) -> list[bytes]:
    """The paths and lines of source in `data`."""
    return [place for place in PLACES if place in data] + LINE.findall(data)


def content(path: Path) -> bytes:
    """The bytes of a file; of an archive, those of all files in it."""
    if not zipfile.is_zipfile(path):
        return path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        return b"".join(archive.read(name) for name in archive.namelist())


class Choosing(nn.Module):
    """Has two graphs inside its own: the sides of a condition."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(288, 3))

    def forward(self, face: Tensor) -> Tensor:
        return torch.cond(face.sum() > 0, lambda one: self.net(one) * 2, lambda one: self.net(one) - 1, (face,))


@pytest.mark.parametrize("text", [*PLACES, b'File "net.py", line 3, in forward', b"at net.py:3"])
def test_what_betrays_is_found(text: bytes) -> None:
    assert betrays(b"\x0a\x05" + text + b"\x12")


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_no_exported_file_names_a_path_of_this_machine(tmp_path: Path, precision: str) -> None:
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(288, 1))
    path = tmp_path / f"{precision}.onnx"
    export(net, torch.randn(2, 3, 8, 8), path, precision=precision, calibrate=[torch.rand(512, 3, 8, 8)])
    repository_from_artefact(path, path, tmp_path / "triton", "net")
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert {path.name, PROGRAM, "model.onnx", "config.pbtxt"} <= {file.name for file in files}
    assert [(file.name, found) for file in files if (found := betrays(content(file)))] == []


def test_graphs_inside_graphs_keep_no_notes_either(tmp_path: Path) -> None:
    net, faces = Choosing().eval(), torch.randn(2, 3, 8, 8)
    path = export(net, faces, tmp_path / "fp32.onnx").path
    assert {node.op_type for node in checked(path).graph.node} >= {"If"}
    assert betrays(content(path)) == betrays(content(tmp_path / PROGRAM)) == []
    program, _ = load_program(tmp_path / PROGRAM)
    torch.testing.assert_close(program.module()(faces)[0], net(faces))


def test_a_file_says_what_it_was_told_and_nothing_else(tmp_path: Path) -> None:
    path = export(nn.Linear(3, 2), torch.randn(2, 3), tmp_path / "fp32.onnx").path
    model, weights = checked(path), np.arange(6, dtype=np.float32)
    noted = [model, model.graph, model.graph.node[0], model.graph.input[0], model.graph.initializer[0]]
    for one in noted:
        one.doc_string = "net.py:3"
        one.metadata_props.add(key="source", value=str(ROOT))
    model.graph.initializer.append(onnx.numpy_helper.from_array(weights, "kept"))
    write_onnx(model, path, described(path))
    again = checked(path)
    assert betrays(path.read_bytes()) == [] and not any(one.doc_string for one in [again, *again.graph.node])
    assert [entry.key for entry in again.metadata_props] == ["compress", "sha256"]
    assert (onnx.numpy_helper.to_array(again.graph.initializer[-1]) == weights).all()


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_shipped_file_names_a_path_of_the_machine_that_made_it(path: Path) -> None:
    absolute = re.findall(rb"/(?:home|root|Users|work|tmp|mnt|data)/[\w.-]+", content(path))
    assert betrays(content(path)) == absolute == []
