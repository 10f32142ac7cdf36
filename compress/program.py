"""What a person typed to start a command: it stands in its help and before its mistakes."""

import sys

FRONT = "fer"
"""The command that starts all others."""


def program(module: str) -> str:
    """ "fer report" where `FRONT` started it, else "python -m bench.report" for the module of that name."""
    return sys.argv[0] if sys.argv[0].startswith(f"{FRONT} ") else f"python -m {module}"
