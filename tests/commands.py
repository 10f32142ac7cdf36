"""Every command there is, and what its command line takes: found, not listed."""

import argparse
import ast
import importlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from unittest.mock import patch

ROOT = Path(__file__).parents[1]
PACKAGES = ("fermodels", "compress", "bench")
FRONT = "fermodels.__main__"
"""Starts the others; takes no options of its own."""


class _Asked(Exception):
    """Leaves a command where it would read its words; carries the parser."""


def modules() -> list[str]:
    """Modules with a `__main__` guard and a `main`, and those that `python -m PACKAGE` starts; sorted."""
    found = set()
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            tree = ast.parse(path.read_text())
            guarded = path.name == "__main__.py" or any(
                isinstance(node, ast.If) and "__main__" in ast.dump(node.test) for node in tree.body
            )
            own = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
            taken = {
                alias.name: node.module
                for node in ast.walk(tree)
                if isinstance(node, ast.ImportFrom) and node.module
                for alias in node.names
            }
            if guarded:
                found.add(name if "main" in own else taken["main"])
    return sorted(found - {FRONT})


def parser_of(module: ModuleType) -> argparse.ArgumentParser:
    """The parser that its `main` makes."""

    def leave(parser: argparse.ArgumentParser, *_: object, **__: object) -> None:
        raise _Asked(parser)

    with patch.object(argparse.ArgumentParser, "parse_args", leave):
        try:
            module.main([])
        except _Asked as asked:
            return asked.args[0]
    raise AssertionError(f"{module.__name__} reads no command line")


def options(name: str) -> Iterator[tuple[str, argparse.Action]]:
    """(option or name of the argument, its action) of all that take a value."""
    for action in parser_of(importlib.import_module(name))._actions:
        if action.nargs != 0 and not isinstance(action, argparse._HelpAction):
            yield (action.option_strings or [action.dest])[-1], action
