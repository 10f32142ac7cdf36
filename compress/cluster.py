"""Ray as it is used here: tasks on this machine or on those of a cluster. A task whose worker is lost runs again.

    with cluster(address=None, cpus=2) as ray:
        answers = [outcome(ray, task) for task in map(ray.remote(work).remote, parts)]

Its usage statistics and its dashboard are off: nothing leaves the machines (`compress.libraries`). What a cluster that
somebody else has started tells is his affair.
"""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psutil

from compress.libraries import library

RETRIES = 3
"""So often a task whose worker was lost is run again."""
STARTS = 5
"""So often a local Ray is started before it is given up."""
PATIENCE = {
    "RAY_gcs_server_port_wait_time_s": "300",
    "RAY_raylet_start_wait_time_s": "300",
    "RAY_agent_register_timeout_ms": "300000",
    "RAY_worker_register_timeout_seconds": "300",
}
"""How long the parts of a local Ray wait for each other: their own half minute ends on a busy machine."""
STORE_BYTES = 128 * 2**20
"""Shared memory for arguments and answers of a local Ray: they are paths, settings and rows."""


@contextmanager
def cluster(address: str | None, cpus: int) -> Iterator[Any]:
    """The library, connected to the cluster at `address`, or to a new one of `cpus` on this machine that ends with the
    block; inside a program that is connected already, to that one.

    Raises:
        Unavailable: Ray is not installed.
        ConnectionError: nobody answers at `address`, or no Ray starts here.
    """
    ray = library("ray")
    if ray.is_initialized():
        yield ray
        return
    os.environ["RAY_IGNORE_UNHANDLED_ERRORS"] = "1"  # of steps that run when another one has failed
    quiet: dict[str, Any] = {"logging_level": "warning"}
    local = {"num_cpus": cpus, "include_dashboard": False, "object_store_memory": STORE_BYTES}
    with _own_end():
        if address:
            ray.init(address, **quiet)
        else:
            _start(ray, quiet | local)
    try:
        yield ray
    finally:
        ray.shutdown()


@contextmanager
def _own_end() -> Iterator[None]:
    """SIGTERM does what it did before the block: Ray would drain its node and end without a word."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, before)


def _start(ray: Any, settings: dict[str, Any]) -> None:
    """Ray gives its node thirty seconds whatever is set: a busy machine has more tries; one that failed makes room."""
    os.environ.update({name: os.environ.get(name, value) for name, value in PATIENCE.items()})
    before = set(psutil.Process().children(recursive=True))
    for left in reversed(range(STARTS)):
        try:
            ray.init("local", **settings)
            return
        except Exception as error:  # what Ray raises when its time is out has no type of its own
            for process in set(psutil.Process().children(recursive=True)) - before:
                with suppress(psutil.NoSuchProcess):
                    process.kill()
            if "timed out" not in str(error).lower() or not left:
                raise ConnectionError(f"Ray does not start on this machine: {error}") from error


def outcome(ray: Any, task: Any) -> Any:
    """What a task gives; what it raised is raised here.

    Raises:
        ConnectionError: its worker was lost again and again.
    """
    try:
        return ray.get(task)
    except ray.exceptions.RayTaskError as error:
        raise error.cause from None
    except ray.exceptions.RayError as error:
        told = f"a worker was lost {1 + RETRIES} times ({type(error).__name__})"
        raise ConnectionError(f"{told}; what is finished is kept, the same command goes on from it") from error
