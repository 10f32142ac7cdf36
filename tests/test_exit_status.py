"""An interruption ends a command wherever it falls."""

import os
import signal
import sys
import weakref

import pytest

from compress.exit_status import exit_status


class Thing:
    pass


class AsksToEnd:
    """Asks this process to end from its finaliser, where Python drops exceptions."""

    def __init__(self, number):
        self.number = number

    def __del__(self):
        os.kill(os.getpid(), self.number)
        sum(range(100_000))  # the handler runs in here


def long_work():
    while True:
        sum(range(1000))


@pytest.mark.timeout(20)
@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_an_interruption_in_a_finaliser_is_not_lost(number, status, capsys):
    def run():
        AsksToEnd(number)
        long_work()

    assert exit_status("work", run, kept="all is kept") == status
    assert capsys.readouterr().err == "work: stopped; all is kept\n"


@pytest.mark.timeout(20)
def test_an_interruption_in_a_weak_references_callback_is_not_lost(capsys):
    def callback(_):
        os.kill(os.getpid(), signal.SIGTERM)
        sum(range(100_000))

    def run():
        thing = Thing()
        reference = weakref.ref(thing, callback)
        del thing
        assert reference() is None
        long_work()

    assert exit_status("work", run) == 143
    assert capsys.readouterr().err == "work: stopped; nothing is kept\n"


def test_other_dropped_exceptions_are_told_as_before(monkeypatch):
    told = []
    monkeypatch.setattr(sys, "unraisablehook", told.append)

    class Fails:
        def __del__(self):
            raise OSError("in a finaliser")

    assert exit_status("work", lambda: Fails() and None) == 0
    assert [str(each.exc_value) for each in told] == ["in a finaliser"]
    assert sys.unraisablehook == told.append
