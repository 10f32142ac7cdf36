"""Ctrl-C while a command imports its libraries is one line and status 130, however it was started."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fermodels.__main__ import COMMANDS

ROOT = Path(__file__).parents[1]
INTERRUPTING = "import os, signal\nos.kill(os.getpid(), signal.SIGINT)\nraise RuntimeError('the command went on')\n"
"""Stands for NumPy, which every command imports."""
FER = "import sys; sys.argv[0] = '/usr/bin/fer'; from fermodels.__main__ import main; sys.exit(main())"
"""What `pip install` writes as the command."""


def ended(folder: Path, *words: str) -> tuple[int, str]:
    (folder / "numpy.py").write_text(INTERRUPTING)
    environment = os.environ | {"PYTHONPATH": f"{folder}{os.pathsep}{ROOT}"}
    run = [sys.executable, *words]
    done = subprocess.run(run, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert not done.stdout
    return done.returncode, done.stderr


@pytest.mark.parametrize("name", COMMANDS)
def test_stopped_while_it_imports_a_command_says_so_in_one_line(name: str, tmp_path: Path) -> None:
    module = COMMANDS[name][0].removesuffix(".__main__")
    assert ended(tmp_path, "-m", module) == (130, f"{module}: stopped before it began\n")


def test_stopped_while_it_imports_the_front_says_so_in_one_line(tmp_path: Path) -> None:
    assert ended(tmp_path, "-c", FER, "predict") == (130, "fer: stopped before it began\n")


@pytest.mark.parametrize("words", [["-c", "import fermodels, numpy"], ["script.py", "-m", "fermodels.predict"]])
def test_programs_of_others_keep_their_own_signals(words: list[str], tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text("import compress, bench, fermodels, numpy\n")
    status, told = ended(tmp_path, *words)
    assert status == -2 and told.endswith("KeyboardInterrupt\n") and "stopped before" not in told


def test_a_command_that_has_begun_is_told_as_before(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys; sys.argv = ['fer']; import compress; from compress.exit_status import exit_status\n"
        "print(exit_status('work', lambda: os.kill(os.getpid(), signal.SIGINT) or 1, kept='all is kept'))"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("130\n", "work: stopped; all is kept\n")
