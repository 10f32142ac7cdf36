"""What the commands of this package share: how checkpoint, result and data are named, and how mistakes are told."""

import argparse
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from compress.runtimes import Unavailable
from fermodels.data import DATASETS, open_dataset
from fermodels.data.base import Dataset


def parser_of(command: str, *, description: str, epilog: str, result: str, data: str) -> argparse.ArgumentParser:
    """A parser with the arguments of every command: checkpoint, --out, --data, --runs.

    Args:
        command: module name, as in `python -m command`.
        result, data: what --out will hold, and what the data set is used for.
    """
    parser = argparse.ArgumentParser(prog=f"python -m {command}", description=description, epilog=epilog)
    parser.add_argument("checkpoint", type=Path, help="folder that fermodels.save wrote")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help=f"folder for {result}")
    parser.add_argument("--data", help=f"NAME or NAME:PATH ({', '.join(DATASETS)}): {data}")
    parser.add_argument(
        "--runs",
        type=Path,
        default=Path("reports/runs"),
        metavar="DIR",
        help="cache of decoded faces and measured times",
    )
    return parser


def dataset_of(given: argparse.Namespace, *, stored: int) -> Dataset:
    """The data set that --data names, with faces of `stored` pixels a side."""
    return open_dataset(given.data, size=stored, cache=given.runs / "data", progress=True)


def status_of(command: str, run: Callable[[argparse.Namespace], Mapping[str, Any]], given: argparse.Namespace) -> int:
    """Exit status of `run(given)`, whose answer is the last line of standard output, as JSON.

    2 and a sentence on standard error for a mistake in the input, or for what is missing on this machine.
    """
    try:
        print(json.dumps(run(given)))
    except (ValueError, Unavailable) as error:
        print(f"{command}: {error}", file=sys.stderr)
        return 2
    except OSError as error:  # no space, no permission, not a folder: the error names the file
        print(f"{command}: {error.strerror or error}: {error.filename or 'a file'}", file=sys.stderr)
        return 2
    return 0
