"""Work on rules in a process of its own: a rules file may run for ever, or eat all memory, and only the work ends.

egglog takes no notice of signals while it runs, so that nothing but the end of a process stops it.
"""

from __future__ import annotations

import faulthandler
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Final, Generic, TypeVar

from eqsat.errors import EqsatError, ModelError
from eqsat.isolation import processes
from eqsat.isolation.parent import die_with_parent
from eqsat.isolation.temporary import TemporaryFolder, keep_log
from ir.errors import InvalidModelError

_POLL_S: Final = 0.1
_EXIT_S: Final = 5.0
_GIB: Final = 1024**3

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What the work may take.

    Attributes:
        time_s: Seconds from one thing that it gives to the next.
        memory_bytes: Resident memory of its process and its children together.
    """

    time_s: float = 600.0
    memory_bytes: int = 6 * _GIB


class LimitError(Exception):
    """The work was ended: it took too long or too much memory. The message says which, as the end of a sentence."""


class CrashError(LimitError):
    """The process died by itself; the message names the log that it left, if it left one."""


@dataclass(frozen=True, slots=True)
class _Item(Generic[T]):
    value: T


@dataclass(frozen=True, slots=True)
class _End:
    error: EqsatError | None = None


def isolated(
    work: Callable[..., Iterator[T]], *arguments: object, limits: Limits, clock: Callable[[], float] = time.monotonic
) -> Iterator[T]:
    """Yield what ``work(*arguments)`` yields in a process of its own.

    Args:
        work: A function of a module; it, its arguments and what it yields must be picklable.
        arguments: What it is called with.
        limits: What it may take.
        clock: Seconds on a clock that only goes forward.

    Raises:
        LimitError: A limit was reached, or the process died.
        EqsatError: What the work raised.
    """
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    folder = TemporaryFolder()
    log = folder.path / "work.log"
    log.touch()
    process = context.Process(target=_child, args=(sender, log, work, arguments))
    try:
        with folder.as_home():
            process.start()
        sender.close()
        while True:
            _wait(receiver, process.pid or 0, limits, clock)
            try:
                message: _Item[T] | _End = receiver.recv()
            except EOFError:
                process.join(_EXIT_S)
                with log.open("rb") as written:
                    kept = keep_log(written)
                raise CrashError(f"ended its process ({_how(process.exitcode or 0)}){kept}") from None
            if isinstance(message, _Item):
                yield message.value
            elif message.error is not None:
                raise message.error
            else:
                return
    finally:
        if process.pid is not None:
            if process.is_alive():
                processes.kill_tree(process.pid)
            process.join()
        receiver.close()
        folder.close()


def _wait(receiver: Connection, pid: int, limits: Limits, clock: Callable[[], float]) -> None:
    deadline = clock() + limits.time_s
    while not receiver.poll(_POLL_S):
        if clock() >= deadline:
            raise LimitError(f"came to no end within {limits.time_s:g} s (--time-limit)")
        if processes.resident_bytes(pid) > limits.memory_bytes:
            raise LimitError(f"took more than {limits.memory_bytes / _GIB:.3g} GiB of memory (--memory-limit)")


def _how(exit_code: int) -> str:
    return signal.Signals(-exit_code).name if exit_code < 0 else f"exit code {exit_code}"


def _child(sender: Connection, log: Path, work: Callable[..., Iterator[object]], arguments: tuple[object, ...]) -> None:
    """Do the work; whatever it or a native library prints goes to the log, an unforeseen exception too."""
    os.setsid()  # a group of its own, so that its end is the end of its children too
    die_with_parent()
    parent = multiprocessing.parent_process()
    if parent is not None and not parent.is_alive():
        return  # it ended before it could take this process with it
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends this process
    with log.open("wb") as file:
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)
    faulthandler.enable(file=2)
    end = _End()
    try:
        for value in work(*arguments):
            sender.send(_Item(value))
    except InvalidModelError as error:
        end = _End(ModelError(str(error)))
    except EqsatError as error:
        end = _End(error)
    with suppress(BrokenPipeError):
        sender.send(end)
