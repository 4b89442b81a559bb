"""What is shown: a control sequence in a name or a message is printed, never obeyed by the terminal.

Names and messages come from models, rules files and libraries. All that is shown goes through here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

import typer
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from typing_extensions import override

_FILE_WIDTH: Final = 140
_BREAK: Final = re.compile(r"\s*[\n\r\v\f]\s*|\t")
_LAYOUT: Final = frozenset("\n\t")


def plain(text: str) -> str:
    """Return ``text`` with escapes in place of what is not printable, but for the ends of lines and tabs.

    That is every character that controls a terminal, turns the direction of text, or cannot be encoded.
    """
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() or each in _LAYOUT else repr(each)[1:-1] for each in text)


def one_line(text: str) -> str:
    """Return ``text`` as one line without what is not printable."""
    return plain(_BREAK.sub(" ", text.strip()))


def echo(text: str, *, has_end: bool = True) -> None:
    """Print on stdout, without what is not printable."""
    typer.echo(plain(text), nl=has_end)


class PlainConsole(Console):
    """A console that lets nothing through but its own control sequences."""

    @override
    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=plain(segment.text))


def console(*, is_stderr: bool) -> Console:
    """Return a console as wide as the terminal, or wide enough for the tables where there is none."""
    found = PlainConsole(stderr=is_stderr)
    return found if found.is_terminal else PlainConsole(stderr=is_stderr, width=_FILE_WIDTH)
