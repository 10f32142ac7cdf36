"""A network with all that slimming must know of it: what it is called with, and which tensor of its result counts."""

import math
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn

from compress.calling import Output, choosing, first_tensor, unwrapped
from compress.inputs import Example, evaluating, inputs_from
from compress.sound import copied, tensors_of

TRIAL_SIDE_PX = 64
"""Side to which images are cropped for proofs, where the network takes them: 2 x 2 positions after five pools."""
ENOUGH = 4
"""Numbers in an answer from which its spread is told: a network with one output is proved on several images."""
HALF = (torch.float16, torch.bfloat16)


@dataclass(frozen=True, kw_only=True)
class Specimen:
    """What is cut."""

    net: nn.Module
    """Without wrappers; a float32 copy where its weights are of half precision or were made in inference mode."""
    types: dict[str, torch.dtype]
    """Name of a weight or buffer -> its type as the user gave it."""
    inputs: tuple[Tensor, ...]
    """On the device of the network, as it takes them."""
    output: Output

    def copy(self) -> nn.Module:
        """A deep copy with weights of its own."""
        return copied(self.net)

    def twin(self) -> nn.Module:
        """A copy that shares its large weights with `net`: nothing may write to those in place."""
        return copied(self.net, {id(weight): weight for weight in self.net.parameters() if weight.ndim > 1})

    def as_before(self, small: nn.Module) -> nn.Module:
        """`small`, cut from `copy()`, in place with the floating types of the network as the user gave it."""
        for name, value in small.state_dict(keep_vars=True).items():
            value.data = value.data.to(self.types[name])
        return small

    def noise(self, seed: int) -> tuple[Tensor, ...]:
        """Random inputs, the smallest that the network takes; the random state of the caller is left alone."""
        shapes = self._smallest
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return tuple(
                torch.randn(shape).to(each) if each.is_floating_point() else _resized(each, shape)
                for shape, each in zip(shapes, self.inputs, strict=True)
            )

    @torch.no_grad()
    def answer(self, net: nn.Module, inputs: tuple[Tensor, ...]) -> Tensor:
        """The tensor that counts of what `net` answers, in evaluation mode."""
        with evaluating(net):
            return self.output(net(*inputs))

    @cached_property
    def _smallest(self) -> list[tuple[int, ...]]:
        whole = [tuple(each.shape) for each in self.inputs]
        one = [(1, *shape[1:]) for shape in whole]
        cropped = [(*shape[:2], *(min(side, TRIAL_SIDE_PX) for side in shape[2:])) for shape in one]
        for shapes in (cropped, one):
            try:
                many = math.ceil(ENOUGH / self._numbers(shapes))
                enough = [(many, *shape[1:]) for shape in shapes]
                return enough if many == 1 or self._numbers(enough) else whole
            except Exception:  # a network that is made for one size says so in many ways
                continue
        return whole

    def _numbers(self, shapes: Sequence[tuple[int, ...]]) -> int:
        """How many the answer to inputs of `shapes` holds."""
        inputs = tuple(_resized(each, shape) for each, shape in zip(self.inputs, shapes, strict=True))
        return self.answer(self.net, inputs).numel()


def specimen_of(net: nn.Module, example: Example, output: Output | None = None) -> Specimen:
    """What is cut when a user gives `net`: without wrappers, its inputs on its device.

    Raises:
        ValueError: a network that can't be cut as it is; the sentence says why and what to do.
    """
    net = unwrapped(net)
    if not isinstance(net, nn.Module) or isinstance(net, torch.jit.ScriptModule):
        raise ValueError(f"a {type(net).__name__} cannot be slimmed: give the torch.nn.Module that it was made from")
    tensors = tensors_of(net)
    places = sorted({str(each.device) for each in tensors.values()})
    if len(places) > 1:
        raise ValueError(f"the network lies on {', '.join(places)}: move it to one device")
    types = {name: value.dtype for name, value in tensors.items()}
    if not set(HALF).isdisjoint(types.values()) or any(each.is_inference() for each in tensors.values()):
        net = copied(net)._apply(lambda each: each.float() if each.dtype in HALF else each)
    inputs = inputs_from(example, net)
    if not all(each.ndim and len(each) for each in inputs):
        raise ValueError("example holds no image: its first axis counts the images, give at least one")
    return Specimen(net=net, types=types, inputs=inputs, output=choosing(output or first_tensor))


@contextmanager
def plain_numbers(net: nn.Module) -> Iterator[None]:
    """Inside, no autocast and no inference mode of the caller change what is computed with `net`."""
    weights = net.parameters() if isinstance(net, nn.Module) else ()
    kinds = {"cpu", *(each.device.type for each in weights)} - {"meta"}
    with ExitStack() as stack:
        stack.enter_context(torch.inference_mode(False))
        for kind in sorted(kinds):
            stack.enter_context(torch.autocast(kind, enabled=False))
        yield


def _resized(each: Tensor, shape: tuple[int, ...]) -> Tensor:
    """The corner of `each` in `shape`; its rows are repeated where they are too few."""
    rows = torch.arange(shape[0], device=each.device) % len(each)
    return each[rows][tuple(slice(side) for side in shape)].contiguous()
