"""What a measurement says of where it comes from; it needs no torch, so that reading records needs none."""

from typing import Any, TypedDict


class Origin(TypedDict):
    """Which code measured something, on what machine, and when."""

    commit: str
    dirty: bool
    """True when the code that measures differed from `commit` (`compress.timing.machine.commit`)."""
    created: str
    """UTC, ISO 8601, to the second."""
    environment: dict[str, Any]
