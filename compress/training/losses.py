"""The loss of a classifier, for logits of any usual shape; and what any loss must be."""

from typing import Any

from torch import Tensor
from torch.nn import functional


def cross_entropy(logits: Tensor, targets: Tensor, *, smoothing: float = 0.0) -> Tensor:
    """Mean cross-entropy of logits (b, classes, ...), or of several heads' logits (heads, b, classes).

    Args:
        targets: class numbers (b, ...), or probabilities (b, classes, ...).

    Raises:
        ValueError: shapes or types that do not fit.
    """
    logits = logits.float()
    if logits.ndim == 3 and targets.ndim == 1 and len(targets) == logits.shape[1]:
        logits, targets = logits.flatten(0, 1), targets.repeat(len(logits))
    try:
        return functional.cross_entropy(logits, targets, label_smoothing=smoothing)
    except (RuntimeError, ValueError, IndexError) as error:
        told = f"logits {tuple(logits.shape)} and targets {tuple(targets.shape)} of {targets.dtype}"
        raise ValueError(f"{told} do not go together ({error}): give loss=lambda answer, targets: ...") from error


def scalar(loss: Any) -> Tensor:
    """`loss`, one number with gradients.

    Raises:
        ValueError: it is something else.
    """
    if not isinstance(loss, Tensor) or loss.numel() != 1 or not loss.requires_grad:
        told = f"shape {tuple(loss.shape)}" if isinstance(loss, Tensor) else f"type {type(loss).__name__}"
        raise ValueError(f"loss= gives something of {told}: give one number that depends on what the network returns")
    return loss.squeeze()
