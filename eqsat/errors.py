"""Every way a run can end badly, and the exit code that goes with it.

::

    EqsatError                 1  internal error; the message names the log
    ├── UsageError             2  a flag or an argument is wrong
    ├── ModelError             3  the model is missing, broken or not supported
    ├── RulesError             4  a rules file is broken or unsafe
    ├── VerificationError      5  the result does not compute the same; nothing was written
    ├── BudgetError            6  time or memory ended before any result
    ├── ProviderError          7  the execution provider is not available here
    ├── SayingError            8  all is done, but what there is to say about it could not be written
    └── StorageError           9  OUTPUT, or a file that the run needs, could not be written

The message is one line that names the thing, what is wrong with it and the way out.
"""

from __future__ import annotations

import errno
from typing import ClassVar


class EqsatError(Exception):
    """An error that the user should read as one line."""

    exit_code: ClassVar[int] = 1


class UsageError(EqsatError):
    """A flag or an argument is wrong."""

    exit_code: ClassVar[int] = 2


class ModelError(EqsatError):
    """The model is missing, broken or not supported."""

    exit_code: ClassVar[int] = 3


class RulesError(EqsatError):
    """A rules file is broken or unsafe; the message starts with ``file:line:column``."""

    exit_code: ClassVar[int] = 4


class VerificationError(EqsatError):
    """The optimised model does not compute what the original computes."""

    exit_code: ClassVar[int] = 5


class BudgetError(EqsatError):
    """A budget ended before there was any result."""

    exit_code: ClassVar[int] = 6


class ProviderError(EqsatError):
    """The execution provider asked for is not available on this machine."""

    exit_code: ClassVar[int] = 7


class SayingError(EqsatError):
    """The work is done and OUTPUT is in its place, but the report, or what was to be printed, could not be written."""

    exit_code: ClassVar[int] = 8


class StorageError(EqsatError):
    """A file cannot be written: the disk is full, a quota is reached, the folder has gone."""

    exit_code: ClassVar[int] = 9

    @classmethod
    def of(cls, error: OSError) -> StorageError | None:
        """Return the error to show where a system call failed for want of room; None for any other failure."""
        if error.errno not in _NO_ROOM:
            return None
        where = f" for {error.filename}" if error.filename else ""
        return cls(f"there is no room{where} ({error.strerror}); free some, or set TMPDIR to another folder")


_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})

INTERRUPTED_EXIT_CODE = 130

INTERNAL = "internal error: "
"""What the message of a fault of ours begins with."""
