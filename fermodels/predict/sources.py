"""Photographs, folders, videos, streams: what `predict` is given becomes one stream of frames, in order.

One thing to know: nothing in a folder is passed over in silence; what is no picture and no video is counted.
"""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from fermodels.data import open_picture
from fermodels.predict import videos
from fermodels.predict.pictures import Frame, Photograph, read_photograph

TRIED = frozenset({".heic", ".heif"})
"""Suffixes of pictures that cannot be read here: they are tried, so that their row says so."""
KNOWN = open_picture.SUFFIXES | videos.SUFFIXES | TRIED
MACOS = "._"
"""Begins the name of what macOS writes beside a file on foreign disks: notes, no pictures, under the file's suffix."""
NAMED = 5
"""So many of the files that were left out are named, the others are counted."""


@dataclass
class LeftOut:
    """Files in folders that were not looked at."""

    count: int = 0
    named: list[str] = field(default_factory=list)

    def add(self, path: Path) -> None:
        self.count += 1
        if len(self.named) < NAMED:
            self.named.append(told(path))

    def __str__(self) -> str:
        more = f" and {self.count - len(self.named):,} more" if self.count > len(self.named) else ""
        return f"{', '.join(self.named)}{more}"


def frames(paths: Iterable[Path | str], *, every: int = 1, left_out: LeftOut | None = None) -> Iterator[Frame]:
    """Every picture of the files, folders and addresses, in the order of `paths`, folders sorted; one at a time in
    memory. A file that is named is opened whatever its suffix is.

    Args:
        every: of videos and streams, only every so-manieth frame.
        left_out: gets what the folders hold beside pictures and videos.
    """
    for given in paths:
        if is_address(given):
            yield from videos.live(str(given), every)
            continue
        for path in files_of([given], left_out):
            yield from [path] if isinstance(path, Frame) else _file(path, every)


def is_address(given: Path | str) -> bool:
    """Whether it names a stream."""
    return isinstance(given, str) and given.lower().startswith(videos.ADDRESSES)


def files_of(paths: Iterable[Path | str], left_out: LeftOut | None = None) -> Iterator[Path | Frame]:
    """The files themselves; a folder that cannot be searched, or holds none, is a frame that says so."""
    for given in paths:
        found = 0
        for found, path in enumerate(_searched(Path(given), left_out or LeftOut()), 1):  # noqa: B007 - its last value counts
            yield path
        if not found:
            picture = f"the folder holds no picture or video ({', '.join(sorted(KNOWN))})"
            yield Frame(file=told(Path(given)), picture=picture)


def _searched(root: Path, left_out: LeftOut) -> Iterator[Path | Frame]:
    """`root` itself when it is no folder, else the files below it, also behind links, each folder once."""
    stack, seen = [root], set[str]()
    while stack:
        path = stack.pop()
        if not os.path.isdir(path):
            if path is root or (path.suffix.lower() in KNOWN and not path.name.startswith(MACOS)):
                yield path
            else:
                left_out.add(path)
            continue
        real = os.path.realpath(path)
        if real in seen:
            continue
        seen.add(real)
        try:
            stack += [path / name for name in sorted(os.listdir(path), reverse=True)]
        except OSError as error:
            yield Frame(file=told(path), picture=f"the folder cannot be read: {error.strerror}")


def _file(path: Path, every: int) -> Iterator[Frame]:
    if path.suffix.lower() in videos.SUFFIXES:
        yield from videos.video(os.fspath(path), told(path), every)
        return
    try:
        picture: Photograph | str = read_photograph(path)
    except ValueError as error:
        picture = str(error)
    yield Frame(file=told(path), picture=picture)


def told(path: Path) -> str:
    """A path as text, also where its name is no UTF-8."""
    return os.fspath(path).encode("utf-8", "backslashreplace").decode()
