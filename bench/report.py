"""The command: plan the cells of a table, make what is missing, render.

    python -m bench.report                                          # Table 5 on the embedded synthetic faces
    python -m bench.report --data fer2013:fer2013.csv --scale cpu   # on real faces
    python -m bench.report --data fer2013 --out reports --render-only
    python -m bench.report --table all                              # every table, records and trainings shared

Killed at any moment, the same command goes on from the last finished epoch. The last line of standard output is JSON.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from itertools import groupby
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from bench import live, records
from bench.make.jobs import Source, make_stages, train_on_ray, train_side_by_side
from bench.make.networks import NETWORKS
from bench.make.recipes import say
from bench.make.scales import SCALES, scale_for, with_settings
from bench.make.stages import CROPS
from bench.measure.accuracy import fits
from bench.pages.files import committed
from bench.pages.html import address
from bench.pages.page import Page, folder_of
from bench.pages.site import INDEX, TABLE5, site
from bench.pages.terminal import WIDTH, terminal, terminal_of_all
from bench.records import Cell
from bench.registry import TABLES, Entry, gathered, page_of
from compress.exit_status import exit_status
from compress.files import must_be_folder, write_atomic
from compress.libraries import library
from compress.program import program
from compress.training import processes
from compress.training.processes import BATCH_NORMS
from fermodels.data import DATASETS

PUBLISHED = "reports"
"""The folder whose records and tables are committed."""
RUNS = Path("reports/runs")
KEPT = "finished epochs, stages and records are kept, the same command goes on from them"
ALL = "all"
"""Instead of a table's name: every one, in the order of the registry."""


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line. Unknown options and values end the program with a sentence and status 2."""
    parser = argparse.ArgumentParser(
        prog=program("bench.report"),
        description="Regenerates a table of the papers: trains, slims, fine-tunes, measures, renders. Resumable.",
        epilog="Records go to OUT/records, renderings to OUT/tables; trained networks are cached in " + str(RUNS) + ".",
    )
    _experiment(parser.add_argument_group("what is measured"))
    _sources(parser.add_argument_group("what is trained on"))
    _machines(parser.add_argument_group("where it runs"))
    _places(parser.add_argument_group("what is written"))
    given = parser.parse_args(argv)
    _agree(parser, given)
    return given


def _experiment(group: Any) -> None:
    group.add_argument("--table", default="table5", choices=[*TABLES, ALL])
    group.add_argument(
        "--data", default="synthetic", help=f"NAME or NAME:PATH, NAME one of {', '.join(DATASETS)} (default: synthetic)"
    )
    group.add_argument("--scale", default="cpu", choices=list(SCALES), help="size of the experiment (default: cpu)")
    group.add_argument(
        "--set",
        dest="settings",
        nargs="+",
        default=(),
        metavar="FIELD=VALUE",
        help="another value of a field of the scale, like dense.epochs=12; it stands in the scale's name",
    )
    group.add_argument("--seeds", type=int, default=1, metavar="N", help="repeat with seeds 0 .. N-1 (default: 1)")
    group.add_argument("--models", nargs="+", metavar="MODEL", help="only these networks of the table")
    group.add_argument("--crops", default="centre", choices=list(CROPS), help="crops at evaluation (default: centre)")


def _sources(group: Any) -> None:
    group.add_argument(
        "--imagenet",
        type=Path,
        metavar="FILE",
        help="file with torchvision's ResNet-18 weights, for paper 2's networks to start from (full-width scales only)",
    )
    group.add_argument(
        "--unlabelled",
        nargs="+",
        default=(),
        metavar="NAME:PATH",
        help="also pretrain paper 2's networks on the train splits of these data sets, without labels",
    )
    group.add_argument("--skip-broken", action="store_true", help="leave out broken images and count them")


def _machines(group: Any) -> None:
    group.add_argument("--device", default="cpu", help='"cpu" or "cuda" (default: cpu)')
    group.add_argument(
        "--jobs", type=int, default=1, metavar="N", help="train N networks at once; they share the cores (default: 1)"
    )
    group.add_argument(
        "--executor", default="local", choices=("local", "ray"), help="train here, or on Ray (default: local)"
    )
    group.add_argument(
        "--ray-address", metavar="ADDRESS", help="address of a Ray cluster, like auto (default: start a local Ray)"
    )
    group.add_argument(
        "--batch-norm",
        default="local",
        choices=BATCH_NORMS,
        help="under torchrun: statistics over the faces of each process, or over the whole batch (default: local)",
    )


def _places(group: Any) -> None:
    group.add_argument("--out", type=Path, default=Path("out"), metavar="DIR", help="records and tables (default: out)")
    group.add_argument("--runs", type=Path, default=RUNS, metavar="DIR", help="trained networks, safe to delete")
    group.add_argument("--render-only", action="store_true", help="compute nothing: write tables of the records alone")


def _agree(parser: argparse.ArgumentParser, given: argparse.Namespace) -> None:
    """Ends the program where two options contradict each other; puts the settings into the scale's name."""
    if given.ray_address and given.executor != "ray":
        parser.error(f"--ray-address {given.ray_address}: give --executor ray, too")
    for name in ("seeds", "jobs"):
        if getattr(given, name) < 1:
            parser.error(f"--{name} {getattr(given, name)}: at least 1")
    known = dict.fromkeys(model for name in tables(given) for model in TABLES[name].models)
    if unknown := set(given.models or ()) - set(known):
        parser.error(f"--models {' '.join(sorted(unknown))}: {given.table} has {', '.join(known)}")
    given.scale = with_settings(given.scale, given.settings)
    published = given.out.resolve().is_relative_to(Path(PUBLISHED).resolve())
    if published and not scale_for(given.scale, given.data.partition(":")[0]).publishable:
        parser.error(f"--scale {given.scale} is no result and is never written to {PUBLISHED}/; choose another --out")


