"""From files to decoded faces: every image is decoded once and lies in a memory-mapped array from then on.

One thing to know: a cache entry is named by what it was made from (paths, sizes and times of the files, the rows
taken, the side in pixels), so a changed source is decoded again and a second opening reads no image at all.
The folder is safe to delete at any moment.
"""

import hashlib
import os
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import repeat
from pathlib import Path
from zlib import crc32

import numpy as np
from jaxtyping import UInt64
from PIL import Image

from compress.files import atomic_path, digest
from fermodels.data.arrays import Wanted, read_arrays, write_arrays
from fermodels.data.base import LoadOptions, Split
from fermodels.data.eight_bits import as_mode
from fermodels.data.rows import Rows, Skips, Unusable

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
    except Unusable:
        raise
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


def _write(rows: Rows, folder: Path, channels: int, options: LoadOptions, skips: Skips) -> None:
    """Decodes all rows into `folder`; memory holds one batch of images at a time."""
    kept: list[int] = []
    hashes: list[int] = []
    broken: list[str] = []
    check = 0
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
                    broken.append(result)
                    continue
                file.write(result[0])
                check = crc32(result[0], check)
                kept.append(index)
                hashes.append(result[1])
            advance(len(batch))
    entry = {"kept": np.array(kept, np.int64), "hashes": np.array(hashes, np.uint64), "check": np.array([check])}
    write_arrays(folder / "rows.npz", entry | {"broken": np.array(broken, np.str_)})  # last: the entry is whole


ENTRY = {
    "kept": Wanted(kinds="i", shape=(None,)),
    "hashes": Wanted(kinds="u", shape=(None,)),
    "check": Wanted(kinds="i", shape=(1,)),
    "broken": Wanted(kinds="U", shape=(None,)),
}
"""What a cache entry says of its pixels: which rows they are, `pixel_hash` of each, CRC-32 of them all, and the
sentences of those that are broken."""


def _read(rows: Rows, folder: Path, channels: int, size: int) -> tuple[Split, list[str]] | None:
    """The entry in `folder` and what was broken in it, or None when it is absent or damaged."""
    if not (folder / "rows.npz").is_file():
        return None
    try:
        entry = read_arrays(folder / "rows.npz", ENTRY)
        kept, broken = entry["kept"], entry["broken"].tolist()
        images = mapped(folder / "images.u8", (len(kept), size, size, channels), int(entry["check"][0]))
    except (ValueError, OSError) as error:
        print(f"{folder} is damaged ({error}): its pictures are decoded again", file=sys.stderr)
        return None
    landmarks = None if rows.landmarks is None else rows.landmarks[kept]
    sure = None if landmarks is None else np.ones(landmarks.shape[:2], np.float32)
    split = Split(
        images=images,
        labels=rows.labels[kept],
        names=[str(rows.names[i]) for i in kept.tolist()] if broken else rows.names,
        landmarks=landmarks,
        confidence=sure if rows.confidence is None else rows.confidence[kept],
        hashes=entry["hashes"],
        not_face=None if rows.not_face is None else rows.not_face[kept],
    )
    return split, broken


def mapped(path: Path, shape: tuple[int, ...], check: int | None) -> np.ndarray:
    """The pixels in a file, uint8, memory-mapped and read-only.

    Raises:
        ValueError: another number of bytes than `shape` has, or another CRC-32 than `check`.
    """
    if path.stat().st_size != np.prod(shape):
        raise ValueError(f"{path.name} has {path.stat().st_size:,} bytes, expected {np.prod(shape):,}")
    images = np.memmap(path, np.uint8, "r", shape=shape) if shape[0] else np.empty(shape, np.uint8)
    images.flags.writeable = False
    if check is not None and checksum(images) != check:
        raise ValueError(f"the bytes of {path.name} have changed since they were written")
    return images


def checksum(images: np.ndarray) -> int:
    """CRC-32 of all pixels in their order; a gigabyte takes about a second."""
    value = 0
    for start in range(0, len(images), 256):
        value = crc32(np.ascontiguousarray(images[start : start + 256]).data, value)
    return value


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
