"""Torch-Pruning's importances as criteria of ours: the same selection and surgery, other scores."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch_pruning as tp

from compress.slimming.criteria import CRITERIA, Context, Scores
from compress.slimming.groups import ChannelGroup, dependency_graph

REFERENCES = {
    "torch-pruning BNScale": tp.importance.BNScaleImportance(),
    "torch-pruning Magnitude": tp.importance.GroupMagnitudeImportance(group_reduction="first"),
    "torch-pruning GroupNorm": tp.importance.GroupMagnitudeImportance(),
}
"""With their own defaults: every layer divided by its mean."""


@contextmanager
def registered() -> Iterator[None]:
    """While it is open, `compress.CRITERIA` holds the references, too."""
    CRITERIA.update({name: partial(importance, one) for name, one in REFERENCES.items()})
    try:
        yield
    finally:
        for name in REFERENCES:
            del CRITERIA[name]


def importance(reference: Any, net: Any, groups: Sequence[ChannelGroup], context: Context) -> Scores:
    """Torch-Pruning's score of every channel, through its own groups."""
    graph = dependency_graph(net, net.example(), context.output)
    scores = {}
    for group in groups:
        every = list(range(group.size))
        scores[group.name] = reference(
            graph.get_pruning_group(net.get_submodule(group.name), tp.prune_conv_out_channels, every)
        )
    return scores
