"""The command that slims a network: a checkpoint of fermodels, or any network that the user's own code builds.

python -m compress.slim reports/runs/FOLDER/chosen --ratio 0.6 --data fer2013:fer2013.csv --out slim60
python -m compress.slim reports/runs/FOLDER/chosen --target-ms 1.5 --runtime onnxruntime --batch 1 --out fast
python -m compress.slim --net timm:resnet18 --input 3,64,64 --ratio 0.5 --out small
python -m compress.slim trained --net package.module:factory --input 3,64,64 --macs-share 0.5 --out small

The function is `compress.slim`. `compress.load("small", factory)` gives the network of the last two back.
"""

import argparse
import sys
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from torch import nn

from compress.about import about_of
from compress.checkpoint import load, save
from compress.commands.networks import example_of, named, network
from compress.commands.parser import status_of
from compress.files import must_be_folder
from compress.inputs import Example
from compress.program import program
from compress.runtimes import RUNTIMES
from compress.slimming.criteria import CRITERIA
from compress.slimming.plan import Plan
from compress.slimming.select import RULES
from compress.slimming.surgery import slim
from compress.slimming.targets import RATIO, UNITS

COMMAND = "compress.slim"
CHECKPOINTS = "fermodels.training.slimming:opened"
"""What opens a checkpoint of fermodels for this command, where that package is installed."""


class Opened(Protocol):
    """A network to be slimmed, and what becomes of it."""

    @property
    def net(self) -> nn.Module: ...

    @property
    def example(self) -> Example: ...

    @property
    def calibrate(self) -> Iterable[Any] | None:
        """Training images on which batch norms are measured anew."""
        ...

    @property
    def save(self) -> Callable[[nn.Module, Path, Mapping[str, str]], None]:
        """Writes the slim network to a folder with more files by name, in place of a checkpoint that lies there."""
        ...


class _Own:
    """A network that the user's code builds."""

    calibrate = None

    def __init__(self, given: argparse.Namespace) -> None:
        if not given.input or given.data:
            raise ValueError("--net needs --input, like 3,224,224, and knows no --data: use compress.slim in Python")
        self.example = example_of(given.input)
        checkpoint, self.about = given.checkpoint, {"net": given.net}
        self.net = network(given.net) if checkpoint is None else load(checkpoint, lambda: network(given.net))
        if checkpoint is not None:
            self.about = about_of(checkpoint)

    def save(self, small: nn.Module, folder: Path, beside: Mapping[str, str]) -> None:
        save(small, folder, self.about, overwrite=True, beside=beside)


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog=program(COMMAND),
        description="Cuts channels out of a trained network and writes the smaller one with its plan.",
        epilog="The result is not fine-tuned. compress.fit fine-tunes it; bench.report does everything.",
    )
    parser.add_argument("checkpoint", type=Path, nargs="?", help="folder of the trained network")
    parser.add_argument("--net", help="what builds the network: timm:NAME, or package.module:factory")
    parser.add_argument(
        "--input", action="append", metavar="C,H,W", help="with --net: shape of an input; once for each"
    )
    parser.add_argument(
        "--output",
        metavar="SPEC",
        help="with --net: package.module:function that picks the tensor that matters from the network's result "
        "(default: the first tensor)",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the slim network")
    parser.add_argument("--overwrite", action="store_true", help="replace what is in --out")
    parser.add_argument("--data", help="NAME or NAME:PATH: measure batch norm statistics again on its training faces")
    parser.add_argument("--stored", type=int, help="side of the aligned face in pixels, if the checkpoint does not say")
    parser.add_argument("--runs", type=Path, default=Path("reports/runs"), metavar="DIR", help="cache of decoded faces")
    _add_targets(parser)
    parser.add_argument("--rule", default="exact", choices=RULES, help="exact (default); liu: one global threshold")
    parser.add_argument("--criterion", default="gamma", choices=[name for name in CRITERIA if name != "taylor"])
    parser.add_argument("--align", type=int, default=8, help="make widths multiples of this (default: 8)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the random criterion (default: 0)")
    return parser.parse_args(argv)


def _add_targets(parser: argparse.ArgumentParser) -> None:
    one = parser.add_mutually_exclusive_group()
    one.add_argument("--ratio", type=float, help=f"share of the channels to remove (default: {RATIO})")
    one.add_argument("--macs-share", type=float, metavar="SHARE", help="or: share of the MACs that may stay")
    one.add_argument("--params-share", type=float, metavar="SHARE", help="or: share of the parameters that may stay")
    one.add_argument("--target-ms", type=float, metavar="MS", help="or: milliseconds of a batch on --runtime")
    parser.add_argument(
        "--runtime", default="onnxruntime", choices=RUNTIMES, help="for --target-ms (default: %(default)s)"
    )
    parser.add_argument("--batch", type=int, default=1, help="for --target-ms: images in a batch (default: 1)")


def run(given: argparse.Namespace) -> dict[str, Any]:
    """Slims, saves, and returns what the last line of standard output says."""
    if given.checkpoint is None and given.net is None:
        raise ValueError("give the folder of a checkpoint, or --net, or both")
    if given.output and not given.net:
        raise ValueError("--output is for --net: a checkpoint of faces says itself which tensor counts")
    may_be_written(given.out, given.checkpoint, overwrite=given.overwrite)
    opened: Opened = _Own(given) if given.net else _checkpoint(given)
    small, plan = _slimmed(opened, given)
    opened.save(small, given.out, {"plan.json": plan.to_json()})
    return plan.summary() | {"checkpoint": str(given.out), "calibrated": opened.calibrate is not None}


def may_be_written(out: Path, source: Path | None, *, overwrite: bool) -> None:
    """Before long work.

    Raises:
        ValueError: `out` is the source, exists without `overwrite`, is a file, or lies where nothing can be written.
    """
    if source is not None and source.exists() and out.resolve() == source.resolve():
        raise ValueError(f"--out {out} is the network to be slimmed: give another folder")
    if out.exists() and not out.is_dir():
        raise ValueError(f"--out {out} is a file: give a folder")
    if out.is_dir() and any(out.iterdir()) and not overwrite:
        raise ValueError(f"--out {out} exists: give another folder, or --overwrite")
    must_be_folder(out, "--out")


def _checkpoint(given: argparse.Namespace) -> Opened:
    return named(CHECKPOINTS)(given.checkpoint, data=given.data, stored=given.stored, runs=given.runs)


def _slimmed(opened: Opened, given: argparse.Namespace) -> tuple[nn.Module, Plan]:
    """`compress.slim`, whose advice is told in a line."""
    names = (*UNITS, "runtime", "batch", "rule", "criterion", "align", "seed")
    chosen = {name: getattr(given, name) for name in names}
    chosen["output"] = named(given.output) if given.output else None
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", UserWarning)
        small, plan = slim(opened.net, opened.example, **chosen, calibrate=opened.calibrate)
    for advice in told:
        print(f"{COMMAND}: {advice.message}", file=sys.stderr)
    return small, plan


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point: status 2 and a sentence for a mistake in the input."""
    return status_of(COMMAND, run, arguments(argv))


if __name__ == "__main__":
    sys.exit(main())
