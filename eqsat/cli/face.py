"""What every command shares: errors as one line, exit codes, and a clean end on Ctrl-C or any other signal.

A process that is a command runs::

    begin()                        # before it imports anything that takes time
    end(call(app))
"""

from __future__ import annotations

import re
import sys
import traceback
from collections.abc import Sequence
from io import BytesIO
from typing import ClassVar, Final, NoReturn

import typer

from eqsat.cli import signals, streams
from eqsat.errors import INTERNAL, INTERRUPTED_EXIT_CODE, EqsatError, SayingError, StorageError
from eqsat.isolation.temporary import keep_log
from eqsat.text.shown import one_line
from eqsat.text.suggest import did_you_mean

_MAX_SAID: Final = 500
"""Characters of an unforeseen exception that its line shows; the log has it all."""


_CHOICE: Final = re.compile(r"'(?P<word>[^']*)' is not one of (?P<known>.*)")

HELP_NAMES: Final = {"help_option_names": ["-h", "--help"]}
"""Settings of every command."""


class InterruptedRunError(EqsatError):
    """The user ended the run before there was any result."""

    exit_code: ClassVar[int] = INTERRUPTED_EXIT_CODE


def call(app: typer.Typer, arguments: Sequence[str] | None = None, *, name: str = "eqsat") -> int:
    """Run a command and return its exit code.

    Args:
        app: The commands.
        arguments: What follows the program's name; None for this process's own.
        name: The program's name in its help and its errors.
    """
    try:
        with signals.raised() as interruption:
            result = typer.main.get_command(app)(args=arguments, prog_name=name, standalone_mode=False)
    except typer.TyperException as error:
        return fail(f"{_said(error)} (--help lists what there is)", error.exit_code)
    except EqsatError as error:
        return fail(str(error), error.exit_code)
    except KeyboardInterrupt:
        return fail("interrupted", INTERRUPTED_EXIT_CODE)
    except Exception as error:  # noqa: BLE001 -- a fault of ours ends as one line and a log, wherever it is
        return _fault(error)
    if interruption.is_asked:
        return fail("interrupted", INTERRUPTED_EXIT_CODE)
    return result if isinstance(result, int) else 0


def _said(error: typer.TyperException) -> str:
    """Return what is wrong with a flag or its value, and what was probably meant."""
    flag = getattr(error, "option_name", None)
    if flag is not None and hasattr(error, "possibilities"):
        return f"there is no flag {flag}{did_you_mean(flag, error.possibilities or ())}"
    message = error.format_message().replace("Value error, ", "")
    choice = _CHOICE.search(message)
    if choice is None:
        return message
    return message.removesuffix(".") + did_you_mean(choice["word"], re.findall(r"'([^']+)'", choice["known"]))


def end(exit_code: int) -> NoReturn:
    """End this process, which is a command that has come to its end."""
    failure = streams.failure_of_stdout()
    if failure is not None and failure is not streams.CLOSED and exit_code == 0:
        exit_code = fail(f"stdout cannot be written: {failure.strerror}", SayingError.exit_code)
    signals.ignore()
    sys.exit(exit_code)


def fail(message: str, exit_code: int) -> int:
    """Say an error as one line on stderr, and return the exit code."""
    sys.stderr.write(f"eqsat: error: {one_line(message)}\n")
    return exit_code


def _fault(error: Exception) -> int:
    """Say a fault of ours as one line that names the log; a full disk is nobody's fault."""
    full = StorageError.of(error) if isinstance(error, OSError) else None
    if full is not None:
        return fail(str(full), full.exit_code)
    said = str(error).partition("\n")[0][:_MAX_SAID]
    return fail(f"{INTERNAL}{type(error).__name__}: {said}{_log_of(error)}", EqsatError.exit_code)


def _log_of(error: Exception) -> str:
    """Return where the traceback of an error is kept, as the end of its message."""
    text = "".join(traceback.format_exception(error))
    return keep_log(BytesIO(text.encode(errors="backslashreplace")))
