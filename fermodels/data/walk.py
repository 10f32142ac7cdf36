"""The pictures below a folder, and what lies there and is left out: nothing vanishes without a word.

One thing to know: linked files and folders are followed, a linked folder only where it does not lead round in a circle.
"""

import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from compress.escaping import printed
from fermodels.data.open_picture import OTHER_PICTURES, SUFFIXES

NAMED = 5
"""So many of what is left out are named; the others are counted."""


@dataclass(kw_only=True)
class LeftOut:
    """What a search has passed by, by its reason."""

    counts: Counter[str] = field(default_factory=Counter)
    named: list[str] = field(default_factory=list)

    def report(self, path: str, reason: str) -> None:
        self.counts[reason] += 1
        if len(self.named) < NAMED:
            self.named.append(printed(path))

    @property
    def notes(self) -> tuple[str, ...]:
        """One sentence, or none."""
        if not self.counts:
            return ()
        total = sum(self.counts.values())
        told = ", ".join(f"{count:,} {reason}" for reason, count in sorted(self.counts.items()))
        return (f"Left out {total:,} files: {told}; {', '.join(self.named)}{' ...' if total > NAMED else ''}.",)


def pictures_below(root: Path, folder: str, left_out: LeftOut) -> list[str]:
    """Paths below `root` of the pictures in `folder` and its subfolders, sorted; what else lies there is reported."""
    return sorted(_below(root, folder, left_out, (os.path.realpath(root / folder),)))


def report_loose(root: Path, folder: str, left_out: LeftOut) -> None:
    """Reports the pictures that lie in `folder` itself, where folders of classes are read."""
    for name in sorted(os.listdir(root / folder)):
        if os.path.splitext(name)[1].lower() in SUFFIXES and os.path.isfile(root / folder / name):
            left_out.report(f"{folder}/{name}".lstrip("/"), "pictures in no class folder")


def _below(root: Path, folder: str, left_out: LeftOut, above: tuple[str, ...]) -> list[str]:
    found: list[str] = []
    try:
        with os.scandir(root / folder) as entries:
            listed = list(entries)
    except OSError as error:
        left_out.report(folder, f"unreadable ({error.strerror})")
        return found
    for entry in listed:
        path = f"{folder}/{entry.name}" if folder else entry.name
        if os.path.isdir(entry.path):  # DirEntry's raises where a link leads to itself
            real = os.path.realpath(entry.path)
            if entry.name.startswith("."):
                left_out.report(path, "hidden folders")
                continue
            if any(one == real or one.startswith(real.rstrip(os.sep) + os.sep) for one in above):
                left_out.report(path, "links that lead round in a circle")
            else:
                found += _below(root, path, left_out, (*above, real))
        elif reason := _reason(entry):
            left_out.report(path, reason)
        elif os.path.splitext(entry.name)[1].lower() in SUFFIXES:
            found.append(path)
    return found


def _reason(entry: os.DirEntry[str]) -> str | None:
    """Why a file that is no folder is left out with a word; None: it is read, or hidden and no picture."""
    suffix = os.path.splitext(entry.name)[1].lower()
    if entry.is_symlink() and not os.path.exists(entry.path):
        return "links to nothing"
    if entry.name.startswith(".") and suffix in SUFFIXES:
        return "hidden (._NAME is a note of macOS, no picture)"
    if suffix in (".heic", ".heif"):
        return "HEIC (convert them, for example with pillow-heif)"
    if suffix in OTHER_PICTURES:
        return f"{suffix} (not read: convert them to PNG or JPEG)"
    return None if suffix in SUFFIXES or entry.name.startswith(".") else "no pictures by their names"
