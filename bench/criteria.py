"""All criteria beside Torch-Pruning's on one trained network: accuracy right after the cut, batch norms measured anew.

    python -m bench.criteria reports/runs/FOLDER/chosen --data fer2013:fer2013.csv

At an equal share of the channels and at an equal share of the MACs: a criterion that cuts cheap channels looks good in
the first and bad in the second. Torch-Pruning's importances choose through the same selection and surgery as ours.
The accuracy is of the validation split. Progress goes to standard error, the table to standard output.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import nn

import fermodels
from bench.make.references import registered
from bench.make.stages import predicted
from compress.commands.parser import status_of
from compress.files import must_be_folder
from compress.program import program
from compress.slimming.criteria import CRITERIA
from compress.slimming.surgery import slim
from fermodels.data import open_dataset
from fermodels.training.views import Views, recorded_views

RATIOS, MACS_SHARES = (0.2, 0.4, 0.6), (0.5,)
CALIBRATION = 2048
"""Training faces on which batch norms are measured anew; `taylor` looks at the same."""
SEEDS = 3
"""Of the random control, whose mean is told."""


def run(given: argparse.Namespace) -> dict[str, Any]:
    """Prints the table; returns accuracies by criterion and target."""
    must_be_folder(given.runs, "--runs")
    net, about = fermodels.load(given.checkpoint)
    config, stored = recorded_views(about)
    data = open_dataset(given.data, size=stored, cache=given.runs / "data", progress=True)
    train, validation = (Views(split, config, net.inputs) for split in (data.train, data.validation))  # type: ignore[arg-type]
    known = [(batch.views, batch.labels) for batch in train.spread(CALIBRATION)]
    targets = [{"ratio": share} for share in RATIOS] + [{"macs_share": share} for share in MACS_SHARES]

    def accuracy(cut: nn.Module) -> float:
        return float((predicted(cut, validation) == validation.labels.numpy()).mean())

    whole = accuracy(net)
    print(f"| criterion, validation accuracy in % (uncut {100 * whole:.1f}) | {' | '.join(map(_named, targets))} |")
    print("|---|" + "---|" * len(targets), flush=True)
    found: dict[str, list[float]] = {}
    for criterion in CRITERIA:
        found[criterion] = [_mean_accuracy(net, criterion, target, known, accuracy) for target in targets]
        print(f"| {criterion} | {' | '.join(f'{100 * one:.1f}' for one in found[criterion])} |", flush=True)
    return {"uncut": whole, "targets": targets, "accuracy": found}


def _named(target: dict[str, float]) -> str:
    return " ".join(f"{name}={share:g}" for name, share in target.items())


def _mean_accuracy(net: Any, criterion: str, target: dict[str, float], known: list[Any], accuracy: Any) -> float:
    seeds = range(SEEDS if criterion == "random" else 1)
    how: dict[str, Any] = {"criterion": criterion, "labelled": known, "calibrate": [views for views, _ in known]}
    cuts = (slim(net, net.example(), **target, **how, seed=seed)[0] for seed in seeds)
    return sum(accuracy(cut) for cut in cuts) / len(seeds)


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point: status 2 and a sentence for a mistake in the input."""
    parser = argparse.ArgumentParser(prog=program("bench.criteria"), description="All criteria beside Torch-Pruning's.")
    parser.add_argument("checkpoint", type=Path, help="folder that fermodels.save wrote: a network trained on --data")
    parser.add_argument("--data", required=True, help="NAME or NAME:PATH of its data set")
    parser.add_argument("--runs", type=Path, default=Path("reports/runs"), metavar="DIR", help="cache of decoded faces")
    given = parser.parse_args(argv)
    with registered():
        return status_of("bench.criteria", run, given)


if __name__ == "__main__":
    sys.exit(main())
