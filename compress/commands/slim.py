"""The command that slims a checkpoint; the function `compress.slim` lives in compress/surgery.py.

python -m compress.slim reports/runs/FOLDER/chosen --ratio 0.6 --data fer2013:fer2013.csv --out slim60
python -m compress.slim reports/runs/FOLDER/chosen --target-ms 1.5 --runtime onnxruntime --batch 1 --out fast
"""

import argparse
import sys
from collections.abc import Sequence

import fermodels
from compress.commands.parser import dataset_of, parser_of, status_of
from compress.runtimes import RUNTIMES
from compress.slimming.criteria import CRITERIA
from compress.slimming.select import RULES
from compress.slimming.surgery import slim
from compress.slimming.targets import RATIO, UNITS
from fermodels.training.views import Views, recorded_views

CALIBRATION = 2048
"""Training faces on which batch norms are measured anew."""


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = parser_of(
        "compress.slim",
        description="Cuts channels out of a trained network and writes the smaller one with its plan.",
        epilog="The result is not fine-tuned: train it on, or see bench.report for the whole of it.",
        result="the slim checkpoint",
        data="measures the batch norms anew on training faces",
    )
    parser.add_argument("--stored", type=int, help="side of the aligned face in pixels, where the checkpoint is silent")
    _add_targets(parser)
    parser.add_argument("--rule", default="exact", choices=RULES, help="how the budget is met (default: exact)")
    parser.add_argument("--criterion", default="gamma", choices=[name for name in CRITERIA if name != "taylor"])
    parser.add_argument("--align", type=int, default=8, help="widths are multiples of this (default: 8)")
    parser.add_argument("--seed", type=int, default=0, help="of the random criterion (default: 0)")
    return parser.parse_args(argv)


def _add_targets(parser: argparse.ArgumentParser) -> None:
    one = parser.add_mutually_exclusive_group()
    one.add_argument("--ratio", type=float, help=f"share of the channels to remove (default: {RATIO})")
    one.add_argument("--macs-share", type=float, metavar="SHARE", help="or share of the MACs that may stay")
    one.add_argument("--params-share", type=float, metavar="SHARE", help="or share of the parameters that may stay")
    one.add_argument("--target-ms", type=float, metavar="MS", help="or milliseconds of a batch, measured on --runtime")
    parser.add_argument(
        "--runtime", default="onnxruntime", choices=RUNTIMES, help="of --target-ms, float32 (default: onnxruntime)"
    )
    parser.add_argument("--batch", type=int, default=1, help="of --target-ms: images that run at once (default: 1)")


def run(given: argparse.Namespace) -> dict[str, object]:
    """Slims, saves, and returns what the last line of standard output says."""
    net, about = fermodels.load(given.checkpoint)
    batches = None
    if given.data:
        config, side = recorded_views(about, stored=given.stored)
        faces = Views(dataset_of(given, stored=side).train, config, net.inputs)  # type: ignore[arg-type]
        batches = [batch.views for batch in faces.spread(CALIBRATION)]
    names = (*UNITS, "runtime", "batch", "rule", "criterion", "align", "seed")
    chosen = {name: getattr(given, name) for name in names}
    small, plan = slim(net, net.example(), **chosen, calibrate=batches)  # type: ignore[operator]
    fermodels.save(small, given.out, about | {"accuracy": None, "n": 0})
    plan.save(given.out / "plan.json")
    return plan.summary() | {"checkpoint": str(given.out), "calibrated": batches is not None}


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point: status 2 and a sentence for a mistake in the input."""
    return status_of("compress.slim", run, arguments(argv))


if __name__ == "__main__":
    sys.exit(main())
