"""Measures a network that ships through its artefact, and writes its record and its model card.

    python -m bench.shipped small --data fer2013:fer2013.npz --photographs prepared:faces/lfw

What answers is what a user gets: `fermodels.predict.models.open_model(NAME)`, the ONNX file in ONNX Runtime. Both test
splits go through it, then photographs that were made worse. The record goes to reports/records/shipped, the card, which
is rendered from it, to docs/models.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from PIL import Image, ImageFilter

from bench.measure import accuracy
from bench.measure.calibration import at_temperature, nll, temperature
from bench.pages.html import TEMPLATES
from compress.exit_status import exit_status
from compress.files import must_be_folder, plain, size_bytes, write_atomic
from compress.program import program
from compress.timing.machine import origin
from fermodels.data import open_dataset
from fermodels.data.base import Dataset, Split
from fermodels.faces.landmark_errors import ece
from fermodels.predict.classifier import Classifier
from fermodels.predict.models import open_model
from fermodels.predict.shipped import SHIPPED

RECORDS, CARDS = Path("reports/records/shipped"), Path("docs/models")
RIVALS = Path("reports/records/rivals")
RUNS, SECONDS = 300, 3.0
"""A face alone is timed at least so often and so long."""
Faces = UInt8[np.ndarray, "n side side 3"]


def _each(change: Callable[[Image.Image], Image.Image]) -> Callable[[Faces], Faces]:
    return lambda faces: np.stack([np.asarray(change(Image.fromarray(face))) for face in faces])


WORSE: dict[str, Callable[[Faces], Faces]] = {
    "as they are": lambda faces: faces,
    "at 40 % of their brightness": lambda faces: (faces * 0.4).astype(np.uint8),
    "blurred (2 px of 64)": _each(lambda face: face.filter(ImageFilter.GaussianBlur(2))),
    "16 px wide": _each(lambda face: face.resize((16, 16), Image.Resampling.BOX).resize(face.size)),
    "turned by 20 degrees": _each(lambda face: face.rotate(20, Image.Resampling.BILINEAR)),
}
"""What happens to photographs, as a person would say it."""


def colour(split: Split) -> Faces:
    """The faces of a split as RGB."""
    faces = np.asarray(split.images)
    return np.repeat(faces, 3, axis=-1) if faces.shape[-1] == 1 else faces


def scored(answers: np.ndarray, labels: np.ndarray, classes: Sequence[str]) -> dict[str, Any]:
    """Every figure of `accuracy.score` but the single predictions."""
    found = plain(accuracy.score(answers.argmax(1), labels, classes))
    return {name: value for name, value in found.items() if name != "predictions"}


def calibration(classify: Classifier, data: Dataset) -> dict[str, float]:
    """Expected calibration error (10 bins) and negative log likelihood on test, as shipped and at the temperature that
    validation gives."""
    known, asked = (classify(colour(data.splits[split])).probabilities for split in ("validation", "test"))
    heat = temperature(known, np.asarray(data.validation.labels))
    truth, told = np.asarray(data.test.labels), {"temperature": heat}
    for name, answers in (("", asked), ("_at_temperature", at_temperature(asked, heat))):
        told |= {
            f"ece{name}": float(ece(answers.max(1), answers.argmax(1) == truth)),
            f"nll{name}": nll(answers, truth),
        }
    return told


def timed(classify: Classifier, face: Faces) -> dict[str, Any]:
    """Milliseconds of one face from pixels to probabilities, every sample."""
    for _ in range(30):
        classify(face)
    samples, end = [], time.perf_counter() + SECONDS
    while len(samples) < RUNS or time.perf_counter() < end:
        start = time.perf_counter_ns()
        classify(face)
        samples.append((time.perf_counter_ns() - start) / 1e6)
    p50, p90 = np.percentile(samples, [50, 90])
    return {
        "p50_ms": float(p50),
        "p90_ms": float(p90),
        "runs": len(samples),
        "samples_ms": np.round(samples, 4).tolist(),
    }


def measured(name: str, data: Dataset, photographs: Dataset) -> dict[str, Any]:
    """The record: what is claimed, and everything measured."""
    classify, folder = open_model(name), SHIPPED[name]
    told = {"name": name, "claims": json.loads((folder / "config.json").read_text())}
    told |= {"plan": json.loads((folder / "plan.json").read_text())}
    sizes = {file.name: size_bytes(file) for file in sorted(folder.iterdir())}
    return told | figures(classify, data, photographs) | {"bytes": sizes}


def figures(classify: Classifier, data: Dataset, photographs: Dataset) -> dict[str, Any]:
    """Everything measured of a model on both test splits, where, and by which commit.

    Raises:
        ValueError: the model's classes are not those of `data`, in their order.
    """
    if classify.classes != data.classes:
        raise ValueError(f"the model tells {', '.join(classify.classes)}, {data.name} {', '.join(data.classes)}")
    into = np.array([classify.classes.index(label) for label in photographs.classes])
    truth, faces = into[np.asarray(photographs.test.labels)], colour(photographs.test)
    answers = {how: classify(change(faces)).probabilities for how, change in WORSE.items()}
    own = classify(colour(data.test)).probabilities
    leaked = np.asarray(data.test.leaked) if data.test.leaked is not None else np.zeros(len(own), bool)
    labels = np.asarray(data.test.labels)
    return {
        "data": {"name": data.name, "photographs": photographs.name, "notes": [*data.notes, *photographs.notes]},
        "accuracy": scored(own, labels, classify.classes),
        "without_copies": scored(own[~leaked], labels[~leaked], classify.classes),
        "photographs": {how: scored(found, truth, classify.classes) for how, found in answers.items()},
        "calibration": calibration(classify, data),
        "latency": timed(classify, faces[:1]),
    } | origin()


def card(record: dict[str, Any], rivals: Sequence[dict[str, Any]] = ()) -> str:
    """The model card as Markdown, beside what was measured of other packages on the same faces (`bench.rival`)."""
    jinja = Environment(loader=FileSystemLoader(TEMPLATES), undefined=StrictUndefined, keep_trailing_newline=True)
    jinja.filters["percent"] = lambda share: "-" if share is None else f"{share:.1%}"
    more = {"bare": record["photographs"]["as they are"], "rivals": rivals}
    return jinja.get_template("model_card.md.j2").render(record | more)


def records_in(folder: Path) -> list[dict[str, Any]]:
    """The records of whole networks, ours (`RECORDS`) or other packages' (`RIVALS`), which no table holds."""
    return [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=program("bench.shipped"), description=__doc__)
    parser.add_argument("name", choices=list(SHIPPED))
    add_data(parser)
    return parser.parse_args(argv)


