"""The loss terms of the papers, each with its equation."""

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from fermodels.vgg import Output

MASK_TARGETS = ("off-mask", "mask")


def cross_entropy(output: Output, labels: Int[Tensor, " b"], *, smoothing: float = 0.0) -> Float[Tensor, ""]:
    """Mean over the heads of the cross-entropy (eq 12; digest, row 4), optionally with label smoothing."""
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
