"""The examples in the docstrings run, and a bare import loads nothing that it does not use."""

import doctest
import importlib
import subprocess
import sys
import tempfile

import pytest
import torch

import compress

EXAMPLES = ["compress.cost", "compress.checkpoint", "compress.slimming.surgery"]
MAY_LOAD = {"compress", "fermodels"}
"""Packages of which `import compress, fermodels` may load anything, beside the standard library."""


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples_run(name):
    module = importlib.import_module(name)
    names = {"torch": torch, "nn": torch.nn, "tempfile": tempfile} | {
        each: getattr(module, each) for each in dir(module)
    }
    found = doctest.testmod(module, extraglobs=names)
    assert found.attempted and not found.failed


def test_imports_are_lazy():
    code = "import sys; before = set(sys.modules); import compress, fermodels; print(*(set(sys.modules) - before))"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    loaded = {name.partition(".")[0] for name in said}
    assert loaded - MAY_LOAD <= sys.stdlib_module_names


def test_every_name_is_there():
    for name in compress.__all__:
        assert getattr(compress, name) is not None
