"""How a network gets smaller.

>>> slim_net, plan = compress.slim(net, ratio=0.6, rule="exact", criterion="gamma", align=8, calibrate=batches)
"""

from compress.slimming.criteria import CRITERIA, Context
from compress.slimming.groups import ChannelGroup, channel_groups
from compress.slimming.plan import Plan
from compress.slimming.select import RULES, Floor
from compress.slimming.surgery import apply, slim

__all__ = [
    "CRITERIA",
    "RULES",
    "ChannelGroup",
    "Context",
    "Floor",
    "Plan",
    "apply",
    "channel_groups",
    "slim",
]
