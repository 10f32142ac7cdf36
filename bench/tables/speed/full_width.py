"""Full-width networks at 224 px in every runtime of this machine: export, verify, build, run. Nothing is trained.

    python -m bench.tables.speed.full_width --out reports

A time does not depend on the weights, so they are random, and so are the channels of the cut: no accuracy is told.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

import fermodels
from bench import records
from bench.make.networks import NETWORKS
from bench.make.recipes import say
from bench.make.scale import Scale
from bench.make.scales import PAPER
from bench.pages.files import files
from bench.pages.page import Page
from bench.pages.sheet import Records
from bench.records import Cell, Record
from bench.schema import SINGLE
from bench.tables.speed import runtimes_page
from bench.tables.speed.runtimes import REFERENCE, latencies_of
from compress.cost import macs, params
from compress.exit_status import exit_status
from compress.files import must_be_folder, plain, write_atomic
from compress.program import program
from compress.runtimes import Session, Unavailable
from compress.slimming.surgery import slim
from compress.timing.footprint import opened
from compress.timing.machine import commit, environment
from fermodels import checkpoint
from fermodels.predict.artefacts import FaceArtefacts, artefacts_of

TABLE, DATA = "fullwidth", "random"
TITLE = "Full width, 224 px, random weights: export, build and latency"
MODELS, RATIOS = ("mrf", "vggnet"), (0.0, 0.6)
BACKENDS = (REFERENCE, ("onnxruntime", "fp32"), ("openvino", "fp32"), ("openvino", "bf16"))
"""What needs no data set to calibrate on."""


def cells(scale: Scale = PAPER) -> list[Cell]:
    """Both networks, whole and cut to 40 % of their channels, in every one of `BACKENDS`."""
    place: dict[str, Any] = {"table": TABLE, "data": DATA, "scale": scale.name, "seed": 0}
    return [
        Cell(
            **place,
            model=model,
            ratio=ratio,
            variant="slim" if ratio else "dense",
            runtime=runtime,
            precision=precision,
        )
        for model in MODELS
        for ratio in RATIOS
        for runtime, precision in BACKENDS
    ]


def exported(model: str, ratio: float, folder: Path, scale: Scale) -> tuple[FaceArtefacts, dict[str, Any]]:
    """One network with its verified ONNX file, and what it costs; `export_s` includes the verification."""
    torch.manual_seed(0)
    net = NETWORKS[model].build(scale)
    if ratio:
        net = slim(net, net.example(), ratio=ratio, criterion="random", align=16)[0]  # type: ignore[operator]
    about: dict[str, Any] = dict.fromkeys(checkpoint.CLAIMS) | {"classes": fermodels.EXPRESSIONS}
    about |= {"preprocessing": scale.preprocessing, "stored": scale.geometry.stored}
    fermodels.save(net, folder / "given", about)
    made = artefacts_of(folder / "given", folder, keep=True)
    start = time.perf_counter()
    made.files.onnx("fp32")
    spent = round(time.perf_counter() - start, 2)
    return made, {"params": params(net), "macs": macs(net, net.example()), "export_s": spent}  # type: ignore[operator]


def measure(root: Path, scale: Scale = PAPER) -> list[Path]:
    """Makes every record below `root`, all from one process and in turns; returns their paths."""
    with tempfile.TemporaryDirectory() as name:
        results: dict[Cell, dict[str, Any]] = {}
        running: dict[Cell, Session] = {}
        networks: dict[tuple[str, float], tuple[FaceArtefacts, dict[str, Any]]] = {}
        for cell in cells(scale):
            key = (cell.model, cell.ratio)
            if key not in networks:
                say(f"{cell.model}, {100 * cell.ratio:.0f} % removed: export and verification")
                networks[key] = exported(cell.model, cell.ratio, Path(name) / f"{cell.model}-{cell.ratio}", scale)
            results[cell] = _opened(cell, *networks[key], running)
        say(f"latency of {len(running)} sessions at batch {SINGLE}, in turns")
        for cell, found in latencies_of(running, SINGLE, scale).items():
            results[cell] |= {"latency": {str(SINGLE): found}}
    return [records.save(_record(cell, result, scale), root) for cell, result in results.items()]


def _opened(cell: Cell, made: FaceArtefacts, cost: dict[str, Any], running: dict[Cell, Session]) -> dict[str, Any]:
    result: dict[str, Any] = {"missing": None, "cost": cost, "latency": {}}
    try:
        running[cell], size = opened(made.files, cell.runtime, cell.precision)
    except (Unavailable, ValueError) as reason:
        return result | {"missing": str(reason)}
    return result | {"cost": cost | size}


def _record(cell: Cell, result: dict[str, Any], scale: Scale) -> Record:
    sha, dirty = commit()
    created = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    config = {"weights": "random, seed 0", "cut": "random channels, align 16", "scale": plain(scale.preprocessing)}
    about: dict[str, Any] = {"environment": environment(), "commit": sha, "dirty": dirty, "created": created}
    return Record(cell=cell, config=config, result=plain(result), **about)


def page_of(found: Records, *, data: str, scale: str, seeds: int | None = None) -> Page:
    """Everything that is told."""
    return runtimes_page.page_of(found, data=data, scale=scale, table=TABLE, title=TITLE)


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point: measures, then writes the table."""
    parser = argparse.ArgumentParser(prog=program("bench.tables.speed.full_width"), description=__doc__)
    parser.add_argument(
        "--out", type=Path, default=Path("out"), metavar="DIR", help="records and tables (default: out)"
    )
    given = parser.parse_args(argv)
    return exit_status(
        "bench.tables.speed.full_width", lambda: run(given), kept="records are kept, the same command goes on"
    )


def run(given: argparse.Namespace) -> None:
    """Measures, then writes the table.

    Raises:
        ValueError: a folder that cannot be written to.
    """
    must_be_folder(given.out, "--out")
    measure(given.out / "records")
    found = records.load_all(given.out / "records", table=TABLE, data=DATA, scale=PAPER.name)
    for name, content in files(page_of(found, data=DATA, scale=PAPER.name)).items():
        write_atomic(given.out / "tables" / f"{DATA}-{PAPER.name}" / name, content)
        print(given.out / "tables" / f"{DATA}-{PAPER.name}" / name)


if __name__ == "__main__":
    sys.exit(main())
