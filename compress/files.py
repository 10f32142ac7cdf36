"""Files that are never half-written, and digests that name what made them.

Everything that lasts goes through here: written to a temporary sibling, brought to the disk, then renamed. What a
killed process has left is removed by the next one that writes the same file.
"""

import dataclasses
import hashlib
import json
import math
import os
import secrets
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import psutil

DAY_S = 86400
"""Seconds after which a temporary file of another machine is nobody's any more."""
UNFINISHED = ".tmp"
"""Ends the names of temporary files: no pattern for what they will be ("*.json") finds them."""


@contextmanager
def atomic_path(path: Path, *, suffix: str = UNFINISHED) -> Iterator[Path]:
    """A temporary path beside `path`; renamed to `path` when the block ends well, removed when it does not.

    The permissions are those of any new file (umask). A link stays: the file that it leads to is replaced.

    Args:
        suffix: for writers that choose the format by it; it should be no pattern's that looks into the folder.
    """
    path = Path(os.path.realpath(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    for leftover in leftovers(path):
        with suppress(OSError):  # another process sweeps, too
            leftover.unlink(missing_ok=True)
    temporary = temporary_of(path, suffix)
    os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    try:
        yield temporary
        to_disk(temporary)
        os.replace(temporary, path)
        to_disk(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def temporary_of(path: Path, suffix: str = UNFINISHED) -> Path:
    """A new name beside `path` for what will be `path`; it names this process to `leftovers`."""
    return path.parent / f"{_prefix(path)}{_machine()}-{os.getpid()}-{secrets.token_hex(4)}{suffix}"


def _prefix(path: Path) -> str:
    """Begins the names of the temporary files of `path`: its own name, or a digest where that would be too long."""
    name = path.name if len(os.fsencode(path.name)) <= 150 else hashlib.sha256(os.fsencode(path.name)).hexdigest()
    return f".{name}."


def _machine() -> str:
    return hashlib.sha256(socket.gethostname().encode()).hexdigest()[:8]


def leftovers(path: Path) -> list[Path]:
    """The temporary files of `path` whose processes are gone; of other machines, those a day old."""
    prefix = _prefix(path)
    with os.scandir(path.parent) as entries:
        names = [entry.name for entry in entries if entry.name.startswith(prefix)]
    found = []
    for name in names:
        machine, process, *rest = [*name[len(prefix) :].split("-"), ""]
        if len(machine) != 8 or not process.isdigit() or not rest[0]:
            continue
        with suppress(OSError):  # removed meanwhile
            old = time.time() - (path.parent / name).stat().st_mtime > DAY_S
            if old or (machine == _machine() and not psutil.pid_exists(int(process))):
                found.append(path.parent / name)
    return found


def to_disk(path: Path) -> None:
    """Waits until a file, or the names in a folder, would outlive a power cut."""
    handle = os.open(path, os.O_RDONLY)
    try:
        with suppress(OSError):  # some file systems know no such thing for folders
            os.fsync(handle)
    finally:
        os.close(handle)


def write_atomic(path: Path, data: bytes | str) -> None:
    """Writes `data` (text as UTF-8) to `path` all at once: a reader sees the old file or the new one."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(data.encode() if isinstance(data, str) else data)


def write_json(path: Path, value: Any) -> None:
    """Writes `plain(value)` as JSON, one key a line; nothing is touched where it is none."""
    write_atomic(path, json_text(value, indent=1) + "\n")


def json_text(value: Any, *, indent: int | None = None) -> str:
    """`plain(value)` as JSON."""
    return json.dumps(plain(value), indent=indent, allow_nan=False)


def must_be_writable(path: Path | str) -> None:
    """Tries to write beside `path`, and makes its folder, before long work.

    Raises:
        ValueError: nothing can be written there, or `path` is a folder.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise ValueError(f"{path} cannot be written ({error.strerror}): give another place") from error
    if path.exists() and not path.is_file():
        raise ValueError(f"{path} is {'a folder' if path.is_dir() else 'no ordinary file'}: give a file")


def must_be_folder(path: Path | str, option: str) -> None:
    """Finds out before long work whether results can lie in the folder `path`; makes nothing.

    Args:
        option: what the user calls it, "--out".
    Raises:
        ValueError: it is something else, or nothing can be written there.
    """
    path = Path(path)
    there = next(one for one in (path, *path.absolute().parents) if os.path.lexists(one))
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        raise ValueError(
            f"{option} {path} is no folder that can be written to ({error.strerror}: {there}): give another"
        ) from error


def size_bytes(path: Path) -> int:
    """Bytes of a file, or of all files below a folder."""
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())


def plain(value: Any, where: str = "") -> Any:
    """`value` as JSON's own types: dataclasses become dicts, tuples and arrays lists, paths strings.

    Raises:
        ValueError: a number that is not finite, or two keys that are one as text; `where` names their place.
        TypeError: a value that JSON has no form for.
    """
    if isinstance(value, (np.ndarray, np.generic)):
        value = value.tolist()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, dict):
        if len({str(key) for key in value}) < len(value):
            raise ValueError(f"{where or 'a value'} has two keys that are one as text: {', '.join(map(repr, value))}")
        return {str(key): plain(item, f"{where}.{key}".lstrip(".")) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item, f"{where}[{number}]") for number, item in enumerate(value)]
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{where or 'a value'} is {value}; JSON has finite numbers only (None where there is none)")
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise TypeError(f"{where or 'a value'} is {type(value).__name__}, which JSON has no form for")


def digest(value: Any) -> str:
    """sha256 (hex) of the canonical JSON of `value`: equal configurations have equal digests."""
    return hashlib.sha256(json.dumps(plain(value), sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def file_digest(path: Path) -> str:
    """sha256 (hex) of the bytes of a file."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
