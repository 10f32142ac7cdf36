"""Which channels of a network can be removed, and what must go with them.

Found through Torch-Pruning's dependency graph, whose reading of a trace is mended first (see `_MendedGraph`).
The population is every output channel of a convolution that has a batch norm: its gamma is the switch that sparsity
training turns, and setting gamma and beta to 0 silences it. Sums tie channels to one group with several gammas.
Attention, classifiers and fusion heads are not in it; a gate that weighs every channel loses those weights with them.
"""

from dataclasses import dataclass
from typing import Any

import torch
import torch_pruning as tp
from jaxtyping import Int
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch_pruning.dependency.shape_infer import infer_out_channels_recursively
from torch_pruning.ops import OPTYPE, _OutputOp

from compress.calling import Output, first_tensor
from compress.inputs import Example, evaluating, inputs_from
from fermodels.nets.attention import ChannelGate

TRACE_SIDE_PX = 32
"""Traces are taken on views cropped to this: channels of a globally pooled network hang together alike at any size."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Reader:
    """A convolution or linear layer that eats the channels of a group."""

    name: str
    columns: Int[Tensor, "channels span"]
    """Channel of the group -> its input columns in the reader (several when a map was flattened)."""
    norm: str = ""
    """The batch norm right behind it, if there is one."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ChannelGroup:
    """Channels that are removed together. Names are module paths, so a group also fits every copy of its network."""

    name: str
    """Path of the convolution that stands for the group, like "trunks.face.blocks.3.conv"."""
    convs: tuple[str, ...]
    """All convolutions that produce the channels; more than one when sums tie them."""
    norms: tuple[str, ...]
    """Their batch norms."""
    readers: tuple[Reader, ...]
    size: int


def channel_groups(net: nn.Module, example: Example, output: Output | None = None) -> list[ChannelGroup]:
    """Every group of removable channels of `net`, in the order of its modules. `net` is left as it was.

    Args:
        example: a tensor or a tuple of tensors that `net` can be called with.
        output: which tensor of its result is traced; the first one where None.

    Raises:
        ValueError: no convolution has a batch norm, so that there is no gamma to rank or to penalise.
    """
    graph = dependency_graph(net, cropped(inputs_from(example, net), TRACE_SIDE_PX), output)
    order = {module: position for position, module in enumerate(net.modules())}
    names = {module: name for name, module in net.named_modules()}
    gates = {module.excite for module in net.modules() if isinstance(module, ChannelGate)}
    coupled = sorted(graph.get_all_groups(root_module_types=[nn.Conv2d]), key=lambda c: order[c[0].dep.target.module])
    groups = [group for members in coupled if (group := _group_of(members, graph, names, gates)) is not None]
    if not groups:
        raise ValueError(
            'no convolution of this network has a batch norm, so there are no channels to slim: build it with bn="all"'
        )
    return groups


def cropped(inputs: tuple[Tensor, ...], side_px: int) -> tuple[Tensor, ...]:
    """The first image of each of `inputs`, cropped to `side_px`."""
    return tuple(each[:1, ..., :side_px, :side_px].contiguous() for each in inputs)


def dependency_graph(net: nn.Module, inputs: tuple[Tensor, ...], output: Output | None = None) -> tp.DependencyGraph:
    """Torch-Pruning's graph of `net`, traced on `inputs`, with its misreadings mended (see `_MendedGraph`)."""
    with evaluating(net), torch.enable_grad():
        return _MendedGraph().build_dependency(net, inputs, output_transform=output or first_tensor)


class _MendedGraph(tp.DependencyGraph):
    """The graph with three misreadings mended before shapes and index mappings are inferred from it.

    1. A one-channel map that multiplies C channels (an attention gate) is coupled with all of them, and when it is the
       second factor, a concatenation behind it is taken for 1 channel wide and loses its offsets.
    2. A slice along the batch of a (b, C) tensor is taken for a slice of the channels.
    3. A mean or maximum over the channels is taken for a map that still has all of them.
    """

    def _trace(self, *args: Any, **options: Any) -> dict[Any, Any]:
        nodes = super()._trace(*args, **options)
        for node in reversed(list(nodes.values())):  # from the inputs on, so that widths behind a gate are right
            if node.type == OPTYPE.SLICE and node.grad_fn._saved_dim == 0:
                node.type = OPTYPE.ELEMENTWISE
            if node.type == OPTYPE.ELEMENTWISE and getattr(node.grad_fn, "_saved_dim", None) == (1,):
                for reader in list(node.outputs):
                    _part(reader, [node])
            if node.type == OPTYPE.ELEMENTWISE and len(node.inputs) > 1:
                self._part_broadcast(node)
        return nodes

    def _part_broadcast(self, node: Any) -> None:
        """Parts `node` from its one-channel inputs, where another input has more channels."""
        widths = [infer_out_channels_recursively(self, source, [0]) or 0 for source in node.inputs]
        _part(node, [source for source, width in zip(node.inputs, widths, strict=True) if width == 1 < max(widths)])


def _part(node: Any, sources: list[Any]) -> None:
    """Removes the edges from `sources` to `node`."""
    for source in sources:
        node.inputs.remove(source)
        source.outputs.remove(node)


def _group_of(
    members: Any, graph: tp.DependencyGraph, names: dict[nn.Module, str], gates: set[nn.Linear]
) -> ChannelGroup | None:
    """The coupled `members` as a group; None when they are not of the population.

    A layer of `gates` multiplies the channels: it needs no silencing, because 0 times anything is 0.
    """
    root = members[0].dep.target.module
    convs, norms, behind, readers = [], set(), set(), []
    for item in members:
        module, handler = item.dep.target.module, item.dep.handler
        if isinstance(module, _OutputOp):
            return None
        if isinstance(module, _BatchNorm):
            norms.add(names[module])
        elif isinstance(module, (nn.Conv2d, nn.Linear)):
            if graph.is_in_channel_pruning_fn(handler):
                columns = _columns(item, root.out_channels)
                readers.append(Reader(name=names[module], columns=columns, norm=_norm_behind(module, graph, names)))
            elif module not in gates:
                convs.append(names[module])
                behind.add(_norm_behind(module, graph, names))
    if not readers or norms != behind:
        return None  # a member without a batch norm of its own cannot be silenced; a map nobody reads has no channels
    own = [name for name in names.values() if name in norms]
    return ChannelGroup(
        name=names[root], convs=tuple(convs), norms=tuple(own), readers=tuple(readers), size=root.out_channels
    )


def _columns(item: Any, size: int) -> Int[Tensor, "channels span"]:
    """Input columns of the reader in `item` for each of the `size` channels of the group's root."""
    columns: list[list[int]] = [[] for _ in range(size)]
    for column, channel in zip(item.idxs, item.root_idxs, strict=True):
        columns[channel].append(column)
    return torch.tensor(columns)


def _norm_behind(module: nn.Module, graph: tp.DependencyGraph, names: dict[nn.Module, str]) -> str:
    """Name of the batch norm that alone eats the output of `module`, or ""."""
    outputs = graph.module2node[module].outputs
    return names[outputs[0].module] if len(outputs) == 1 and isinstance(outputs[0].module, _BatchNorm) else ""
