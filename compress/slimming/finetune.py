"""What helps a slim network back to its accuracy: the dense network's opinions beside the labels.

Fine-tuning is the ordinary training loop; this adds one loss term to it.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from compress.calling import Output, answered, choosing, first_tensor, inputs_of
from compress.inputs import Example, evaluating

LEVELS = ("heads", "mean")


def distillation(
    teacher: nn.Module,
    *,
    temperature: float = 2.0,
    weight: float = 1.0,
    level: str = "heads",
    output: Output = first_tensor,
) -> Callable[[Any, Example], Float[Tensor, ""]]:
    """A loss term weight * T^2 * KL(teacher || student) at temperature T (Hinton et al. 2015), mean over images.

    Args:
        teacher: run in evaluation mode and without gradients on the same views; it is not trained or changed.
        temperature: T above 0; softens both distributions, T^2 keeps the gradients' size.
        level: "heads" compares each head with the teacher's same head (mean over the heads); "mean" compares the
            averaged probabilities of eq 13, and is the only one for networks with different numbers of heads.
        output: from what either network returns to its logits, (b, classes) or (heads, b, classes).

    Returns:
        term(answer, inputs): `answer` of the student, `inputs` what both networks ate. Computed in float32 also under
        autocast.

    Raises:
        ValueError: a temperature, weight or level out of range; the term: logits of shapes that do not fit.
    """
    if not (0 < temperature < math.inf and 0 <= weight < math.inf):
        raise ValueError(f"temperature={temperature}, weight={weight}: the first above 0, the second 0 or more")
    if level not in LEVELS:
        raise ValueError(f'level="{level}": allowed are {", ".join(LEVELS)}')

    if not isinstance(teacher, nn.Module):
        raise ValueError(f"teacher is a {type(teacher).__name__}: give a torch.nn.Module")
    output = choosing(output)

    def term(answer: Any, inputs: Example) -> Tensor:
        with torch.no_grad(), evaluating(teacher):
            wanted = _log_probabilities(output(answered(teacher, inputs_of(inputs))), temperature, level)
        logits = output(answer)
        with torch.autocast(logits.device.type, enabled=False):
            given = _log_probabilities(logits, temperature, level)
            if given.shape != wanted.shape:
                raise ValueError(
                    f"the teacher's logits are {tuple(wanted.shape)}, the student's {tuple(given.shape)} (heads, "
                    'images, classes): heads may differ with level="mean", classes may not'
                )
            divergence = (wanted.exp() * (wanted - given)).sum(-1).mean()
            return weight * temperature**2 * divergence

    return term


def _log_probabilities(logits: Tensor, temperature: float, level: str) -> Float[Tensor, "rows b classes"]:
    """Log of the softened distributions: one row a head, or one row for their mean."""
    if logits.ndim not in (2, 3):
        raise ValueError(f"logits of shape {tuple(logits.shape)}: (b, classes) or (heads, b, classes); give output=")
    logs = (logits.float() / temperature).log_softmax(-1)
    logs = logs[None] if logs.ndim == 2 else logs
    if level == "heads":
        return logs
    return (logs.logsumexp(0) - torch.tensor(float(len(logs)), device=logs.device).log())[None]