def tables(given: argparse.Namespace) -> list[str]:
    """Names of the tables asked for."""
    return list(TABLES) if given.table == ALL else [given.table]


def same_set(given: argparse.Namespace, cells: Sequence[Cell], fingerprint: str) -> None:
    """Passes when no record of `cells` is of another data set.

    Raises:
        ValueError: one is; measuring would replace it.
    """
    for path in (given.out / "records" / cell.path for cell in cells):
        stage = records.load(path).config.get("stage", {}) if path.exists() else {}
        if stage.get("data", fingerprint) != fingerprint:
            raise ValueError(f"{path} is of another data set of this name, which would be lost: give another --out")


def compute(given: argparse.Namespace, entry: Entry, cells: Sequence[Cell]) -> None:
    """Measures every cell that OUT/records lacks: trainings `--jobs` at a time, then network by network, then all."""
    names = ("data", "scale", "runs", "device", "crops", "skip_broken", "imagenet", "batch_norm")
    asked = {name: getattr(given, name) for name in names}
    source = Source(**asked, unlabelled=tuple(given.unlabelled), ablation=entry.ablation)
    processes.from_first(lambda: source.job(cells[0].model, cells[0].seed) and None)  # it alone writes the cache
    first = source.job(cells[0].model, cells[0].seed)
    same_set(given, cells, first.fingerprint)
    data = first.data
    fits(len(data.classes))
    cells = entry.needed(data, cells)
    networks = {key: list(group) for key, group in groupby(cells, key=lambda cell: (cell.model, cell.seed))}
    jobs = {key: source.job(*key) for key in networks}
    for note in data.notes:
        say(f"{data.name}: {note}")
    if processes.world() > 1 and not entry.alone:
        make_stages(source, cells)
    elif given.executor == "ray" and not entry.alone:
        train_on_ray(source, cells, given.jobs, given.ray_address)
    elif given.jobs > 1 and not entry.alone:
        train_side_by_side(source, cells, given.jobs)

    def measure() -> None:
        for key, own in networks.items():
            entry.measure(jobs[key], own, given.out / "records")
        entry.together({cell: jobs[cell.model, cell.seed] for cell in cells}, given.out / "records")

    processes.from_first(measure)


def make(given: argparse.Namespace, table: str) -> None:
    """Computes one table."""
    entry, name = TABLES[table], given.data.partition(":")[0]
    cells = entry.cells(name, given.scale, given.seeds)
    asked = [cell for cell in cells if not given.models or cell.model in given.models]
    title = f"{table} on {name} at scale {given.scale}"
    if asked and not given.render_only:
        with live.shown(title, asked, given.out / "records") if processes.rank() == 0 else nullcontext():
            compute(given, entry, asked)


