"""How a Ray of our own begins and fails, told by a stand-in: the real one is in `tests/test_ray.py`."""

import os
import signal
import subprocess
import sys
from types import SimpleNamespace

import pytest

from compress import cluster
from compress.libraries import Unavailable


class Stub:
    """`init` fails so often with `sentence`, leaving a process behind each time, and takes SIGTERM for itself."""

    def __init__(self, failures: int, sentence: str) -> None:
        self.failures, self.sentence = failures, sentence
        self.left: list[subprocess.Popen] = []
        self.ended = 0

    def is_initialized(self) -> bool:
        return False

    def init(self, address: str, **settings: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        assert address == "local" and settings["include_dashboard"] is False
        if len(self.left) < self.failures:
            self.left.append(subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE))
            raise Exception(self.sentence)

    def shutdown(self) -> None:
        self.ended += 1


def used(monkeypatch, stub: Stub) -> None:
    monkeypatch.setattr(cluster, "library", lambda name: stub)
    before = signal.getsignal(signal.SIGTERM)
    try:
        with cluster.cluster(None, 2) as ray:
            assert ray is stub and signal.getsignal(signal.SIGTERM) is before
    finally:
        signal.signal(signal.SIGTERM, before)
        for process in stub.left:
            assert process.wait(timeout=60) == -signal.SIGKILL
            process.stdin.close()


@pytest.mark.parametrize("sentence", ["The current node timed out during startup.", "Timed out waiting for file port"])
def test_a_start_that_timed_out_is_tried_again_and_leaves_no_process(monkeypatch, sentence):
    stub = Stub(2, sentence)
    used(monkeypatch, stub)
    assert stub.ended == 1 and len(stub.left) == 2


@pytest.mark.parametrize(("sentence", "tries"), [("timed out", cluster.STARTS), ("no shared memory", 1)])
def test_a_ray_that_does_not_start_is_a_sentence(monkeypatch, sentence, tries):
    stub = Stub(99, sentence)
    with pytest.raises(ConnectionError, match=f"does not start on this machine: {sentence}"):
        used(monkeypatch, stub)
    assert len(stub.left) == tries


def test_the_parts_of_a_ray_wait_for_each_other_as_long_as_the_user_says(monkeypatch):
    given, *others = cluster.PATIENCE
    for name in others:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(given, "77")
    used(monkeypatch, Stub(0, ""))
    assert os.environ[given] == "77"
    assert {name: os.environ[name] for name in others} == {name: cluster.PATIENCE[name] for name in others}


def test_without_the_library_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(Unavailable, match=r"fermodels\[ray\]"), cluster.cluster(None, 1):
        pass


def test_a_worker_that_is_lost_again_and_again_is_a_sentence_and_its_mistake_is_raised_as_it_is():
    class RayError(Exception): ...

    class RayTaskError(RayError):
        cause = ValueError("its own")

    def get(task: Exception) -> None:
        raise task

    ray = SimpleNamespace(get=get, exceptions=SimpleNamespace(RayError=RayError, RayTaskError=RayTaskError))
    with pytest.raises(ValueError, match="its own"):
        cluster.outcome(ray, RayTaskError())
    with pytest.raises(ConnectionError, match="lost 4 times"):
        cluster.outcome(ray, RayError())
