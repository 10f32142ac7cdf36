"""The loss terms of the papers, each with its equation."""

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, distributed
from torch.nn import functional

from compress.training import processes
from fermodels.nets.vgg import Output

MASK_TARGETS = ("off-mask", "mask")
RESTRAIN_WEIGHT = 0.5
"""lambda of paper 2, eq 10."""


def cross_entropy(output: Output, labels: Int[Tensor, " b"], *, smoothing: float = 0.0) -> Float[Tensor, ""]:
    """Mean over the heads of the cross-entropy (eq 12; docs/papers.md, 1.4), optionally with label smoothing."""
    heads = [functional.cross_entropy(head.float(), labels, label_smoothing=smoothing) for head in output.logits]
    return torch.stack(heads).mean()


def mask_loss(
    attention: Float[Tensor, "b 1 h w"], mask: Float[Tensor, "b 1 h w"], *, target: str = "off-mask"
) -> Float[Tensor, ""]:
    """L_M: sum over cells, mean over faces with at least one reliable landmark (eq 6, 8).

    "off-mask" is eq 6 as written, sum (M_H - M_H (.) f)^2: it lowers the map outside the mask and never raises it
    inside. "mask" is sum (M_H - f)^2, which is what the paper's text describes.

    Raises:
        ValueError: an unknown `target`.
    """
    if target not in MASK_TARGETS:
        raise ValueError(f'mask target "{target}": allowed are {", ".join(MASK_TARGETS)}')
    attention = attention.float()
    difference = attention - (attention * mask if target == "off-mask" else mask)
    per_face = difference.square().flatten(1).sum(1)
    counted = mask.flatten(1).any(1).float()
    return (per_face * counted).sum() / counted.sum().clamp(min=1)


def restrain_loss(output: Output, labels: Int[Tensor, " b"]) -> Float[Tensor, ""]:
    """sum over regions of max(0, P(r_k) - P(r_g)), mean over the batch (paper 2, eq 7, 8; docs/papers.md, 2.4).

    P is the probability of the right class. What is punished is a region that knows better than the fused features.

    Raises:
        ValueError: a network without regions, or one in evaluation mode.
    """
    if output.regions is None:
        raise ValueError(
            'the restrain loss compares regions with the whole: train "ocl", the only network with regions'
        )
    whole = _right(output.logits.float(), labels)
    return (_right(output.regions.float(), labels) - whole).relu().sum(0).mean()


def _right(logits: Float[Tensor, "k b classes"], labels: Int[Tensor, " b"]) -> Float[Tensor, "k b"]:
    """Probability of the right class."""
    return logits.softmax(-1).gather(-1, labels.expand(len(logits), -1)[..., None])[..., 0]


def nt_xent(
    first: Float[Tensor, "b d"], second: Float[Tensor, "b d"], *, temperature: float = 0.1
) -> Float[Tensor, ""]:
    """NT-Xent: mean over all 2 B projections of -log of eq 1 (paper 2; Chen et al. 2020), cosine similarity.

    The positive of a projection is its other view; all others but itself are in the denominator (the paper's eq 1
    lacks -log, a slip). Of several processes (`compress.training.processes`) each has the mean over its own
    projections, told from those of all: weighted by their images, as the loop does, it is that of one process.

    Args:
        first, second: projections of two views of the same images, row by row; any length but 0.
        temperature: tau, above 0.
    """
    if temperature <= 0:
        raise ValueError(f"temperature={temperature}: a number above 0, like 0.1")
    with torch.autocast(first.device.type, enabled=False):
        pairs = [functional.normalize(view.float(), dim=1) for view in (first, second)]
        counts, rank = processes.gathered(len(first)), processes.rank()
        everyone = [_gathered(view, counts) for view in pairs] if len(counts) > 1 else pairs
        own, every = torch.cat(pairs), torch.cat(everyone)
        similarity = own @ every.T / temperature
        rows = sum(counts[:rank]) + torch.arange(len(first), device=first.device)
        itself, other = torch.cat((rows, rows + sum(counts))), torch.cat((rows + sum(counts), rows))
        similarity = similarity.scatter(1, itself[:, None], -torch.inf)
        return functional.cross_entropy(similarity, other)


def _gathered(rows: Float[Tensor, "b d"], counts: list[int]) -> Float[Tensor, "n d"]:
    """The rows of all processes in their order, through which gradients flow back to all of them."""
    padded = functional.pad(rows, (0, 0, 0, max(counts) - len(rows)))
    blocks: Any = _Gather.apply(padded)
    return torch.cat([block[:count] for block, count in zip(blocks, counts, strict=True)])


class _Gather(torch.autograd.Function):
    """all_gather: (b, d) of each process -> (processes, b, d); the gradient is summed over the processes."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:
        blocks = [torch.empty_like(rows) for _ in range(distributed.get_world_size())]
        distributed.all_gather(blocks, rows.contiguous())
        return torch.stack(blocks)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        total = gradients[0].contiguous()
        distributed.all_reduce(total)
        return total[distributed.get_rank()]
