"""Any network as a graph that leaves PyTorch: named tensors in, named tensors out, evaluation mode, on the CPU.

graph = graph_of(net, example, inputs=("face",), outputs=("probabilities",))
"""

import copy
import inspect
from collections.abc import Iterator, Sequence
from typing import Any, final

import torch
from torch import Tensor, nn

from compress.calling import Output, answered, choosing, named_tensors, unwrapped
from compress.inputs import Example, inputs_from
from compress.sound import copied, tensors_of


@final
class Graph(nn.Module):
    """`net` from tensors to a tuple of tensors; both have names, the first axis of each is the batch.

    A network in half precision is fed in half precision; inputs and outputs stay float32.
    """

    def __init__(
        self, net: nn.Module, example: tuple[Tensor, ...], output: Output | None, names: Sequence[str]
    ) -> None:
        super().__init__()
        self.net, self.output = net.eval(), output and choosing(output)
        self.inputs = tuple(names)
        self.outputs: tuple[str, ...] = ()
        self.dtype = torch.float32
        self.example = tuple(one if len(one) > 1 else torch.cat([one, one]) for one in example)
        """Inputs of a batch of at least two: tracing takes a size of one for a constant."""

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        if self.dtype != torch.float32:
            inputs = tuple(one.to(self.dtype) if one.is_floating_point() else one for one in inputs)
        found = tuple(tensor for _, tensor in self._named(self.net(*inputs)))
        if self.dtype != torch.float32:
            found = tuple(one.float() if one.is_floating_point() else one for one in found)
        return found

    def answer(self, inputs: Sequence[Tensor]) -> dict[str, Tensor]:
        """Outputs by name, in inference mode."""
        with torch.inference_mode():
            return dict(zip(self.outputs, self(*inputs), strict=True))

    def in_precision(self, dtype: torch.dtype) -> "Graph":
        """A copy whose network computes in `dtype`."""
        other = copy.deepcopy(self)
        other.net.to(dtype)
        other.dtype = dtype
        return other

    def named(self, outputs: Sequence[str]) -> "Graph":
        """Itself, its outputs named `outputs`, or by the fields and keys in which the network answers.

        Raises:
            ValueError: another number of names than outputs, or an output whose first axis is not the batch.
        """
        with torch.inference_mode():
            found = list(self._named(answered(self.net, self.example)))
        if outputs and len(outputs) != len(found):
            raise ValueError(f"{len(outputs)} names for {len(found)} outputs ({', '.join(outputs)}): give one for each")
        n = len(self.example[0])
        for name, tensor in found:
            if not tensor.ndim or len(tensor) != n:
                raise ValueError(
                    f"output {name} has shape {tuple(tensor.shape)} for a batch of {n}: its first axis must be the "
                    "batch; choose another with output="
                )
        self.outputs = tuple(outputs) or tuple(name for name, _ in found)
        return self

    def _named(self, result: Any) -> Iterator[tuple[str, Tensor]]:
        if self.output is not None:
            return iter([("output", self.output(result))])
        return named_tensors(result)


def graph_of(
    net: nn.Module,
    example: Example,
    *,
    output: Output | None = None,
    inputs: Sequence[str] = (),
    outputs: Sequence[str] = (),
) -> Graph:
    """A copy of `net` in float32, ready to leave; `net` is not changed.

    Args:
        example: what `net` can be called with, of any batch size.
        output: from the network's result to the one tensor that is wanted; by default all tensors in it.
        inputs: names; by default those of the arguments of `net.forward`.
        outputs: names; by default the fields or keys of its result, "output" where it is one tensor.

    Raises:
        ValueError: weights that are not finite, names that do not fit, or outputs that are no batches.
    """
    fed = inputs_from(example, nn.Identity())
    names = tuple(inputs) or _arguments(net, len(fed))
    if len(names) != len(fed):
        raise ValueError(f"{len(names)} names for {len(fed)} inputs ({', '.join(names)}): give one for each")
    tensors_of(unwrapped(net))
    twin = copied(unwrapped(net)).cpu().float().eval().requires_grad_(False)
    return Graph(twin, fed, output, names).named(outputs)


def _arguments(net: nn.Module, count: int) -> tuple[str, ...]:
    """Names of the first `count` arguments of the network; numbered where it takes any number of them."""
    kinds = inspect.Parameter
    parameters = list(inspect.signature(unwrapped(net).forward).parameters.values())
    known = [one.name for one in parameters if one.kind in (kinds.POSITIONAL_ONLY, kinds.POSITIONAL_OR_KEYWORD)]
    rest = next((one.name for one in parameters if one.kind is kinds.VAR_POSITIONAL), "input")
    return tuple((known + [f"{rest}{i}" for i in range(count)])[:count])
