"""What the commands of this package share: how results and mistakes are told."""

import argparse
import json
from collections.abc import Callable, Mapping
from typing import Any

from compress.exit_status import exit_status


def status_of(command: str, run: Callable[[argparse.Namespace], Mapping[str, Any]], given: argparse.Namespace) -> int:
    """Exit status of `run(given)`, whose answer is the last line of standard output, as JSON.

    How it ends otherwise: `compress.exit_status`.
    """
    return exit_status(command, lambda: print(json.dumps(run(given))))