def add_data(parser: argparse.ArgumentParser) -> None:
    """The options that name both data sets."""
    parser.add_argument("--data", required=True, help="fer2013:PATH")
    parser.add_argument("--photographs", required=True, help="prepared:FOLDER, written by fermodels.faces.prepare")
    parser.add_argument("--runs", type=Path, default=Path("reports/runs"), metavar="DIR", help="cache of decoded faces")


def both(given: argparse.Namespace, side: int) -> tuple[Dataset, Dataset]:
    """Both data sets at `side` pixels.

    Raises:
        ValueError: data that cannot be read, or a cache that cannot be written to.
    """
    must_be_folder(given.runs, "--runs")
    data, photographs = (
        open_dataset(spec, size=side, cache=given.runs / "data") for spec in (given.data, given.photographs)
    )
    return data, photographs


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point."""
    given = arguments(argv)
    return exit_status("bench.shipped", lambda: run(given))


def run(given: argparse.Namespace) -> None:
    """Measures, and writes record and card.

    Raises:
        ValueError: data that cannot be read, or a cache that cannot be written to.
    """
    record = measured(given.name, *both(given, open_model(given.name).side))
    write_atomic(RECORDS / f"{given.name}.json", json.dumps(plain(record), indent=1) + "\n")
    write_atomic(CARDS / f"{given.name}.md", card(plain(record), records_in(RIVALS)))
    print(json.dumps({"record": str(RECORDS / f"{given.name}.json"), "card": str(CARDS / f"{given.name}.md")}))


if __name__ == "__main__":
    sys.exit(main())
