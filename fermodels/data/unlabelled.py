"""Faces for pretraining: the train splits of data sets and whole folders of pictures, labels unused, no test picture.

One thing to know: a face is compared with every test picture by its pixels at the size they are stored at, in grey; so
a grey test picture is found again in a folder of colour files, while one that was cropped or compressed anew is not.

>>> pool = open_pool(["fer2013:fer2013.csv", "my/pictures"], size=64, cache=Path("cache"), keep_out=["rafdb:RAF-DB"])
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int64, UInt8, UInt64

from compress.files import digest
from fermodels.data import DATASETS, open_dataset
from fermodels.data.base import Dataset, LoadOptions
from fermodels.data.decode import decode, pixel_hash
from fermodels.data.folder import SPLITS
from fermodels.data.open_picture import SUFFIXES
from fermodels.data.rows import Skips, file_rows
from fermodels.data.walk import LeftOut, pictures_below

HELP = f"give NAME:PATH, NAME one of {', '.join(DATASETS)}, or a folder of pictures"


class Found(NamedTuple):
    """What a source held."""

    name: str
    """Without its folders, which a checkpoint must not carry."""
    faces: int
    tests: int
    """Faces that are test pictures."""


@dataclass(frozen=True, kw_only=True)
class Pool:
    """Faces of one or several sources, and which of them may be trained on."""

    images: UInt8[np.ndarray, "n side side c"]
    kept: Int64[np.ndarray, " k"]
    """The positions of the faces that are no test picture, ascending."""
    hashes: UInt64[np.ndarray, " n"]
    """`stored_hashes` of the images."""
    found: tuple[Found, ...]
    """Every source of faces."""
    compared: tuple[Found, ...]
    """Every source of test pictures that the faces were compared with."""
    labelled: Dataset | None
    """The first source with labels: what an encoder knows is probed on it."""
    passed_by: tuple[str, ...] = ()
    """What was left out of folders of pictures, or was broken in them."""

    @property
    def dropped(self) -> int:
        """Faces left out, because they are test pictures."""
        return len(self.images) - len(self.kept)

    @property
    def notes(self) -> tuple[str, ...]:
        """Where the faces come from and what was kept out, for the user and the checkpoint."""
        compared = ", ".join(f"{one.tests:,} of {one.name}" for one in self.compared) or "none was given"
        sources = (
            f"{one.name}: {one.faces:,} faces, {one.tests:,} of them test pictures (left out)." for one in self.found
        )
        return (*sources, f"Test pictures compared with, by pixels: {compared}.", *self.passed_by)

    @cached_property
    def fingerprint(self) -> str:
        """Digest of the pixels trained on, in their order."""
        return digest([self.hashes[self.kept].tobytes().hex(), self.images.shape[1:]])


def stored_hashes(images: UInt8[np.ndarray, "n side side c"]) -> UInt64[np.ndarray, " n"]:
    """64 bits of the pixels in grey: equal for a grey picture and its three equal channels."""
    side = images.shape[1]
    return np.array([pixel_hash(_grey(image).tobytes(), (side, side)) for image in images], np.uint64)


def _grey(image: UInt8[np.ndarray, "side side c"]) -> UInt8[np.ndarray, "side side"]:
    """Luminance (ITU-R BT.601) in whole numbers, whose weights sum to 1: equal channels stay what they are."""
    if image.shape[2] == 1:
        return image[..., 0]
    red, green, blue = np.moveaxis(image.astype(np.uint32), 2, 0)
    return ((19595 * red + 38470 * green + 7471 * blue + 32768) >> 16).astype(np.uint8)


def open_pool(
    specs: Sequence[str],
    *,
    size: int,
    cache: Path,
    keep_out: Sequence[str] = (),
    skip_broken: bool = False,
    progress: bool = False,
) -> Pool:
    """The train splits of the data sets and all pictures of the folders in `specs`, at `size` px.

    Args:
        keep_out: data sets whose test splits, and folders whose pictures, are kept out too, beside the test splits of
            `specs` themselves.
    Raises:
        ValueError: an unknown name, a missing or wrong path, a broken picture, or no face that is no test picture.
    """
    options = LoadOptions(size=size, cache=Path(cache), skip_broken=skip_broken, progress=progress)
    passed_by: list[str] = []
    opened = {spec: _opened(spec, options, passed_by) for spec in dict.fromkeys((*specs, *keep_out))}
    sources = {spec: _part(opened[spec], "train") for spec in dict.fromkeys(specs)}
    tests = {
        spec: _part(opened[spec], "test") for spec in opened if spec in keep_out or isinstance(opened[spec], Dataset)
    }
    labelled = next((data for spec in sources if isinstance(data := opened[spec], Dataset)), None)
    return replace(pool_of(sources, tests, labelled), passed_by=tuple(passed_by))


def pool_of(
    sources: Mapping[str, np.ndarray], tests: Mapping[str, np.ndarray], labelled: Dataset | None = None
) -> Pool:
    """A pool of faces already decoded, all at one size: name -> (n, side, side, channels) uint8.

    Raises:
        ValueError: every face is a test picture, or there is none.
    """
    forbidden = {name: stored_hashes(images) for name, images in tests.items()}
    everything = np.concatenate([*forbidden.values(), np.empty(0, np.uint64)])
    hashes = {name: stored_hashes(images) for name, images in sources.items()}
    tested = {name: np.isin(own, everything) for name, own in hashes.items()}
    dropped = np.concatenate(list(tested.values()))
    if dropped.all():
        raise ValueError(f"{', '.join(sources)}: of {len(dropped):,} faces none is left that is no test picture")
    return Pool(
        images=_joined(list(sources.values())),
        kept=np.flatnonzero(~dropped),
        hashes=np.concatenate(list(hashes.values())),
        found=tuple(Found(_told(name), len(own), int(own.sum())) for name, own in tested.items()),
        compared=tuple(Found(_told(name), len(own), len(own)) for name, own in forbidden.items()),
        labelled=labelled,
    )


def _joined(parts: list[np.ndarray]) -> np.ndarray:
    """All faces in one array, grey ones thrice where others have colours; a source alone stays where it is mapped."""
    if len(parts) == 1:
        return parts[0]
    channels = max(part.shape[3] for part in parts)
    side, total = parts[0].shape[1], sum(map(len, parts))
    whole, start = np.empty((total, side, side, channels), np.uint8), 0
    for part in parts:
        whole[start : start + len(part)] = part
        start += len(part)
    return whole


def _told(spec: str) -> str:
    name = spec.partition(":")[0]
    if name == "synthetic":
        return spec
    return name if name in DATASETS else Path(os.path.expanduser(spec)).resolve().name


def _part(opened: Dataset | np.ndarray, split: str) -> np.ndarray:
    """The faces of a data set's split; a folder of pictures is all of them."""
    return np.asarray(opened.splits[split].images if isinstance(opened, Dataset) else opened)


