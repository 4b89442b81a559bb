"""Signals end a command once, whatever it is doing, and change nothing where it is ending already."""

from __future__ import annotations

import os
import signal
import weakref
from collections.abc import Iterator

import pytest

from eqsat.cli import signals


@pytest.fixture(autouse=True)
def interruptible() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in signals.NUMBERS}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_the_first_signal_is_raised_and_the_others_are_not() -> None:
    with signals.raised() as interruption:
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGHUP)
        os.kill(os.getpid(), signal.SIGINT)
    assert interruption.is_asked


def test_signals_are_noted() -> None:
    with signals.noted() as interruption:
        assert not interruption.is_asked
        for number in (signal.SIGUSR1, signal.SIGTERM):
            os.kill(os.getpid(), number)
        assert interruption.is_asked


def test_what_is_noted_inside_is_not_raised_outside() -> None:
    with signals.raised() as outer:
        with signals.noted():
            os.kill(os.getpid(), signal.SIGINT)
        assert not outer.is_asked


def test_the_handlers_of_before_come_back() -> None:
    before = {number: signal.getsignal(number) for number in signals.NUMBERS}
    with signals.raised(), signals.noted():
        assert signal.getsignal(signal.SIGQUIT) != before[signal.SIGQUIT]
    assert {number: signal.getsignal(number) for number in signals.NUMBERS} == before


def test_what_the_parent_ignores_stays_ignored() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    with signals.raised() as interruption:
        os.kill(os.getpid(), signal.SIGHUP)
    assert not interruption.is_asked


def test_a_signal_that_falls_into_a_finalizer_is_not_the_last() -> None:
    class Finalized:
        pass

    with signals.raised():
        finalized = Finalized()
        reference = weakref.ref(finalized, lambda _: os.kill(os.getpid(), signal.SIGINT))
        del finalized  # raises in the callback, where nobody catches it
        assert reference() is None
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_when_all_is_done_signals_change_nothing() -> None:
    signals.ignore()
    os.kill(os.getpid(), signal.SIGTERM)
