"""`pip install` into an empty folder gives one command, `fer`, that works wherever it is started."""

import shutil
import subprocess
import sys
from importlib import import_module, metadata
from pathlib import Path

import pytest
from PIL import Image, ImageDraw

from fermodels.__main__ import COMMANDS, main

ROOT = Path(__file__).parents[1]
NEEDED = 77
"""Version of setuptools that pyproject.toml asks for."""
LEFT_BEHIND = shutil.ignore_patterns("__pycache__", "*.pyc")


def run(*words: str, cwd: Path, path: str) -> subprocess.CompletedProcess:
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "HOME": str(cwd)}
    return subprocess.run(words, check=False, cwd=cwd, env=environment, capture_output=True, text=True, timeout=240)


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """The folder into which the wheel of this tree was installed."""
    try:
        version = int(metadata.version("setuptools").split(".")[0])
    except metadata.PackageNotFoundError:
        version = 0
    if version < NEEDED:
        pytest.skip(f"building the wheel without a network needs setuptools >= {NEEDED}, here is {version or 'none'}")
    source, made = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("made")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for package in ("bench", "compress", "fermodels"):
        shutil.copytree(ROOT / package, source / package, ignore=LEFT_BEHIND)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
    built = [*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(made), str(source)]
    subprocess.run(built, check=True, capture_output=True, timeout=240)
    (wheel,) = made.glob("*.whl")
    installed = [*pip, "install", "--no-deps", "--no-index", "--no-compile", "--target", str(made / "site"), str(wheel)]
    subprocess.run(installed, check=True, capture_output=True, timeout=240)
    return made / "site"


@pytest.fixture
def elsewhere(tmp_path) -> Path:
    """An empty folder but for a package that is called like ours and fails when it is imported."""
    (tmp_path / "bench").mkdir()
    (tmp_path / "bench" / "__init__.py").write_text("raise RuntimeError('the decoy was imported')\n")
    return tmp_path


@pytest.fixture
def fer(site, elsewhere):
    """Runs `fer` in that folder, which also stands first on the path of modules."""
    return lambda *words: run(
        sys.executable, str(site / "bin" / "fer"), *words, cwd=elsewhere, path=f"{elsewhere}:{site}"
    )


def test_help_lists_every_command(fer):
    told = fer("--help")
    assert told.returncode == 0
    assert [line.split()[0] for line in told.stdout.splitlines() if line.startswith("  ")] == list(COMMANDS)


def test_a_command_says_its_own_name(fer):
    told = fer("info", "--help")
    assert told.returncode == 0 and told.stdout.startswith("usage: fer info ")


def test_a_network_that_ships_is_known_by_its_name(fer):
    told = fer("info", "small")
    assert told.returncode == 0 and "happiness" in told.stdout, told.stderr


def test_an_unknown_network_is_a_sentence_with_the_names(fer):
    told = fer("info", "fermodels/demo")
    assert told.returncode == 2 and "small or demo" in told.stderr and told.stderr.count("\n") == 1


def test_a_drawn_face_is_predicted(fer, elsewhere):
    picture = Image.new("RGB", (64, 64), "bisque")
    pen = ImageDraw.Draw(picture)
    for box in ((18, 22, 26, 28), (38, 22, 46, 28)):
        pen.ellipse(box, fill="black")
    pen.arc((20, 34, 44, 52), 20, 160, fill="brown", width=3)
    picture.save(elsewhere / "face.png")
    told = fer("predict", "--cropped", "face.png", "--csv")
    assert told.returncode == 0, told.stderr
    header, row = told.stdout.splitlines()
    assert "expression" in header and "face.png" in row


def test_a_report_is_rendered_beside_another_package_called_bench(fer, elsewhere):
    told = fer("report", "--render-only", "--out", "here")
    assert told.returncode == 1, told.stderr
    assert '"complete": false' in told.stdout.splitlines()[-1]
    assert "not measured" in (elsewhere / "here/tables/synthetic-cpu/table5.md").read_text()
    assert (elsewhere / "here/tables/synthetic-cpu/table5.html").is_file()


def test_an_unknown_command_is_a_sentence_with_all_there_are(capsys):
    assert main(["reprot"]) == 2
    error = capsys.readouterr().err
    assert "reprot" in error and "predict" in error and error.count("\n") == 1


def test_no_command_at_all_is_status_2_and_the_list(capsys):
    assert main([]) == 2
    assert "report" in capsys.readouterr().out


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_the_list_says_in_a_line_that_the_disk_is_full():
    with open("/dev/full", "w") as full:
        words = [sys.executable, "-m", "fermodels"]
        found = subprocess.run(words, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert found.returncode == 2 and found.stderr == "fer: No space left on device\n"


@pytest.mark.parametrize("module", [module for module, _ in COMMANDS.values()])
def test_every_command_has_a_main(module):
    assert callable(import_module(module).main)


def test_the_list_needs_no_heavy_library(site, elsewhere):
    asked = "import sys; from fermodels.__main__ import main; main(['-h']); sys.exit('torch' in sys.modules)"
    assert run(sys.executable, "-c", asked, cwd=elsewhere, path=str(site)).returncode == 0
