"""What every command shares: errors as one line, exit codes, and a clean end on Ctrl-C or SIGTERM."""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence
from typing import ClassVar

import typer

from eqsat.errors import INTERRUPTED_EXIT_CODE, EqsatError


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
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        result = typer.main.get_command(app)(args=arguments, prog_name=name, standalone_mode=False)
    except typer.TyperException as error:
        return _fail(f"{error.format_message()} (--help lists what there is)", error.exit_code)
    except EqsatError as error:
        return _fail(str(error), error.exit_code)
    return result if isinstance(result, int) else 0


def _fail(message: str, exit_code: int) -> int:
    line = " ".join(message.split())
    sys.stderr.write(f"eqsat: error: {line}\n")
    return exit_code
