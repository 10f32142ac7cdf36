"""Arrays in .npz and .npy files, checked for what they shall be before their numbers are read.

One thing to know: types and shapes stand before the numbers, so a wrong or mutated file is refused without holding what
it claims to hold; nothing in it is ever run (no pickle).
"""

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np

from compress.files import atomic_path

MOST_BYTES = 1 << 34
"""No array that a data set needs in memory is larger."""


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What an array shall be."""

    kinds: str
    """Of NumPy's dtype.kind: "iu" whole numbers, "f" real ones, "U" text."""
    shape: tuple[int | None, ...] | None = None
    """None in a place: any length; None: any shape."""
    optional: bool = False


def read_arrays(path: Path, wanted: Mapping[str, Wanted]) -> dict[str, np.ndarray]:
    """The `wanted` arrays of an .npz file; optional ones may be absent.

    Raises:
        ValueError: absent, damaged, or other arrays than wanted. The sentence does not name the file.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            there = {name.removesuffix(".npy") for name in archive.namelist()}
            if missing := [n for n, w in wanted.items() if n not in there and not w.optional]:
                raise ValueError(f"it has no {', '.join(missing)}, only {', '.join(sorted(there)) or 'nothing'}")
            for name in there & set(wanted):
                with archive.open(f"{name}.npy") as member:
                    _checked(member, name, wanted[name])
            return {name: _read(archive, name) for name in wanted if name in there}
    except ValueError:
        raise
    except Exception as error:  # zipfile and NumPy's parser of headers raise a dozen kinds
        raise ValueError(f"{str(error) or type(error).__name__}") from error


def read_array(path: Path | str, wanted: Wanted) -> np.ndarray:
    """The array of an .npy file. Raises ValueError as `read_arrays`."""
    try:
        with open(path, "rb") as file:
            _checked(file, "the array", wanted)
            file.seek(0)
            return np.lib.format.read_array(file, allow_pickle=False)
    except ValueError:
        raise
    except Exception as error:  # as above
        raise ValueError(f"{str(error) or type(error).__name__}") from error


def _read(archive: zipfile.ZipFile, name: str) -> np.ndarray:
    with archive.open(f"{name}.npy") as member:
        array = np.lib.format.read_array(member, allow_pickle=False)
        if member.read(1):  # to its end, which is where a damaged byte is found out
            raise ValueError(f"{name} has more bytes than numbers")
    return array


def _checked(file: IO[bytes], name: str, wanted: Wanted) -> None:
    """Raises ValueError where the head of an array says something else than `wanted`."""
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(file)
    if dtype.hasobject or dtype.kind not in wanted.kinds:
        raise ValueError(f"{name} is {dtype}, expected a type of kind {' or '.join(wanted.kinds)}")
    if wanted.shape is not None and (
        len(shape) != len(wanted.shape)
        or any(want not in (None, got) for got, want in zip(shape, wanted.shape, strict=True))
    ):
        expected = ", ".join("n" if length is None else str(length) for length in wanted.shape)
        raise ValueError(f"{name} has the shape {shape}, expected ({expected})")
    if min(shape, default=0) < 0 or np.prod(shape, dtype=object) * dtype.itemsize > MOST_BYTES:
        raise ValueError(f"{name} claims the shape {shape}, which no data set has")


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """An .npz file, all at once."""
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]
