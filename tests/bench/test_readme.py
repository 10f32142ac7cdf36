"""The README is typed by people: its Python runs, its commands parse, its links and its table of scales are true."""

import re
import shlex
import tomllib
from pathlib import Path

import pytest
import torch

import fermodels
from bench import gate, report
from bench.make.scales import SCALES, scale_for
from compress.commands import export
from compress.commands import slim as slim_command
from compress.commands import speed as latency_command
from fermodels import info
from fermodels.data import audit
from fermodels.faces import prepare
from fermodels.predict import __main__ as predict
from fermodels.training.views import ViewConfig

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w*)\n(.*?)```", README, re.DOTALL)
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
}
COMMANDS = [line for language, block in BLOCKS if not language for line in block.strip().splitlines()]


def test_the_python_example_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    widths = fermodels.scaled(0.25)
    net = fermodels.build("vggnet", size=56, pools=3, classes=7, widths={"face": widths})
    about = {"classes": fermodels.EXPRESSIONS, "preprocessing": ViewConfig(size=56), "data": "synthetic"}
    about |= {"split": "test", "n": 1, "accuracy": None}
    fermodels.save(net, Path("reports/runs/FOLDER/chosen"), about)
    (example,) = [block for language, block in BLOCKS if language == "python"]
    names = {"batches": [(torch.randn(8, 3, 56, 56),)]}
    exec(example, names)
    assert names["plan"].achieved == pytest.approx(0.6, abs=0.02)
    assert fermodels.load(Path("small"))[0].trunks["face"].widths == names["small"].trunks["face"].widths


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_is_one_that_exists(line):
    words = shlex.split(line, comments=True)
    if words[0] == "make":
        assert re.search(rf"^{words[1]}:", (ROOT / "Makefile").read_text(), re.MULTILINE)
    elif words[0] == "pip":
        extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
        assert words[1:3] == ["install", "-e"] and set(words[3].strip(".[]").split(",")) <= set(extras)
    else:
        assert words[:2] == ["python", "-m"]
        assert PARSERS[words[2]](words[3:])


@pytest.mark.parametrize("target", re.findall(r"\]\(([^)#]+)\)", README))
def test_every_link_leads_somewhere(target):
    assert target.startswith("https://") or (ROOT / target).exists()


@pytest.mark.parametrize("name", SCALES)
def test_the_table_of_scales_is_true(name):
    (row,) = [line for line in README.splitlines() if line.startswith(f"| {name} |")]
    scale = scale_for(name, "fer2013")
    stages = (scale.schedules.dense, scale.schedules.sparse, scale.schedules.tune)
    epochs = [str(stage.epochs) for stage in stages if stage]
    assert f"| {scale.geometry.stored} -> {scale.geometry.size} |" in row
    assert all(count in row for count in epochs)
