"""How a network gets smaller.

> slim_net, plan = compress.slim(net, example, ratio=0.6, rule="exact", criterion="gamma", align=8, calibrate=batches)

The names below are loaded when they are first asked for: an exported network runs where PyTorch is not.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from compress.starting import starting

if TYPE_CHECKING:
    from compress.checkpoint import load, save
    from compress.commands.networks import network
    from compress.exporting.export import export
    from compress.runtimes import RUNTIMES
    from compress.slimming.criteria import CRITERIA, Context
    from compress.slimming.groups import ChannelGroup, channel_groups
    from compress.slimming.plan import Plan
    from compress.slimming.select import RULES, Floor
    from compress.slimming.surgery import apply, slim
    from compress.training.fitting import fit

starting(__name__)
_HOMES = {
    "compress.checkpoint": ("load", "save"),
    "compress.commands.networks": ("network",),
    "compress.exporting.export": ("export",),
    "compress.runtimes": ("RUNTIMES",),
    "compress.slimming.criteria": ("CRITERIA", "Context"),
    "compress.slimming.groups": ("ChannelGroup", "channel_groups"),
    "compress.slimming.plan": ("Plan",),
    "compress.slimming.select": ("RULES", "Floor"),
    "compress.slimming.surgery": ("apply", "slim"),
    "compress.training.fitting": ("fit",),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    """One of `__all__`, imported now."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


__all__ = [
    "CRITERIA",
    "RULES",
    "RUNTIMES",
    "ChannelGroup",
    "Context",
    "Floor",
    "Plan",
    "apply",
    "channel_groups",
    "export",
    "fit",
    "load",
    "network",
    "save",
    "slim",
]
