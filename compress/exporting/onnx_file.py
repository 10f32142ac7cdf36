"""A network leaves PyTorch: one ONNX file, checked, described, and verified against the network it came from.

    graph = Deployed(net, preprocessing, stored=64)
    onnx_from_net(graph, Path("net.onnx"), about)
    verify(Path("net.onnx"), graph, batches).checked(TOLERANCES["fp32"])

The precision is in the file (float32, float16, or explicit quantisation): no runtime has to be trusted with it.
"""

import json
import logging
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from compress.files import atomic_path, plain
from compress.libraries import library
from compress.onnx_session import onnx_session
from fermodels.predict.deployed import Deployed

OPSET = 20
PRECISIONS = {"fp32": torch.float32, "fp16": torch.float16}
METADATA = "fermodels"
"""The key in the file's metadata whose value is the JSON of `metadata`."""


@dataclass(frozen=True, kw_only=True)
class Tolerance:
    """How far an artefact's probabilities may be from the network's before it counts as broken."""

    probability: float
    """Largest allowed difference of one probability; 1 where only the answers count."""
    agreement: float
    """Smallest allowed share of images with the same most probable class."""


TOLERANCES = {
    "fp32": Tolerance(probability=1e-3, agreement=0.999),
    "fp16": Tolerance(probability=0.03, agreement=0.99),
    "bf16": Tolerance(probability=0.1, agreement=0.97),
    "int8": Tolerance(probability=1.0, agreement=0.9),
}


@dataclass(frozen=True, kw_only=True)
class Parity:
    """An artefact against the network in PyTorch, on the same images."""

    n: int
    largest: float
    """Largest difference of one probability."""
    mean: float
    agreement: float
    """Share of images with the same most probable class."""

    def checked(self, allowed: Tolerance) -> "Parity":
        """Itself.

        Raises:
            ValueError: the artefact is further away than `allowed`.
        """
        if self.largest > allowed.probability or self.agreement < allowed.agreement:
            raise ValueError(
                f"on {self.n} images a probability differs by up to {self.largest:.2g} (allowed "
                f"{allowed.probability:g}) and {self.agreement:.2%} of the answers agree (needed "
                f"{allowed.agreement:.1%}): this artefact does not compute the network it was made from"
            )
        return self


def onnx_from_net(graph: Deployed, path: Path, about: dict[str, Any], *, precision: str = "fp32") -> Path:
    """Writes `graph` to `path`: one file, dynamic batch, batch norms folded into the convolutions.

    Args:
        about: what a checkpoint says (classes, data, accuracy); it goes into the file's metadata.
        precision: "fp32", or "fp16" for half-precision weights and arithmetic between float32 inputs and outputs.

    Raises:
        ValueError: an unknown precision.
    """
    onnx = library("onnx")
    if precision not in PRECISIONS:
        raise ValueError(
            f'precision="{precision}": allowed are {", ".join(PRECISIONS)}; int8 is made by compress.exporting.quantize'
        )
    graph = deepcopy(graph).cpu().eval()
    graph.net.to(PRECISIONS[precision])
    with _quiet():
        batch = torch.export.Dim("batch", min=1, max=65536)
        shapes = {"pixels": tuple({0: batch} for _ in graph.inputs)}
        program = torch.export.export(graph, graph.example(2), dynamic_shapes=shapes)
        names: dict[str, Any] = {"input_names": list(graph.inputs), "output_names": list(graph.outputs)}
        exported = torch.onnx.export(program, dynamo=True, opset_version=OPSET, verbose=False, **names)
    assert exported is not None
    model = exported.model_proto
    _name_batch(model)
    described = metadata(graph, about, precision)
    onnx.helper.set_model_props(model, {METADATA: json.dumps(plain(described))})
    onnx.checker.check_model(model, full_check=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary:
        Path(temporary).write_bytes(model.SerializeToString())
    return path


def metadata(graph: Deployed, about: dict[str, Any], precision: str) -> dict[str, Any]:
    """What somebody who has only the file must know: what to feed, in which order the classes come, what it claims."""
    config = graph.preprocessing
    feed = {"colour": config.colour, "layout": "NCHW", "dtype": "float32", "range": [0, 255]}
    inputs = {name: feed | {"side": side} for name, side in graph.sides.items()}
    crop = config.size / graph.sides.get("face", config.size)  # the share of the aligned side that the network sees
    claims = {name: about.get(name) for name in ("classes", "data", "split", "n", "accuracy", "trust")}
    made = {"inputs": inputs, "outputs": graph.outputs, "precision": precision, "regions": graph.regions, "crop": crop}
    return made | claims


def described(path: Path) -> dict[str, Any]:
    """The `metadata` in an ONNX file.

    Raises:
        ValueError: no ONNX file, or one that this project did not write.
    """
    onnx = library("onnx")
    try:
        model = onnx.load(path, load_external_data=False)
    except Exception as error:  # protobuf, missing file: the mend is the same
        raise ValueError(f"{path} is no readable ONNX file ({error}); export the network again") from error
    found = {entry.key: entry.value for entry in model.metadata_props}
    if METADATA not in found:
        raise ValueError(f"{path} carries no {METADATA} metadata: it was not written by compress.export")
    return json.loads(found[METADATA])


def parity(found: Float[np.ndarray, "n classes"], wanted: Float[np.ndarray, "n classes"]) -> Parity:
    """How far the probabilities `found` are from `wanted`."""
    if found.shape != wanted.shape or not len(found):
        raise ValueError(f"probabilities of shape {found.shape} against {wanted.shape}: compare the same images")
    gap = np.abs(found - wanted)
    same = float((found.argmax(1) == wanted.argmax(1)).mean())
    return Parity(n=len(found), largest=float(gap.max()), mean=float(gap.mean()), agreement=same)


def verify(path: Path, graph: Deployed, batches: Iterable[Sequence[Tensor]]) -> Parity:
    """Runs the ONNX file in ONNX Runtime and `graph` in PyTorch on the same batches of pixels."""
    session = onnx_session(path)
    found, wanted = [], []
    with torch.inference_mode():
        for batch in batches:
            feed = dict(zip(graph.inputs, (view.float().numpy() for view in batch), strict=True))
            found.append(session.run(["probabilities"], feed)[0])
            wanted.append(graph(*(view.float() for view in batch))[0].numpy())
    if not found:
        raise ValueError("no batch to verify on: give at least one")
    return parity(np.concatenate(found), np.concatenate(wanted))


def _name_batch(model: Any) -> None:
    """The exporter numbers the dynamic axis; people look for a name."""
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    del model.graph.value_info[:]  # still under the number; runtimes infer it again


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporter's remarks on libraries that this project does not use."""
    logger = logging.getLogger("torch.onnx")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(before)