def rendered(given: argparse.Namespace, table: str) -> Page:
    """The page of one table; what can be committed of it lies in OUT/tables/<data>-<scale>/."""
    entry, name = TABLES[table], given.data.partition(":")[0]
    folder, place = entry.cells(name, given.scale, given.seeds)[0].table, {"data": name, "scale": given.scale}
    found = records.load_all(given.out / "records", table=folder, beside=entry.beside, **place)
    page = page_of(table, found, data=name, scale=given.scale, seeds=given.seeds)
    for file, content in committed(page).items():
        write_atomic(given.out / folder_of(page) / file, content)
    return page


def finished(given: argparse.Namespace, made: Sequence[Page]) -> int:
    """Writes the report, tells how it ended, and gives the exit status."""
    asked = next((page for page in made if page.name == TABLE5), made[0])
    write_report(given.out, made, asked)
    tell(given, made, asked)
    return 0 if all(page.complete for page in made) else 1


def write_report(out: Path, made: Sequence[Page], asked: Page) -> None:
    """Writes OUT/index.html, the pages of what was `made` or is not there yet, and those of their records."""
    new = {address(page): page for page in made}
    pages, found = gathered(out / "records")
    pages = [new.pop(address(page), page) for page in pages] + list(new.values())
    new = {address(page): page for page in made}

    def there(page: Page) -> bool:
        return address(page) not in new and (out / address(page)).is_file()

    for path, content in site(pages, asked, found, json=True, there=there).items():
        write_atomic(out / path, content)


def tell(given: argparse.Namespace, made: Sequence[Page], asked: Page) -> None:
    """The end of a run on standard output: one table, the answer, where everything lies, a line of JSON."""
    where = [("Report", str(given.out / INDEX)), ("Records", str(given.out / "records"))]
    where[1:1] = [("Table", f"{given.out / folder_of(asked) / asked.name}.md, .csv, .tex")]
    view = terminal_of_all(made, where) if given.table == ALL else terminal(asked, where)
    Console(width=None if sys.stdout.isatty() else WIDTH, highlight=False).print(view, soft_wrap=False)
    told = [summary(given, page) for page in made]
    complete = all(page.complete for page in made)
    print(json.dumps({"table": ALL, "complete": complete, "tables": told} if given.table == ALL else told[0]))


def summary(given: argparse.Namespace, page: Page) -> dict[str, Any]:
    """What the last line says of one table."""
    files = [given.out / folder_of(page) / file for file in committed(page)] + [given.out / address(page)]
    told = {"table": page.name, "data": page.data, "scale": page.scale}
    cells = TABLES[page.name].cells(page.data, page.scale, given.seeds)
    told |= {"cells": len(cells), "missing": list(page.missing), "complete": page.complete}
    return told | {"files": [str(file) for file in files], "report": str(given.out / INDEX)}


def checked(given: argparse.Namespace) -> None:
    """Finds out before long work what would end it.

    Raises:
        ValueError: a device or file that is not there, or a folder that cannot be written to.
    """
    must_be_folder(given.out, "--out")
    if not given.render_only:
        must_be_folder(given.runs, "--runs")
    try:
        device = torch.device(given.device)
    except RuntimeError as error:
        raise ValueError(f'--device {given.device}: "cpu" or "cuda"') from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ValueError(f"--device {given.device}: PyTorch finds no GPU here; leave --device out")
    if given.executor == "ray":
        library("ray")
    if processes.world() > 1 and given.executor == "ray":
        raise ValueError("--executor ray under torchrun: start the one or the other")
    if processes.world() > 1 and given.jobs > 1:
        raise ValueError(
            f"--jobs {given.jobs} under torchrun: its processes train every network together; leave it out"
        )
    if given.imagenet and not given.imagenet.is_file():
        raise ValueError(f"--imagenet {given.imagenet} is no file")
    models = given.models or [model for name in tables(given) for model in TABLES[name].models]
    if given.imagenet and not any(model in NETWORKS and NETWORKS[model].imagenet for model in models):
        raise ValueError(f"--imagenet {given.imagenet}: none of the networks asked for starts from it; leave it out")


def run(given: argparse.Namespace) -> int:
    """0 when every table asked for is complete, 1 when cells are missing."""
    processes.join()
    checked(given)
    pages: list[Page] = []  # of the first process; the others only compute
    for table in tables(given):
        make(given, table)
        processes.from_first(lambda table=table: pages.append(rendered(given, table)))
    return processes.from_first(lambda: finished(given, pages))


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; a mistake in the input is one sentence on standard error and status 2, an interruption 130."""
    given = arguments(argv)
    return exit_status("bench.report", lambda: run(given), kept=KEPT)


if __name__ == "__main__":
    sys.exit(main())
