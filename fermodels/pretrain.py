"""Pretraining on faces without labels: what paper 2's networks start from (section 3.2; NT-Xent).

    python -m fermodels.pretrain synthetic --epochs 40                        # the embedded faces
    python -m fermodels.pretrain fer2013:fer2013.csv prepared:faces/lfw       # several data sets at once
    python -m fermodels.pretrain my/pictures --keep-out rafdb:RAF-DB --size 112 --width 1
    python -m fermodels.pretrain fer2013:fer2013.csv --no-occlusion --out out/simclr

Of a data set only the train split is used, its labels never; no test picture of any data set named is trained on.
Killed at any moment, the same command goes on from the last finished epoch. The checkpoint's encoder is loaded by
`fermodels.nets.pretrained.load_encoder`. The last line of standard output is JSON.
"""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

import fermodels
from compress.exit_status import exit_status
from compress.files import digest, must_be_folder, plain, write_atomic
from compress.program import program
from compress.training.loop import History
from compress.training.progress import EpochBar
from compress.training.schedule import TrainConfig
from fermodels import checkpoint
from fermodels.data import DATASETS
from fermodels.data.unlabelled import Pool, open_pool
from fermodels.nets.resnet import RESNET18, stem_halvings_for
from fermodels.nets.vgg import VGG16, scaled
from fermodels.training.contrast import PretrainConfig, claims, pretrain, probed
from fermodels.training.contrast_views import AugmentConfig, simclr

BACKBONES = {"resnet18": RESNET18, "vgg16": VGG16}
"""Name -> the widths of the full network."""
MARGIN = 8 / 7
"""Side of a stored face by that of a view, as at every scale of the suite: 64 px for 56."""
ADAM = TrainConfig(epochs=100, batch=256, optimizer="adam", lr=1e-3, weight_decay=1e-6, warmup_epochs=5)
"""The recipe of a pretraining: cosine per step after the warm-up."""
RUN, STATE = "run.json", "state.pt"
"""While a pretraining is under way: what it is, and how far it is."""


def network(backbone: str, width: float, size: int) -> nn.Module:
    """The contrastive network on `size` px at `width` of the full widths, with fresh weights."""
    widths = {"face": scaled(width, BACKBONES[backbone])}
    return fermodels.build("contrastive", widths=widths, size=size, stem_halvings=stem_halvings_for(size))


def config_of(given: argparse.Namespace) -> PretrainConfig:
    """What the command line asks for."""
    warmup = min(ADAM.warmup_epochs, given.epochs / 10)
    train = replace(ADAM, epochs=given.epochs, batch=given.batch, lr=given.lr, warmup_epochs=warmup, seed=given.seed)
    augment = AugmentConfig(size=given.size)
    augment = augment if given.occlusion else simclr(augment)
    return PretrainConfig(train=train, augment=augment, probe_every=given.probe_every)


def described(net: nn.Module, pool: Pool, config: PretrainConfig) -> dict[str, Any]:
    """Everything that decides the outcome of a pretraining, as JSON's own types."""
    return plain({"config": config, "network": asdict(net.config), "faces": pool.fingerprint})  # type: ignore[call-overload]


def _told(pool: Pool, what: dict[str, Any], before: dict[str, float], history: History) -> dict[str, Any]:
    """How the encoder came about, for its checkpoint."""
    trained_on = {"threads": torch.get_num_threads(), "torch": str(torch.__version__)}
    told = {"described": what, "notes": pool.notes, "dropped": pool.dropped, "trained_on": trained_on}
    return told | {"untrained": before, "history": asdict(history)}


def run(given: argparse.Namespace) -> int:
    """Pretrains, or goes on, or finds it done; prints the summary.

    Raises:
        ValueError: wrong data, settings that cannot be, or a folder --out that belongs to another pretraining.
    """
    must_be_folder(given.out, "--out")
    must_be_folder(given.cache, "--cache")
    torch.manual_seed(given.seed)
    net, config = network(given.backbone, given.width, given.size), config_of(given)
    stored = round(given.size * MARGIN)
    place: dict[str, Any] = {"size": stored, "cache": given.cache, "skip_broken": given.skip_broken}
    pool = open_pool(given.data, keep_out=given.keep_out, progress=True, **place)
    for note in pool.notes:
        say(note)
    what = described(net, pool, config)
    if not _finished(given.out, what):
        _train(net, pool, config, given, what)
    told = checkpoint.describe(given.out)["pretraining"]
    last = told["history"]["epochs"][-1]
    probes = {name: round(last[name], 4) for name in ("knn", "linear") if name in last}
    summary = {"out": str(given.out), "faces": len(pool.kept), "dropped": told["dropped"], "epochs": last["epoch"] + 1}
    print(json.dumps(summary | {"nt_xent": round(last["losses"]["nt_xent"], 4)} | probes))
    return 0


