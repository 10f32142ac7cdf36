"""What the commands of this package share: how results and mistakes are told."""

import argparse
import json
import sys
from collections.abc import Callable, Mapping
from typing import Any

from compress.runtimes import Unavailable


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
