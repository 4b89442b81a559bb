"""What commands print: tables, lines, JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, Literal

from rich.markup import escape
from rich.table import Table

from eqsat.text.shown import echo

if TYPE_CHECKING:
    from rich.console import Console


_MAX_NODES: Final = 8
"""Nodes that one line names at most."""


def print_rows(out: Console, headings: Sequence[str], rows: Sequence[Sequence[str]], *, num_left: int) -> None:
    """Print a table: drawn on a terminal, with tabs between the cells elsewhere."""
    if not out.is_terminal:
        for row in (headings, *rows):
            echo("\t".join(row))
        return
    table = Table(show_edge=False, pad_edge=False)
    for number, heading in enumerate(headings):
        justify: Literal["left", "right"] = "left" if number < num_left else "right"
        table.add_column(heading, justify=justify, no_wrap=not number, overflow="fold")
    for row in rows:
        table.add_row(*(escape(cell) for cell in row))
    out.print(table)


def say(out: Console, line: str) -> None:
    """Print a line as it is."""
    out.print(line, markup=False, highlight=False, soft_wrap=True, emoji=False)


def print_json(value: object) -> None:
    """Print a value as JSON on stdout."""
    text = json.dumps(value, indent=2, sort_keys=False)
    echo(text.replace("\x7f", "\\u007f"))  # the one character that is not printable and that JSON leaves as it is


def has_lines(out: Console) -> bool:
    """Return whether a console can show box-drawing characters."""
    return out.encoding.lower().replace("-", "").startswith("utf")
