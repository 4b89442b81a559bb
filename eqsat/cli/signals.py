"""What Ctrl-C, SIGTERM and the other signals that end a process come to: the command ends in order, with exit code 130.

Only the first one counts. Those that follow find a command that is ending already, and change nothing. What the parent
process had ignored, as ``nohup`` does with SIGHUP, stays ignored.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import Final, final

from eqsat.errors import INTERRUPTED_EXIT_CODE

NUMBERS: Final = tuple(
    signal.Signals[name]
    for name in (
        "SIGHUP", "SIGINT", "SIGQUIT", "SIGTERM", "SIGUSR1", "SIGUSR2", "SIGALRM", "SIGVTALRM", "SIGPROF", "SIGXCPU",
        "SIGIO", "SIGPWR", "SIGSTKFLT",
    )
    if name in signal.Signals.__members__
)  # fmt: skip
"""Signals that end a process which does not expect them, apart from those that say that it is broken."""


@final
class Interruption:
    """What has been asked for by signals.

    Attributes:
        is_asked: Whether one has come.
    """

    def __init__(self, act: Callable[[], None]) -> None:
        """Remember what the first signal does."""
        self.is_asked = False
        self._act = act

    def handle(self, number: int, frame: FrameType | None) -> None:
        """Take a signal."""
        del number, frame
        is_first, self.is_asked = not self.is_asked, True
        if is_first:
            self._act()


def end_at_once() -> None:
    """Let signals end this process with one line, from now on: nothing has begun that would have to be ended."""
    _set(Interruption(_exit).handle)


def ignore() -> None:
    """Let signals change nothing any more: all is done."""
    _set(signal.SIG_IGN)


@contextmanager
def raised() -> Iterator[Interruption]:
    """Let the first signal raise KeyboardInterrupt, until the end of the context."""
    interruption, hook = Interruption(_raise), sys.unraisablehook

    def lose(lost: sys.UnraisableHookArgs) -> None:
        if isinstance(lost.exc_value, KeyboardInterrupt):
            interruption.is_asked = False  # it fell into a finalizer, which dropped it: the next signal is the first
        else:
            hook(lost)

    with _handled(interruption):
        sys.unraisablehook = lose
        try:
            yield interruption
        finally:
            sys.unraisablehook = hook


@contextmanager
def noted() -> Iterator[Interruption]:
    """Let signals change nothing but what is yielded, until the end of the context."""
    with _handled(Interruption(_pass)) as interruption:
        yield interruption


@contextmanager
def _handled(interruption: Interruption) -> Iterator[Interruption]:
    before = _set(interruption.handle)
    try:
        yield interruption
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


_Handler = Callable[[int, FrameType | None], None] | signal.Handlers | int | None


def _set(handler: Callable[[int, FrameType | None], None] | signal.Handlers) -> Mapping[signal.Signals, _Handler]:
    """Set the handler of every signal that was not ignored, and return those before."""
    if threading.current_thread() is not threading.main_thread():
        return {}  # signals come to the main thread, and only there can be said what they do
    before = {number: signal.getsignal(number) for number in NUMBERS}
    heeded = {number: known for number, known in before.items() if known not in {signal.SIG_IGN, None}}
    for number in heeded:
        signal.signal(number, handler)
    return heeded


def _exit() -> None:
    os.write(2, b"eqsat: error: interrupted\n")
    os._exit(INTERRUPTED_EXIT_CODE)


class SignalError(KeyboardInterrupt):
    """A signal that ends the command.

    It has a class of its own since Python kills itself by SIGINT at its end where a plain KeyboardInterrupt has passed
    through ``exec``, even if it was caught: that is how classes are made on import.
    """


def _raise() -> None:
    raise SignalError


def _pass() -> None:
    pass
