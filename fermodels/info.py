"""What a checkpoint claims: classes, preprocessing, accuracy with its interval, recall of each class, on which data.

python -m fermodels.info reports/runs/FOLDER/chosen
python -m fermodels.info demo      # a network that ships
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from compress.escaping import printed
from compress.exit_status import exit_status
from compress.program import program
from fermodels.claims import describe
from fermodels.predict.shipped import SHIPPED

UNKNOWN = "not said"


def told(about: dict[str, Any]) -> str:
    """The config.json of a checkpoint as text for a person; what it leaves open is "not said"."""
    lines = [("architecture", about["architecture"]), ("classes", ", ".join(about.get("classes") or ()) or UNKNOWN)]
    lines += [("trust", about["trust"])] if about.get("trust") else []
    lines.append(("preprocessing", _preprocessing(about)))
    lines += [(name, f"{about.get(key) or UNKNOWN}") for name, key in (("data set", "data"), ("split", "split"))]
    n = about.get("n")
    lines.append(("n", UNKNOWN if n is None else f"{n:,}"))
    accuracy = about.get("accuracy")
    if not accuracy:
        lines.append(("accuracy", "not measured"))
        return _table(lines)
    low, high = accuracy["interval"]
    lines.append(("accuracy", f"{accuracy['overall']:.2%} (95 % interval {low:.2%} to {high:.2%})"))
    others = (("class mean", "class_mean"), ("macro F1", "macro_f1"), ("largest class alone", "majority"))
    lines += [(name, f"{accuracy[key]:.2%}") for name, key in others if key in accuracy]
    return "\n".join((_table(lines), "recall", _table(_recalls(accuracy), indent="  ")))


def _preprocessing(about: dict[str, Any]) -> str:
    said = about.get("preprocessing")
    if not said:
        return UNKNOWN
    stored = f"aligned face of {about['stored']} px, " if about.get("stored") else ""
    regions = f", regions {about['regions']}" if about.get("regions") else ""
    views = f"centre crop of {said['size']} px (eyes and mouth {said['local_size']} px)"
    return f"{stored}{views}, {said['colour']} in [0, 1], minus {said['mean']}, over {said['std']}{regions}"


def _recalls(accuracy: dict[str, Any]) -> list[tuple[str, str]]:
    """Class and its recall, with the number of its images where the confusion matrix is there."""
    counts = [f" of {sum(row):,}" for row in accuracy.get("confusion") or ()]
    recalls = list(accuracy["recall"].items())
    ends = counts if len(counts) == len(recalls) else [""] * len(recalls)
    return [
        (name, UNKNOWN if recall is None else f"{recall:7.2%}{end}")
        for (name, recall), end in zip(recalls, ends, strict=True)
    ]


def _table(lines: list[tuple[str, str]], indent: str = "") -> str:
    width = max(len(name) for name, _ in lines)
    return "\n".join(f"{indent}{name:<{width}}  {value}" for name, value in lines)


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=program("fermodels.info"), description="What is known of a network.")
    parser.add_argument("checkpoint", help=f"folder that fermodels.save wrote, or {', '.join(SHIPPED)}")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point: status 2 and a sentence for what is no checkpoint."""
    name = arguments(argv).checkpoint
    return exit_status("info", lambda: _print(_found(name)))


def _found(name: str) -> Path:
    """The folder of a checkpoint, which the name of a network that ships stands for.

    Raises:
        ValueError: neither.
    """
    folder = SHIPPED.get(name) or Path(name)
    if not (folder / "config.json").is_file():
        raise ValueError(
            f"{name} is no checkpoint: it has no config.json; give the folder that fermodels.save wrote, or a network "
            f"that ships, {' or '.join(SHIPPED)}"
        )
    return folder


def _print(folder: Path) -> None:
    print(*map(printed, _checked(describe(folder), folder).splitlines()), sep="\n", flush=True)


def _checked(about: dict[str, Any], folder: object) -> str:
    """`told`, or the sentence that the claims are not what `fermodels.save` writes."""
    try:
        return told(about)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"the claims in {folder}/config.json are damaged ({error!r}); save the checkpoint again"
        ) from error


if __name__ == "__main__":
    sys.exit(main())
