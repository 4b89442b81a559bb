"""Stdout and stderr of a command that are closed, full, read only in part, or in another encoding: none of it ends it.

What cannot be written is dropped from the first failure on, and the failure is remembered. A character that the
encoding lacks is written as its escape.
"""

from __future__ import annotations

import errno
import io
import os
import sys
from typing import TYPE_CHECKING, Final, final

from typing_extensions import override

if TYPE_CHECKING:
    from typing import TextIO

CLOSED: Final = OSError(errno.EBADF, "it is closed")
"""The failure of a stream that was closed when the process began: what is written there is not wanted."""


@final
class Stream(io.TextIOWrapper):
    """A text stream that does not fail.

    Attributes:
        failure: Why something could not be written; None where all was.
    """

    failure: OSError | None = None

    @staticmethod
    def over(number: int, before: TextIO | None) -> Stream:
        """Return a stream over a descriptor.

        Args:
            number: The descriptor.
            before: The stream over it until now, which lends its encoding; None where it was closed.
        """
        stream = Stream(
            io.BufferedWriter(io.FileIO(number, "w", closefd=False)),
            encoding=before.encoding if before is not None else "utf-8",
            errors="backslashreplace",
            line_buffering=number == 2 or os.isatty(number),
        )
        if before is None:
            stream.failure = CLOSED
        return stream

    @override
    def write(self, text: str, /) -> int:
        try:
            return super().write(text)
        except OSError as error:
            self._give_up(error)
            return len(text)

    @override
    def flush(self) -> None:
        try:
            super().flush()
        except OSError as error:
            self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        self.failure = self.failure or error
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self.fileno())
        os.close(nowhere)


def take_over() -> None:
    """Replace stdout and stderr, and have nothing else than the standard streams on the first three descriptors."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest that is free, which is this one
    sys.stdout = Stream.over(1, sys.stdout)
    sys.stderr = Stream.over(2, sys.stderr)


def failure_of_stdout() -> OSError | None:
    """Return why something could not be written to stdout; a reader that has enough, as ``head``, is no failure."""
    sys.stdout.flush()
    failure = sys.stdout.failure if isinstance(sys.stdout, Stream) else None
    return None if isinstance(failure, BrokenPipeError) else failure
