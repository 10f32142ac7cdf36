"""Every command under one name: `fer predict photo.jpg`, `python -m fermodels report --table table5`, ...

What a command needs is imported when it is chosen. The three packages are looked for beside this one first, so that
another package called `bench` or `compress`, in the working directory or on PYTHONPATH, is never taken for ours.
"""

import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from compress.exit_status import exit_status
from compress.program import FRONT

COMMANDS: dict[str, tuple[str, str]] = {
    "report": ("bench.report", "make a table of the papers again: train, prune, measure, write"),
    "predict": ("fermodels.predict.__main__", "name the expressions in photographs, folders and videos"),
    "info": ("fermodels.info", "what is known of a network: classes, accuracy, data"),
    "slim": ("compress.commands.slim", "remove channels from a trained network"),
    "export": ("compress.commands.export", "export a network to ONNX Runtime, OpenVINO, TensorRT, Triton"),
    "speed": ("compress.commands.speed", "time what was exported, beside PyTorch"),
    "prepare": ("fermodels.faces.prepare", "cut aligned faces out of photographs"),
    "audit": ("fermodels.data.audit", "look for duplicates, leaks and pictures without a face"),
    "pretrain": ("fermodels.pretrain", "train an encoder on faces without labels"),
    "landmarks": ("fermodels.faces.train_landmarks", "train the network that finds landmarks"),
    "check-landmarks": ("fermodels.faces.check_landmarks", "measure how exact a source of landmarks is"),
    "draw": ("fermodels.data.synthetic.sheet", "draw a sheet of the embedded faces"),
    "gate": ("bench.gate", "compare two folders of records: did anything get worse?"),
    "criteria": ("bench.criteria", "compare our pruning criteria with those of Torch-Pruning"),
    "publish": ("bench.publish", "write the tables again from all records, or web pages"),
    "ship": ("bench.ship", "train the network of the package"),
    "rival": ("bench.rival", "measure the network of another package on the same faces"),
    "card": ("bench.shipped", "measure the network of the package and write its model card"),
}
"""Name -> module with a `main`, and what it does. A new command is one line here."""
HERE = str(Path(__file__).parents[1])


def usage() -> str:
    """Every command with one line."""
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {about}" for name, (_, about) in COMMANDS.items()]
    return "\n".join(["usage: fer COMMAND ...", "", *lines, "", "fer COMMAND --help tells what a command takes."])


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and gives its status; 2 and a sentence when there is no such command."""
    words = list(sys.argv[1:] if argv is None else argv)
    if not words or words[0] in ("-h", "--help"):
        return exit_status("fer", lambda: print(usage(), flush=True)) or (0 if words else 2)
    name, *rest = words
    if name not in COMMANDS:
        print(f"fer: no command {name!r}: the commands are {', '.join(COMMANDS)}", file=sys.stderr)
        return 2
    sys.path.insert(0, HERE)
    sys.argv = [f"{FRONT} {name}", *rest]
    return import_module(COMMANDS[name][0]).main(rest)


if __name__ == "__main__":
    sys.exit(main())
