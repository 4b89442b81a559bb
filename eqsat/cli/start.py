"""The first moments of a process that is a command; imports next to nothing, so that they are few."""

from __future__ import annotations

import importlib
from typing import NoReturn

from eqsat.cli import signals


def begin() -> None:
    """Let this process end in order whatever its parent has done with its streams, and whatever signal comes."""
    signals.end_at_once()
    from eqsat.cli import streams

    streams.take_over()


def command(module: str, name: str) -> NoReturn:
    """Run a command and end this process with its exit code.

    Args:
        module: Has the command as ``app``; it is imported once signals and streams are taken over.
        name: The program's name in its help and its errors.
    """
    begin()
    from eqsat.cli.face import call, end

    end(call(importlib.import_module(module).app, name=name))