def _finished(out: Path, what: dict[str, Any]) -> bool:
    """Whether `out` holds this very pretraining, done; a ValueError where another one is there or under way."""
    done, under_way = out / checkpoint.CONFIG, out / RUN
    there = None
    if done.is_file():
        there = checkpoint.describe(out).get("pretraining", {}).get("described")
    elif under_way.is_file():
        there = json.loads(under_way.read_text())
    if (done.is_file() or under_way.is_file()) and digest(there) != digest(what):
        raise ValueError(f"{out} belongs to another training: choose another --out, or delete it to begin anew")
    return done.is_file()


def _train(net: nn.Module, pool: Pool, config: PretrainConfig, given: argparse.Namespace, what: dict[str, Any]) -> None:
    before = probed(net, pool, config, given.device)
    if before and pool.labelled is not None:
        told = ", ".join(f"{name} {share:.3f}" for name, share in before.items())
        say(f"{pool.labelled.name}, validation, before pretraining: {told}")
    write_atomic(given.out / RUN, json.dumps(what) + "\n")
    began, state = time.monotonic(), given.out / STATE
    net, history = pretrain(net, pool, config, device=given.device, state=state, bar=EpochBar("pretraining"))
    about = claims(pool, config) | {"pretraining": _told(pool, what, before, history)}
    fermodels.save(net, given.out, about)
    for left in (state, given.out / RUN):
        left.unlink(missing_ok=True)
    seconds = time.monotonic() - began
    say(f'{seconds:.0f} s; load the encoder by fermodels.nets.pretrained.load_encoder(net, "{given.out}")')


def say(text: str) -> None:
    """A line for the person who waits; standard output is for results."""
    print(text, file=sys.stderr, flush=True)


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    _, examples, rest = (__doc__ or "").split("\n\n", 2)
    parser = argparse.ArgumentParser(
        prog=program("fermodels.pretrain"),
        description="Pretrains an encoder on faces without labels: two occluded views of a face are to be told apart "
        "from those of others.",
        epilog=f"examples:\n{examples}\n\n{rest}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    named = f"NAME or NAME:PATH, NAME one of {', '.join(DATASETS)}"
    parser.add_argument("data", nargs="+", metavar="DATA", help=f"{named}; or a folder of pictures of faces")
    parser.add_argument("--out", type=Path, default=Path("out/pretrained"), metavar="DIR", help="default: %(default)s")
    parser.add_argument("--epochs", type=int, default=ADAM.epochs, metavar="N", help="default: %(default)s")
    parser.add_argument("--batch", type=int, default=ADAM.batch, metavar="N", help="faces, default: %(default)s")
    parser.add_argument("--size", type=int, default=56, metavar="PX", help="side of the crop, default: %(default)s")
    parser.add_argument("--backbone", choices=list(BACKBONES), default="resnet18", help="default: %(default)s")
    parser.add_argument("--width", type=float, default=0.25, metavar="W", help="share of its channels (%(default)s)")
    parser.add_argument("--no-occlusion", dest="occlusion", action="store_false", help="no covers: plain SimCLR")
    parser.add_argument(
        "--keep-out",
        action="append",
        default=[],
        metavar="DATA",
        help="never train on the test pictures of this data set (repeatable); for DATA this is so in any case",
    )
    parser.add_argument("--lr", type=float, default=ADAM.lr, help="learning rate after the warm-up (%(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--probe-every",
        type=int,
        default=5,
        metavar="N",
        help="epochs between two looks at what the encoder knows: accuracy on the validation split by its neighbours "
        "and by a linear layer; 0: never (default: %(default)s)",
    )
    parser.add_argument("--device", default="cpu", help='"cpu" or "cuda" (default: cpu)')
    parser.add_argument("--cache", type=Path, default=Path("reports/runs/data"), help="folder of decoded pictures")
    parser.add_argument("--skip-broken", action="store_true", help="leave out broken images and count them")
    given = parser.parse_args(argv)
    for name, least in (("size", 16), ("epochs", 1), ("batch", 2), ("probe_every", 0)):
        if getattr(given, name) < least:
            parser.error(f"--{name.replace('_', '-')} {getattr(given, name)}: at least {least}")
    for name in ("lr", "width"):
        if not getattr(given, name) > 0:
            parser.error(f"--{name} {getattr(given, name)}: a number above 0")
    return given


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point: status 2 and a sentence for a mistake in what was asked."""
    given = arguments(argv)
    return exit_status("pretrain", lambda: run(given), kept="finished epochs are kept, the same command goes on")


if __name__ == "__main__":
    sys.exit(main())
