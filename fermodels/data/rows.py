"""Images that are listed but not yet decoded: where they lie, how to read one, and what to do about a broken one.

One thing to know: a listing holds path strings, labels and boxes only; no image is opened before it is decoded.
"""

import hashlib
import os
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO

import numpy as np
from jaxtyping import Bool, Float32, Int64
from PIL import Image

from compress.files import digest
from fermodels.data.open_picture import open_picture

NAMED = 5
"""So many skipped images are named in the notes; the others are counted."""


class Unusable(ValueError):
    """What holds all the pictures is damaged: none of them can be skipped."""


@dataclass(kw_only=True)
class Skips:
    """The policy on broken images and rows: stop at the first with its name, or count them and name five."""

    allowed: bool
    count: int = 0
    named: list[str] = field(default_factory=list)

    def report(self, sentence: str) -> None:
        """Counts what `sentence` says is wrong.

        Raises:
            ValueError: `sentence`, when nothing may be skipped.
        """
        if not self.allowed:
            raise ValueError(f"{sentence}. Mend or remove it, or skip what is broken (--skip-broken, skip_broken=True)")
        self.count += 1
        if len(self.named) < NAMED:
            self.named.append(sentence)

    @property
    def notes(self) -> tuple[str, ...]:
        if not self.count:
            return ()
        more = f"; and {self.count - len(self.named):,} more" if self.count > len(self.named) else ""
        return (f"Skipped {self.count:,} broken images or rows: {'; '.join(self.named)}{more}.",)


@dataclass(frozen=True, kw_only=True)
class Rows:
    """Images that are listed, but not yet decoded."""

    name: str
    """Begins the name of the cache entry: "rafdb-train"."""
    names: Sequence[str]
    """n file names, or "row 17"."""
    labels: Int64[np.ndarray, " n"]
    fingerprint: str
    """Changes whenever the source does."""
    read: Callable[[int], Image.Image]
    """The image at a position, cropped but not resized; called from several threads."""
    landmarks: Float32[np.ndarray, "n 68 2"] | None = None
    """(x, y) as share of the side of what `read` returns."""
    confidence: Float32[np.ndarray, "n 68"] | None = None
    """Of the landmarks, in [0, 1]; None: all are sure."""
    not_face: Bool[np.ndarray, " n"] | None = None
    """True where the set itself says that the picture shows no face."""

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, name: str, indices: Int64[np.ndarray, " k"]) -> "Rows":
        """The rows at `indices`, in that order, as a listing of their own."""
        chosen = hashlib.sha256(np.ascontiguousarray(indices, np.int64).tobytes()).hexdigest()
        return replace(
            self,
            name=name,
            names=[self.names[i] for i in indices.tolist()],
            labels=self.labels[indices],
            fingerprint=digest([self.fingerprint, chosen]),
            read=lambda i: self.read(int(indices[i])),
            landmarks=None if self.landmarks is None else self.landmarks[indices],
            confidence=None if self.confidence is None else self.confidence[indices],
            not_face=None if self.not_face is None else self.not_face[indices],
        )


def fingerprint(paths: Iterable[Path | str], *settings: object) -> str:
    """sha256 over path, size and time of change of each file, and over `settings`; absent files count as absent."""
    state = hashlib.sha256(digest(list(settings)).encode())
    for path in paths:
        try:
            stat = os.stat(path)
            state.update(f"{path}\0{stat.st_size}\0{stat.st_mtime_ns}\n".encode("utf-8", "surrogateescape"))
        except OSError:
            state.update(f"{path}\0absent\n".encode("utf-8", "surrogateescape"))
    return state.hexdigest()


def inside(name: str) -> bool:
    """Whether a listed name stays below the folder of its set: relative, without "..". Links there are followed: a
    list cannot make them, and sets are often made of them."""
    parts = name.replace("\\", "/").split("/")
    return bool(name) and bool(parts[0]) and ".." not in parts and ":" not in parts[0] and "\0" not in name


def open_whole(source: Path | str | IO[bytes]) -> Image.Image:
    """The upright image at a path or in an open file."""
    return open_picture(source).image


def open_image(path: Path | str, box: tuple[int, int, int, int] | None = None) -> Image.Image:
    """The upright image at `path`, cropped to a square: `box` (left, upper, right, lower; pixels) or its centre."""
    image = open_whole(path)
    if box is None:
        side = min(image.size)
        left, upper = (image.width - side) // 2, (image.height - side) // 2
        return image if image.width == image.height else image.crop((left, upper, left + side, upper + side))
    left, upper, right, lower = box
    if right <= 0 or lower <= 0 or left >= image.width or upper >= image.height:
        raise ValueError(f"its face box {box} lies outside the {image.width}x{image.height} image")
    return image.crop(box)  # black where the box leaves the image


def file_rows(
    name: str,
    root: Path,
    names: Sequence[str],
    labels: Int64[np.ndarray, " n"],
    boxes: Int64[np.ndarray, "n 4"] | None = None,
    landmarks: Float32[np.ndarray, "n 68 2"] | None = None,
) -> Rows:
    """Rows that are files: `names` are paths below `root`, `boxes` square crops (left, upper, right, lower; pixels)."""
    root = root.resolve()
    crops = None if boxes is None else hashlib.sha256(boxes.tobytes()).hexdigest()

    def read(index: int) -> Image.Image:
        return open_image(root / names[index], None if boxes is None else tuple(boxes[index].tolist()))

    return Rows(
        name=name,
        names=names,
        labels=labels,
        fingerprint=fingerprint((f"{root}/{name}" for name in names), crops),
        read=read,
        landmarks=landmarks,
    )


def whole_rows(rows: Rows, root: Path) -> Rows:
    """`rows` of files below `root`, read without cropping: photographs in which a face is yet to be found."""
    root = root.resolve()
    return replace(rows, read=lambda index: open_whole(root / str(rows.names[index])), landmarks=None, confidence=None)


def once(make: Callable[[], np.ndarray]) -> Callable[[], np.ndarray]:
    """`make` called at most once, at the first need, by whichever thread comes first; what it raises (ValueError) is
    raised as `Unusable` to all who ask."""
    lock, made, failed = threading.Lock(), [], []

    def get() -> np.ndarray:
        with lock:
            if not made and not failed:
                try:
                    made.append(make())
                except ValueError as error:
                    failed.append(str(error))
        if failed:
            raise Unusable(failed[0])
        return made[0]

    return get
