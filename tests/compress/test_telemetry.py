"""Nothing leaves the machine: export, speed and predict look up no host and leave nothing in the home folder."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from tiny_nets import tiny_checkpoint

pytest.importorskip("onnxruntime", reason="needs onnxruntime: pip install -e '.[onnx]'")
COMPILER = shutil.which("cc")
pytestmark = pytest.mark.skipif(COMPILER is None or sys.platform != "linux", reason="needs Linux and a C compiler")

SPY = """
#include <fcntl.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void note(const char *name) {
  int file = open(getenv("LOOKUPS"), O_WRONLY | O_CREAT | O_APPEND, 0644);
  dprintf(file, "%s\\n", name ? name : "");
  close(file);
}
int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **found) {
  note(name);
  return EAI_FAIL;
}
struct hostent *gethostbyname(const char *name) {
  note(name);
  h_errno = NO_RECOVERY;
  return NULL;
}
"""
"""In place of the system's look-ups, for Python and for every library: writes the name down and finds nothing."""

COMMANDS = """
import importlib, runpy, sys, time

def ran(module, *words):
    sys.argv = [module, *words]
    try:
        runpy.run_module(module, run_name="__main__")
    except SystemExit as status:
        assert not status.code, f"{module} ended with status {status.code}"

checkpoint, deployed, picture = sys.argv[1:]
ran("compress.export", checkpoint, "--out", deployed)
started = time.monotonic()
ran("compress.speed", deployed, "--batch", "1", "--runs", "2", "--seconds", "0")
ran("fermodels.predict", picture, "--model", f"{deployed}/fp32.onnx", "--cropped")
assert "onnxruntime" in sys.modules
time.sleep(max(0, 12 - (time.monotonic() - started)))  # ONNX Runtime looks up its host ten seconds after the import
"""


def spied(folder: Path, *words: object) -> tuple[list[str], list[Path]]:
    """Names that Python with `words` looked up, and the files it left in its home, a new folder."""
    source, spy, log, home = (folder / name for name in ("spy.c", "spy.so", "lookups", "home"))
    source.write_text(SPY)
    subprocess.run([str(COMPILER), "-shared", "-fPIC", "-o", spy, source], check=True)
    home.mkdir()
    spying = {"LD_PRELOAD": str(spy), "LOOKUPS": str(log)}
    places = {"HOME": str(home), "XDG_CACHE_HOME": str(home / ".cache"), "XDG_CONFIG_HOME": str(home / ".config")}
    command = [sys.executable, *map(str, words)]
    done = subprocess.run(command, env=os.environ | spying | places, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return (log.read_text().split() if log.exists() else []), [path for path in home.rglob("*") if path.is_file()]


def test_a_look_up_is_seen(tmp_path: Path) -> None:
    asked = "import socket\ntry: socket.getaddrinfo('example.org', 80)\nexcept OSError: pass"
    assert spied(tmp_path, "-c", asked) == (["example.org"], [])


def test_export_speed_and_predict_tell_nobody(tmp_path: Path) -> None:
    checkpoint, picture = tiny_checkpoint("vggnet", tmp_path / "net"), tmp_path / "face.png"
    Image.new("RGB", (64, 64), "grey").save(picture)
    assert spied(tmp_path, "-c", COMMANDS, checkpoint, tmp_path / "deployed", picture) == ([], [])
