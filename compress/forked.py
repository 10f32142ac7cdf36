"""PyTorch in a forked process. The threads with which it computed before the fork are not there, and it would wait for
them for ever; one thread computes as it should."""

import os

_computed_in: set[int] = set()
"""The process that has computed, and those from which it was forked."""


def computing() -> None:
    """To be called before PyTorch computes: from here on with one thread where this process was forked from one that
    has computed."""
    if _computed_in and os.getpid() not in _computed_in:
        import torch

        torch.set_num_threads(1)
    _computed_in.add(os.getpid())
