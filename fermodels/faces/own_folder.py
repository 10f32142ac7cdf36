"""A folder that `fermodels.faces.prepare` may write into: empty, new, or claimed by it for the same photographs.

One thing to know: nothing is removed or replaced in a folder without the marker, and in one with it only files that
this tool names.
"""

import os
from dataclasses import dataclass
from errno import ENOSPC
from pathlib import Path
from shutil import disk_usage

from compress.files import write_json
from compress.typed_json import read_json
from fermodels.data.prepared import META, read_meta

MARKER = "prepare-owns-this-folder.json"
SHEET = "sheet.png"
PARTS = "parts"
MEND = "name a new or an empty folder with --out"


@dataclass(frozen=True, kw_only=True)
class Owner:
    """What the marker says."""

    spec: str
    """The photographs, with their whole path."""


def claim(out: Path, spec: str) -> None:
    """Makes `out` a folder of faces of `spec` ("lfw:PATH"), or finds that it is one.

    Raises:
        ValueError: `out` is a file, holds files of others, holds faces of other photographs, or lies in the source of
            the photographs or around it.
        OSError: it cannot be written.
    """
    name, _, path = spec.partition(":")
    source, place = Path(os.path.expanduser(path)).resolve(), out.resolve()
    if out.exists() and not out.is_dir():
        raise ValueError(f"{out} is a file; {MEND}")
    if source == place or source in place.parents or place in source.parents:
        raise ValueError(f"{out} is the folder of the photographs, lies in it or around it; {MEND}")
    owner = Owner(spec=f"{name}:{source}")
    if out.is_dir() and any(out.iterdir()):
        _refuse_strangers(out, spec, owner)
    write_json(out / MARKER, owner)


def _refuse_strangers(out: Path, spec: str, owner: Owner) -> None:
    """Raises ValueError unless an earlier run on the same photographs wrote what lies in `out`."""
    if (out / MARKER).is_file():
        found = read_json(out / MARKER, Owner, what="marker of fermodels.faces.prepare", mend=MEND).spec
    elif (out / META).is_file():  # written before there was a marker
        found = owner.spec if read_meta(out).spec == spec else read_meta(out).spec
    else:
        raise ValueError(f"{out} holds files that this tool has not written; {MEND}")
    if found != owner.spec:
        raise ValueError(f"{out} holds faces of {found}, asked for are those of {owner.spec}; {MEND}")


def unfinish(out: Path) -> None:
    """From here on the folder is not whole, until its last file is written again."""
    (out / META).unlink(missing_ok=True)


def remove_parts(out: Path) -> None:
    """Removes the chunks of a finished run; what somebody else has laid beside them stays."""
    for part in (out / PARTS).glob("????????????????-????????.npz"):
        part.unlink()
    if (out / PARTS).is_dir() and not os.listdir(out / PARTS):
        (out / PARTS).rmdir()


def refuse_full_disk(out: Path, photographs: int, size: int) -> None:
    """Raises OSError when the disk has no room for the chunks and the finished faces of so many photographs."""
    needed, free = 2 * photographs * size * size * 3, disk_usage(out).free
    if needed > free:
        raise OSError(ENOSPC, f"the faces need up to {needed // 10**6:,} MB, free are {free // 10**6:,} MB", str(out))
