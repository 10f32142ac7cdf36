"""What helps a slim network back to its accuracy: the dense network's opinions beside the labels.

Fine-tuning is the ordinary training loop; this adds one loss term to it.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from compress.inputs import evaluating

LEVELS = ("heads", "mean")


def distillation(
    teacher: nn.Module, *, temperature: float = 2.0, weight: float = 1.0, level: str = "heads"
) -> Callable[[Any, Sequence[Float[Tensor, "b c h w"]]], Float[Tensor, ""]]:
    """A loss term weight * T^2 * KL(teacher || student) at temperature T (Hinton et al. 2015), mean over images.

    Args:
        teacher: run in evaluation mode and without gradients on the same views; it is not trained or changed.
        temperature: T above 0; softens both distributions, T^2 keeps the gradients' size.
        level: "heads" compares each head with the teacher's same head (mean over the heads); "mean" compares the
            averaged probabilities of eq 13, and is the only one for networks with different numbers of heads.

    Returns:
        term(output, views): `output` of the student, `views` what both networks ate. Computed in float32 also under
        autocast.

    Raises:
        ValueError: a temperature, weight or level out of range.
    """
    if temperature <= 0 or weight < 0:
        raise ValueError(f"temperature={temperature}, weight={weight}: the first above 0, the second 0 or more")
    if level not in LEVELS:
        raise ValueError(f'level="{level}": allowed are {", ".join(LEVELS)}')

    def term(output: Any, views: Sequence[Tensor]) -> Tensor:
        with torch.no_grad(), evaluating(teacher):
            wanted = _log_probabilities(teacher(*views).logits, temperature, level)
        with torch.autocast(output.logits.device.type, enabled=False):
            given = _log_probabilities(output.logits, temperature, level)
            divergence = (wanted.exp() * (wanted - given)).sum(-1).mean()
            return weight * temperature**2 * divergence

    return term


def _log_probabilities(
    logits: Float[Tensor, "heads b classes"], temperature: float, level: str
) -> Float[Tensor, "rows b classes"]:
    """Log of the softened distributions: one row a head, or one row for their mean."""
    logs = (logits.float() / temperature).log_softmax(-1)
    if level == "heads":
        return logs
    return (logs.logsumexp(0) - torch.tensor(float(len(logs)), device=logs.device).log())[None]
