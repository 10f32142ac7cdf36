"""Networks with random weights in every runtime of this machine: export, verify, build, run. Nothing is trained.

    python -m bench.tables.speed.untrained --out reports
    python -m bench.tables.speed.untrained --of reports/records/table5/fer2013/SCALE --out reports

A time does not depend on the weights, and no accuracy is told. The first command times the networks of the papers at
224 px, whole and with random channels removed. The second times the widths of records: what another machine has
trained, on the processor that is to run it.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

import fermodels
from bench import records
from bench.make.networks import NETWORKS
from bench.make.recipes import say
from bench.make.scale import Scale
from bench.make.scales import CPU, PAPER, scale_for
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
from compress.timing.machine import origin
from fermodels import checkpoint
from fermodels.predict.artefacts import FaceArtefacts, artefacts_of

Networks = Mapping[tuple[str, str, float], Callable[[], nn.Module]]
"""(model, variant, ratio) -> the network with fresh weights."""
PAPERS, OF_RECORDS, DATA = "fullwidth", "untrained", "random"
"""The two tables, and the data set of the first."""
TITLES = {
    PAPERS: "Full width, 224 px, random weights: export, build and latency",
    OF_RECORDS: "The widths of Table 5 with random weights: export, build and latency",
}
MODELS, RATIOS = ("mrf", "vggnet"), (0.0, 0.6)
BACKENDS = (REFERENCE, ("onnxruntime", "fp32"), ("openvino", "fp32"), ("openvino", "bf16"))
"""What needs no data set to calibrate on."""
TRUNK = "trunks.{}.blocks.{}.conv"
"""Name of a convolution in the plan of a network of VGG trunks."""


def of_papers(scale: Scale) -> Networks:
    """`MODELS` at `scale`, whole and with `RATIOS` of their channels removed at random."""
    return {
        (model, "slim" if ratio else "dense", ratio): partial(_cut_at_random, model, ratio, scale)
        for model in MODELS
        for ratio in RATIOS
    }


def of_records(folder: Path) -> Networks:
    """The networks that the records in `folder` tell of, unpruned and slim, the first seed, with their plans' widths.

    Raises:
        ValueError: no record of an unpruned or slim network lies there.
    """
    found = sorted((records.load(path) for path in records.paths(folder)), key=lambda one: one.cell)
    wanted = [one for one in found if one.cell.variant in ("dense", "slim") and not one.cell.seed]
    if not wanted:
        raise ValueError(f"{folder} holds no record of an unpruned or slim network: give RECORDS/table5/DATA/SCALE")
    return {(one.cell.model, one.cell.variant, one.cell.ratio): partial(_as_recorded, one) for one in wanted}


def _cut_at_random(model: str, ratio: float, scale: Scale) -> nn.Module:
    net = NETWORKS[model].build(scale)
    return slim(net, net.example(), ratio=ratio, criterion="random", align=16)[0] if ratio else net  # type: ignore[operator]


def _as_recorded(record: Record) -> nn.Module:
    """A network of the record's architecture and widths, held to the parameters and MACs that the record tells."""
    stage, plan, cost = record.config["stage"], record.result["plan"], record.result["cost"]
    own = stage["architecture"]
    if plan:
        after = plan["widths_after"]
        names = {trunk: [TRUNK.format(trunk, i) for i in range(len(own["widths"][trunk]))] for trunk in own["widths"]}
        if after.keys() != {name for trunk in names.values() for name in trunk}:
            raise ValueError(f"{record.cell.id} is no network of VGG trunks: its widths cannot be built again")
        own = own | {"widths": {trunk: tuple(after[name] for name in names[trunk]) for trunk in names}}
    net = fermodels.build(stage["model"], **own)
    made, told = (params(net), macs(net, net.example())), (cost["params"], cost["macs"])  # type: ignore[operator]
    if made != told:
        raise ValueError(f"{record.cell.id}: (parameters, MACs) are {made}, the record says {told}; measure it again")
    return net


def cells(networks: Networks, *, table: str, data: str, scale: str) -> list[Cell]:
    """Every one of `networks` in every one of `BACKENDS`."""
    place: dict[str, Any] = {"table": table, "data": data, "scale": scale, "seed": 0}
    return [
        Cell(**place, model=model, variant=variant, ratio=ratio, runtime=runtime, precision=precision)
        for model, variant, ratio in networks
        for runtime, precision in BACKENDS
    ]


