"""How a network gets smaller.

>>> slim_net, plan = compress.slim(net, ratio=0.6, rule="exact", criterion="gamma", align=8, calibrate=batches)
"""

from compress.criteria import CRITERIA, Context
from compress.groups import ChannelGroup, channel_groups
from compress.plan import Plan
from compress.select import RULES, Floor
from compress.surgery import apply, slim

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
