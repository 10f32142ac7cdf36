"""Torch-Pruning's dependency graph of a network, with its misreadings mended.

Nothing is computed for it: the network is traced on PyTorch's meta device where it can be, at the size of the example.
"""

import warnings
from collections.abc import Sequence
from typing import Any

import torch
import torch_pruning as tp
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.overrides import TorchFunctionMode
from torch_pruning import ops
from torch_pruning.dependency.shape_infer import infer_out_channels_recursively
from torch_pruning.ops import OPTYPE

from compress.calling import Output, reason_of

PASSING = (OPTYPE.ELEMENTWISE, OPTYPE.RESHAPE, OPTYPE.EXPAND)
"""Operators behind which channels are still the same ones."""


def dependency_graph(net: nn.Module, inputs: tuple[Tensor, ...], output: Output) -> tp.DependencyGraph:
    """Torch-Pruning's graph of `net`, which it may change (see `compress.shapes.on_shapes`).

    Raises:
        ValueError: the tensor that counts carries no gradients, or the graph of it cannot be read.
    """

    def traced(answer: Any) -> Tensor:
        found = output(answer)
        if found.grad_fn is None:
            raise ValueError(
                f"the tensor that counts ({found.dtype}) carries no gradients, and along these channels are followed: "
                "name another with output=, or take torch.no_grad() and detach() out of forward"
            )
        return found

    for weight in net.parameters():
        weight.requires_grad_(weight.is_floating_point())  # frozen layers leave no trace
    with torch.enable_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what it could not read is in the plan, or fails the proof
        try:
            return _MendedGraph().build_dependency(net, inputs, output_transform=traced, verbose=False)
        except ValueError:
            raise
        except Exception as error:  # Torch-Pruning fails by whatever it trips over
            raise ValueError(f"the dependency graph of this network cannot be built: {reason_of(error)}") from error


class Shuffle(ops._ElementWiseOp):
    """Stands in the graph for a reshape behind which a channel is no longer a channel."""


class _MendedGraph(tp.DependencyGraph):
    """The graph with four misreadings mended before shapes and index mappings are inferred from it.

    1. A one-channel map that multiplies C channels (an attention gate) is coupled with all of them, and when it is the
       second factor, a concatenation behind it is taken for 1 channel wide and loses its offsets.
    2. A slice along the batch of a (b, C) tensor is taken for a slice of the channels.
    3. A mean or maximum over the channels is taken for a map that still has all of them.
    4. Reshapes other than flattening are guessed at (a channel shuffle fails or is misread): `Shuffle` tells them.
    """

    def _trace(self, *args: Any, **options: Any) -> dict[Any, Any]:
        with _ReshapesSeen() as seen:
            nodes = super()._trace(*args, **options)
        for node in nodes.values():
            if node.type == OPTYPE.RESHAPE and not seen.keeps_channels.get(node.grad_fn, True):
                node.type, node.module = OPTYPE.ELEMENTWISE, Shuffle(node.module.id, node.grad_fn.name())
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


class _ReshapesSeen(TorchFunctionMode):
    """Of every tensor made inside from another one: whether its channels are still those of the other."""

    def __init__(self) -> None:
        super().__init__()
        self.keeps_channels: dict[Any, bool] = {}

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if isinstance(result, Tensor) and result.grad_fn is not None and args and isinstance(args[0], Tensor):
            self.keeps_channels[result.grad_fn] = _keeps_channels(args[0].shape, result.shape)
        return result


def _keeps_channels(before: Sequence[int], after: Sequence[int]) -> bool:
    """Whether a reshape leaves channels together: positions folded or flattened, or the batch of vectors parted."""
    if len(before) < 2 or len(after) < 2:
        return False
    flattened = len(after) == 2 and after[0] == before[0]
    return flattened or tuple(after[:2]) == tuple(before[:2]) or (len(before) <= 3 and after[-1] == before[-1])


def _part(node: Any, sources: list[Any]) -> None:
    """Removes the edges from `sources` to `node`."""
    for source in sources:
        node.inputs.remove(source)
        source.outputs.remove(node)


def norm_behind(graph: tp.DependencyGraph, module: nn.Module) -> nn.Module | None:
    """The batch norm that alone eats the output of `module`.

    A batch norm with an activation of its own (timm) stands behind its bare normalisation in the graph.
    """
    node = graph.module2node[module]
    while len(node.outputs) == 1:
        node = node.outputs[0]
        if isinstance(node.module, _BatchNorm):
            return node.module
        if node.type != OPTYPE.ELEMENTWISE or "BatchNorm" not in _name(node):
            return None
    return None


def is_gate(graph: tp.DependencyGraph, module: nn.Module) -> bool:
    """Whether the output of `module` only ever multiplies something else, as a squeeze-and-excitation does."""
    ahead, seen = list(graph.module2node[module].outputs), set()
    while ahead:
        node = ahead.pop()
        if node in seen:
            continue
        seen.add(node)
        if _name(node).startswith("Mul") and len(node.inputs) > 1:
            continue
        if node.type not in PASSING or not node.outputs:
            return False
        ahead.extend(node.outputs)
    return bool(seen)


def _name(node: Any) -> str:
    return node.grad_fn.name() if hasattr(node.grad_fn, "name") else ""
