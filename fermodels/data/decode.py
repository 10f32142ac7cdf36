"""From files to decoded faces: every image is decoded once and lies in a memory-mapped array from then on.

One thing to know: a cache entry is named by what it was made from (paths, sizes and times of the files, the rows
taken, the side in pixels), so a changed source is decoded again and a second opening reads no image at all.
The folder is safe to delete at any moment.
"""

import hashlib
import os
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import repeat
from pathlib import Path

import numpy as np
from jaxtyping import UInt64
from PIL import Image

from compress.files import atomic_path, digest
from fermodels.data.base import LoadOptions, Split
from fermodels.data.eight_bits import as_mode
from fermodels.data.rows import Rows, Skips

FORMAT = 2
"""Part of every cache key: raise it when decoding changes what pixels come out."""


def pixel_hash(pixels: bytes, size: tuple[int, int]) -> int:
    """64 bits that stand for an image's pixels: equal images have equal hashes, two of 300,000 agree by chance with
    probability 2e-9."""
    key = f"{size[0]}x{size[1]}".encode()
    return int.from_bytes(hashlib.blake2b(pixels, digest_size=8, key=key).digest(), "little")


def pixel_hashes(split: Split) -> UInt64[np.ndarray, " n"]:
    """`pixel_hash` of each row's original pixels; of the stored ones where the set draws its images at any size."""
    if split.hashes is not None:
        return split.hashes
    side = split.images.shape[1]
    return np.array([pixel_hash(image.tobytes(), (side, side)) for image in split.images], np.uint64)


def _decode_one(rows: Rows, index: int, channels: int, size: int) -> tuple[bytes, int] | str:
    """Pixels and hash of one image, or the sentence that says what is wrong with it."""
    try:
        image = as_mode(rows.read(index), channels)
        hashed = pixel_hash(image.tobytes(), image.size)
        return image.resize((size, size), Image.Resampling.BILINEAR).tobytes(), hashed
    except Exception as error:  # whatever a decoder raises is that picture's fault
        return f"{rows.names[index]} cannot be read: {error}"


@contextmanager
def live_bar(title: str, total: int, wanted: bool) -> Iterator[Callable[[int], None]]:
    """A live bar on the terminal's error stream; gives the function that advances it. Silent when not a terminal."""
    if not (wanted and sys.stderr.isatty()):
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    columns = ("{task.description}", BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(title, total=total)
        yield lambda steps: progress.advance(task, steps)


def _sweep(folder: Path) -> None:
    """Removes what a killed run left half-written in `folder`; a day old, so that no living run's file is meant."""
    for leftover in folder.glob(".images.u8.*"):
        if time.time() - leftover.stat().st_mtime > 86400:
            leftover.unlink(missing_ok=True)


def _write(rows: Rows, folder: Path, channels: int, options: LoadOptions, skips: Skips) -> None:
    """Decodes all rows into `folder`; memory holds one batch of images at a time."""
    _sweep(folder)
    kept: list[int] = []
    hashes: list[int] = []
    broken: list[tuple[int, str]] = []
    workers = min(4, os.cpu_count() or 1)
    with (
        atomic_path(folder / "images.u8") as path,
        path.open("wb") as file,
        ThreadPoolExecutor(workers) as pool,
        live_bar(f"decoding {rows.name}", len(rows), options.progress) as advance,
    ):
        for start in range(0, len(rows), 256):
            batch = range(start, min(start + 256, len(rows)))
            results = pool.map(_decode_one, repeat(rows), batch, repeat(channels), repeat(options.size))
            for index, result in zip(batch, results, strict=True):
                if isinstance(result, str):
                    skips.report(result)
                    broken.append((index, result))
                    continue
                file.write(result[0])
                kept.append(index)
                hashes.append(result[1])
            advance(len(batch))
    with atomic_path(folder / "rows.npz") as path:  # last: its presence says that the entry is whole
        sentences = np.array([sentence for _, sentence in broken], dtype=np.str_)
        np.savez(path, kept=np.array(kept, np.int64), hashes=np.array(hashes, np.uint64), broken=sentences)


def _read(rows: Rows, folder: Path, channels: int, size: int) -> tuple[Split, list[str]] | None:
    """The entry in `folder` and what was broken in it, or None when it is absent or not whole."""
    try:
        with (folder / "rows.npz").open("rb") as raw, np.load(raw) as entry:
            kept, hashes, broken = entry["kept"], entry["hashes"], entry["broken"].tolist()
        shape = (len(kept), size, size, channels)
        if not len(kept):
            images = np.empty(shape, np.uint8)
        else:
            images = np.memmap(folder / "images.u8", np.uint8, "r", shape=shape)
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile):
        return None
    images.flags.writeable = False
    landmarks = None if rows.landmarks is None else rows.landmarks[kept]
    sure = None if landmarks is None else np.ones(landmarks.shape[:2], np.float32)
    split = Split(
        images=images,
        labels=rows.labels[kept],
        names=[str(rows.names[i]) for i in kept.tolist()] if broken else rows.names,
        landmarks=landmarks,
        confidence=sure if rows.confidence is None else rows.confidence[kept],
        hashes=hashes,
        not_face=None if rows.not_face is None else rows.not_face[kept],
    )
    return split, broken


def decode(rows: Rows, channels: int, options: LoadOptions, skips: Skips) -> Split:
    """All images of `rows` as one read-only memory-mapped array, decoded now or found in the cache, with their hashes.

    Bilinear resizing (Pillow's, antialiased) to `options.size`; `channels` 1 is grey, 3 is RGB.

    Raises:
        ValueError: an image is broken and `skips` does not allow it; the sentence names it.
    """
    key = digest([FORMAT, rows.fingerprint, channels, options.size])
    folder = Path(options.cache) / f"{rows.name}-{options.size}-{key[:16]}"
    found = _read(rows, folder, channels, options.size)
    if found and (skips.allowed or not found[1]):
        for sentence in found[1]:
            skips.report(sentence)
        return found[0]
    _write(rows, folder, channels, options, skips)
    fresh = _read(rows, folder, channels, options.size)
    assert fresh is not None, f"the entry just written to {folder} cannot be read"
    return fresh[0]