def _opened(spec: str, options: LoadOptions, passed_by: list[str]) -> Dataset | np.ndarray:
    """A data set, or the pictures of a folder; what is left out of that is added to `passed_by`."""
    if spec.partition(":")[0] in DATASETS:
        place: dict[str, Any] = {"size": options.size, "cache": options.cache}
        return open_dataset(spec, **place, skip_broken=options.skip_broken, progress=options.progress)
    root = Path(os.path.expanduser(spec))
    if not root.is_dir():
        raise ValueError(f'"{spec}" is neither a data set nor a folder: {HELP}')
    if splits := [p.name for p in root.iterdir() if p.name.lower() in SPLITS["test"] and p.is_dir()]:
        raise ValueError(f"{spec} has a folder {splits[0]}/: name it folder:{spec}, so that its pictures stay out")
    return _pictures(root, spec, options, passed_by)


def _pictures(root: Path, spec: str, options: LoadOptions, passed_by: list[str]) -> np.ndarray:
    """Every picture below `root`, RGB, its central square."""
    left_out, skips = LeftOut(), Skips(allowed=options.skip_broken)
    names = pictures_below(root, "", left_out)
    if not names:
        raise ValueError(f"{spec} holds no picture ({', '.join(sorted(SUFFIXES))}): {HELP}")
    rows = file_rows("pictures", root, names, np.zeros(len(names), np.int64))
    images = decode(rows, 3, options, skips).images
    passed_by += [f"{_told(spec)}: {note}" for note in (*left_out.notes, *skips.notes)]
    return images