def exported(build: Callable[[], nn.Module], folder: Path, scale: Scale) -> tuple[FaceArtefacts, dict[str, Any]]:
    """One network with its verified ONNX file, and what it costs; `export_s` includes the verification."""
    torch.manual_seed(0)
    net = build()
    about: dict[str, Any] = dict.fromkeys(checkpoint.CLAIMS) | {"classes": fermodels.EXPRESSIONS}
    about |= {"preprocessing": scale.preprocessing, "stored": scale.geometry.stored}
    fermodels.save(net, folder / "given", about)
    made = artefacts_of(folder / "given", folder, keep=True)
    start = time.perf_counter()
    made.files.onnx("fp32")
    spent = round(time.perf_counter() - start, 2)
    return made, {"params": params(net), "macs": macs(net, net.example()), "export_s": spent}  # type: ignore[operator]


def measure(networks: Networks, root: Path, scale: Scale, *, table: str, data: str) -> list[Path]:
    """Makes every record below `root`, all from one process; the networks of one model take turns. Returns the paths.

    Args:
        scale: gives the size and the preprocessing; how long is measured is what scale `cpu` says.
    """
    results: dict[Cell, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as name:
        for model in dict.fromkeys(model for model, _, _ in networks):
            own = {place: build for place, build in networks.items() if place[0] == model}
            results |= _measured(own, Path(name), scale, table=table, data=data)
    return [records.save(_record(cell, result, scale), root) for cell, result in results.items()]


def _measured(networks: Networks, folder: Path, scale: Scale, *, table: str, data: str) -> dict[Cell, dict[str, Any]]:
    results: dict[Cell, dict[str, Any]] = {}
    running: dict[Cell, Session] = {}
    for place, build in networks.items():
        model, variant, ratio = place
        say(f"{model}, {100 * ratio:.0f} % removed: export and verification")
        made, cost = exported(build, folder / f"{model}-{variant}-{ratio}", scale)
        for cell in cells({place: build}, table=table, data=data, scale=scale.name):
            results[cell] = _opened(cell, made, cost, running)
    say(f"latency of {len(running)} sessions at batch {SINGLE}, in turns")
    for cell, found in latencies_of(running, SINGLE, scale).items():
        results[cell] |= {"latency": {str(SINGLE): found}}
    return results


def _opened(cell: Cell, made: FaceArtefacts, cost: dict[str, Any], running: dict[Cell, Session]) -> dict[str, Any]:
    result: dict[str, Any] = {"missing": None, "cost": cost, "latency": {}}
    try:
        running[cell], size = opened(made.files, cell.runtime, cell.precision)
    except (Unavailable, ValueError) as reason:
        return result | {"missing": str(reason)}
    return result | {"cost": cost | size}


def _record(cell: Cell, result: dict[str, Any], scale: Scale) -> Record:
    cut = "random channels, align 16" if cell.table == PAPERS else "the widths of the record of the same name"
    config = {"weights": "random, seed 0", "cut": cut, "scale": plain(scale.preprocessing)}
    return Record(cell=cell, config=config, result=plain(result), **origin())


def page_of(found: Records, *, data: str, scale: str, seeds: int | None = None, table: str = PAPERS) -> Page:
    """Everything that is told."""
    return runtimes_page.page_of(found, data=data, scale=scale, table=table, title=TITLES[table])


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point: measures, then writes the table."""
    name = "bench.tables.speed.untrained"
    parser = argparse.ArgumentParser(
        prog=program(name), description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--of", type=Path, metavar="DIR", help="time the widths of these records: RECORDS/table5/DATA/SCALE"
    )
    parser.add_argument(
        "--out", type=Path, default=Path("out"), metavar="DIR", help="records and tables (default: out)"
    )
    given = parser.parse_args(argv)
    return exit_status(name, lambda: run(given), kept="nothing is kept before all networks of one call are timed")


def run(given: argparse.Namespace) -> None:
    """Measures, then writes the table.

    Raises:
        ValueError: a folder that cannot be written to, or records that are not there or of other networks.
    """
    must_be_folder(given.out, "--out")
    table, data, scale, networks = PAPERS, DATA, PAPER, of_papers(PAPER)
    if given.of:
        source = given.of.resolve()
        networks = of_records(source)
        table, data = OF_RECORDS, source.parent.name
        scale = replace(scale_for(source.name, data), measurement=CPU.measurement)
    measure(networks, given.out / "records", scale, table=table, data=data)
    found = records.load_all(given.out / "records", table=table, data=data, scale=scale.name)
    for name, content in files(page_of(found, data=data, scale=scale.name, table=table)).items():
        path = given.out / "tables" / f"{data}-{scale.name}" / name
        write_atomic(path, content)
        print(path)


if __name__ == "__main__":
    sys.exit(main())
