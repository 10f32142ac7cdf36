"""A lock that dies with its owner: one process at a time makes what lies in a folder, on one machine or on several.

    with locked(folder / "lock", "vggnet dense"):
        ...

It is `flock`'s: the system gives it back when its owner ends, however it ends. Between machines it holds as far as
`flock` does: on local disks, NFS and most cluster file systems; not where they are mounted with `nolock`.
"""

import fcntl
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def locked(path: Path, what: str) -> Iterator[None]:
    """Holds the lock file `path` inside the block, and removes it after it; waits while another process holds it.

    Threads and nested blocks wait, too: the second block of one path waits for the first.

    Args:
        what: begins the line on standard error that names the owner for the one who waits.
    """
    handle = _held(path, what)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(handle)


def _held(path: Path, what: str) -> int:
    """The open lock file, once it is ours; a file that its owner has removed meanwhile is none."""
    told = False
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if not told:
                print(f"{what}: {_owner(handle)} is at it, waiting", file=sys.stderr, flush=True)
            told = True
            _wait(handle)
            continue
        if _same(handle, path):
            os.ftruncate(handle, 0)
            os.write(handle, f"process {os.getpid()} on {socket.gethostname()}".encode())
            return handle
        os.close(handle)


def _wait(handle: int) -> None:
    """Until the file is free; whether it is still the lock is for the next try."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
    finally:
        os.close(handle)


def _owner(handle: int) -> str:
    return os.pread(handle, 200, 0).decode(errors="replace") or "another process"


def _same(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), os.stat(path))
    except FileNotFoundError:
        return False
