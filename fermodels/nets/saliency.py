"""Where a network looks: its own attention map, and Grad-CAM (Selvaraju et al. 2017, eq 1 and 2) for those without.

One thing to know: every map is laid back on the face view, pixel for pixel, so that it can be compared with what lies
on the face; the five regions of paper 2's network are laid on the places that they were cut from.

    found = looked(net, batch.views)
    covered_share(found.cam, masks)
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional

from fermodels.nets.ocl import OCL, laid_back
from fermodels.nets.vgg import Output, probabilities


class Looked(NamedTuple):
    """One batch of faces and what the network made of them."""

    answers: Int[Tensor, " b"]
    """The most probable class."""
    attention: Float[Tensor, "b s s"] | None
    """The network's own map, in (0, 1): eq 3 of paper 1, eq 6 of paper 2; None where it has none."""
    cam: Float[Tensor, "b s s"]
    """Grad-CAM of the most probable class, at least 0: the last features, each weighted by its mean gradient."""


def looked(net: nn.Module, views: tuple[Tensor, ...]) -> Looked:
    """What `net`, a classifier of `fermodels.MODELS` in evaluation mode, looks at on each face of `views`.

    Raises:
        ValueError: the network does not see the whole face, or is being trained.
    """
    trunks = getattr(net, "trunks", {})
    if "face" not in trunks:
        raise ValueError("this network does not see the whole face: there is no map to lay on it")
    if net.training:
        raise ValueError("a network in training looks at each batch otherwise: call net.eval() first")
    kept: list[Tensor] = []

    def keep(_: nn.Module, __: tuple[Tensor, ...], features: Tensor) -> Tensor:
        kept.append(features.detach().requires_grad_())
        return kept[-1]  # gradients need not go further back

    handle = trunks["face"].register_forward_hook(keep)
    try:
        with torch.enable_grad(), _frozen(net):
            output: Output = net(*views)
    finally:
        handle.remove()
    answers = probabilities(output).argmax(1)
    score = output.logits.mean(0).gather(1, answers[:, None]).sum()
    (gradient,) = torch.autograd.grad(score, kept)
    features = kept[0].detach()
    cam = (gradient.mean((2, 3), keepdim=True) * features).sum(1, keepdim=True).relu()
    face = views[net.inputs.index("face")]  # type: ignore[union-attr, operator, arg-type]
    return Looked(answers, _own_map(net, face, output), _on_face(net, cam, face))


@contextmanager
def _frozen(net: nn.Module) -> Iterator[None]:
    """No gradient is kept for weights inside the block: the way to the features costs what answering costs."""
    learned = [weight for weight in net.parameters() if weight.requires_grad]
    for weight in learned:
        weight.requires_grad_(False)
    try:
        yield
    finally:
        for weight in learned:
            weight.requires_grad_(True)


def _own_map(net: nn.Module, face: Tensor, output: Output) -> Tensor | None:
    if isinstance(net, OCL):
        with torch.no_grad():
            return net.attention_map(face)[:, 0]
    return None if output.attention is None else _on_face(net, output.attention.detach(), face)


def _on_face(net: nn.Module, maps: Tensor, face: Tensor) -> Tensor:
    """Maps of the trunk's features, (b or k b, 1, h, w), in the frame of the face, (b, s, s)."""
    side = face.shape[-1]
    if isinstance(net, OCL):
        return laid_back(maps, side)[:, 0]
    return functional.interpolate(maps.float(), (side, side), mode="bilinear", align_corners=False)[:, 0]


def covered_share(maps: Float[Tensor, "b s s"], masks: Bool[Tensor, "b s s"]) -> Float[Tensor, " b"]:
    """The share of each map's mass that lies where its mask is true; NaN for a map that is 0 everywhere.

    A network to which all places are alike has the share of the face that the mask covers.
    """
    return (maps * masks).sum((1, 2)) / maps.sum((1, 2))
