"""README and docs are typed by people: their Python runs, their commands parse, links and scales are true."""

import re
import shlex
import tomllib
from pathlib import Path

import pytest
import torch

import compress
from bench import gate, report, ship, shipped
from bench.make.methods import RECIPES
from bench.make.scales import SCALES, scale_for
from compress.commands import export
from compress.commands import slim as slim_command
from compress.commands import speed as latency_command
from fermodels import __main__ as fer
from fermodels import info
from fermodels.data import audit
from fermodels.faces import prepare
from fermodels.predict import __main__ as predict

ROOT = Path(__file__).parents[2]
PAGES = {
    path: path.read_text(encoding="utf-8") for path in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
}
BLOCKS = [
    (path, language, block)
    for path, text in PAGES.items()
    for language, block in re.findall(r"```(\w*)\n(.*?)```", text, re.DOTALL)
]
PARSERS = {
    "bench.report": report.arguments,
    "compress.export": export.arguments,
    "bench.gate": gate.arguments,
    "compress.speed": latency_command.arguments,
    "fermodels.data.audit": audit.arguments,
    "fermodels.faces.prepare": prepare.arguments,
    "fermodels.info": info.arguments,
    "fermodels.predict": predict.arguments,
    "compress.slim": slim_command.arguments,
    "bench.ship": ship.arguments,
    "bench.shipped": shipped.arguments,
}
COMMANDS = sorted({line for _, language, block in BLOCKS if not language for line in block.strip().splitlines()})
EXAMPLES = [(path, block) for path, language, block in BLOCKS if language == "python"]


@pytest.mark.parametrize(("path", "example"), EXAMPLES, ids=lambda value: value.stem if isinstance(value, Path) else "")
def test_python_examples_run(path, example, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    exec(example, names)
    if "plan" in names:
        assert names["plan"].achieved == pytest.approx(0.6, abs=0.02)
        again = compress.load("small60", lambda: compress.network("timm:resnet18", num_classes=7))
        assert torch.equal(again(names["example"]), names["small"](names["example"]))
        assert (tmp_path / "deployed/fp32.onnx").is_file()
    else:
        assert len(names["faces"]) == 1


def test_the_readme_is_short():
    assert PAGES[ROOT / "README.md"].count("\n") <= 120


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_is_one_that_exists(line):
    words = shlex.split(line, comments=True)
    if words[0] == "make":
        assert re.search(rf"^{words[1]}:", (ROOT / "Makefile").read_text(), re.MULTILINE)
    elif words[0] == "pip":
        extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
        assert words[1:3] == ["install", "-e"] and set(words[3].strip(".[]").split(",")) <= set(extras)
    elif words[0] == "fer":
        assert PARSERS[fer.COMMANDS[words[1]][0].removesuffix(".__main__")](words[2:])
    else:
        assert words[:2] == ["python", "-m"]
        assert PARSERS[words[2]](words[3:])


LINKS = [(path, target) for path, text in PAGES.items() for target in re.findall(r"\]\(([^)#]+)\)", text)]


@pytest.mark.parametrize(("path", "target"), LINKS, ids=lambda value: value.stem if isinstance(value, Path) else value)
def test_every_link_leads_somewhere(path, target):
    assert target.startswith("https://") or (path.parent / target).exists()


@pytest.mark.parametrize("name", SCALES)
def test_the_table_of_scales_is_true(name):
    page = PAGES[ROOT / "docs/guides/tables.md"]
    (row,) = [line for line in page.splitlines() if line.startswith(f"| {name} |")]
    scale = scale_for(name, "fer2013")
    own = scale.schedules
    stages = (own.dense, *([own.sparse] if RECIPES[own.recipe].penalised else []), own.tune)
    epochs = [str(stage.epochs) for stage in stages]
    assert f"| {scale.geometry.stored} -> {scale.geometry.size} |" in row
    assert all(count in row for count in epochs)
