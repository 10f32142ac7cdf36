"""Whether what left PyTorch still computes the network: the same inputs through both, and how far they differ."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from torch import Tensor

from compress.exporting.graph import Graph
from compress.runtimes.session import Session


@dataclass(frozen=True, kw_only=True)
class Tolerance:
    """How far an artefact's answers may be from the network's before it counts as broken."""

    difference: float
    """Largest allowed difference of one number, as a share of the largest number answered; 1 where only the most
    probable class counts."""
    agreement: float
    """Smallest allowed share of inputs with the same most probable class."""


TOLERANCES = {
    "fp32": Tolerance(difference=1e-3, agreement=0.999),
    "fp16": Tolerance(difference=0.03, agreement=0.99),
    "bf16": Tolerance(difference=0.1, agreement=0.97),
    "int8": Tolerance(difference=1.0, agreement=0.9),
}


@dataclass(frozen=True, kw_only=True)
class Parity:
    """An artefact against the network in PyTorch, on the same inputs."""

    n: int
    largest: float
    """Largest difference of one number."""
    mean: float
    agreement: float
    """Share of inputs with the same most probable class (largest number along the second axis)."""
    scale: float = 1.0
    """Largest number answered by the network."""

    def checked(self, allowed: Tolerance) -> "Parity":
        """Itself.

        Raises:
            ValueError: the artefact is further away than `allowed`, or answers with NaN.
        """
        near = self.largest <= allowed.difference * self.scale and self.agreement >= allowed.agreement
        if not near:  # NaN is near nothing
            raise ValueError(
                f"on {self.n} inputs a number differs by up to {self.largest:.2g} (allowed "
                f"{allowed.difference * self.scale:.2g}) and {self.agreement:.2%} of the answers agree (needed "
                f"{allowed.agreement:.1%}): this artefact does not compute the network it was made from"
            )
        return self


def parity(found: Float[np.ndarray, "n ..."], wanted: Float[np.ndarray, "n ..."]) -> Parity:
    """How far the answers `found` are from `wanted`; NaN in either makes every figure fail.

    Raises:
        ValueError: they are not answers to the same inputs.
    """
    if found.shape != wanted.shape or not found.size:
        raise ValueError(f"answers of shape {found.shape} against {wanted.shape}: compare the same inputs")
    gap = np.abs(found.astype(np.float64) - wanted)
    same = _classes(found) == _classes(wanted)
    scale = float(np.abs(wanted).max())
    return Parity(
        n=len(found), largest=float(gap.max()), mean=float(gap.mean()), agreement=float(same.mean()), scale=scale
    )


def verified(session: Session, graph: Graph, batches: Iterable[Sequence[Tensor]]) -> Parity:
    """`session` held to the network in PyTorch on `batches`: the worst of all its outputs.

    Raises:
        ValueError: there is no batch.
    """
    found: dict[str, list[np.ndarray]] = {name: [] for name in graph.outputs}
    wanted: dict[str, list[np.ndarray]] = {name: [] for name in graph.outputs}
    for batch in batches:
        ours, theirs = session.run(dict(zip(graph.inputs, batch, strict=True))), graph.answer(batch)
        for name in graph.outputs:
            found[name].append(ours[name].float().cpu().numpy())
            wanted[name].append(theirs[name].float().numpy())
    if not any(found.values()):
        raise ValueError("no batch to verify on: give at least one")
    outputs = [parity(np.concatenate(found[name]), np.concatenate(wanted[name])) for name in graph.outputs]
    return max(outputs, key=_distance)


def _classes(answers: Float[np.ndarray, "n ..."]) -> np.ndarray:
    """The most probable class of every input, at every place of a map; of a single number there is only one."""
    return answers.argmax(1) if answers.ndim > 1 else np.zeros(len(answers), np.int64)


def _distance(one: Parity) -> float:
    share = one.largest / one.scale if one.scale else one.largest
    return float("inf") if np.isnan(share) else share + (1 - one.agreement)
