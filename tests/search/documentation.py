"""Options of searches as the documentation has them."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Any

from eqsat.search.options import options_of
from eqsat.search.restarts import Restarts

PAGE = Path(__file__).parents[2] / "docs" / "command-line.md"


def documented(search: str) -> str:
    """Return the line about a search."""
    (line,) = (line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith(f"| `{search}` | "))
    return line


def shown(search: str, kind: type[Any]) -> Iterator[tuple[str, str, str]]:
    """Yield the search, the name and the default of each of its options, as they are written there."""
    for field, option in options_of(kind):
        match field.default:
            case StrEnum() as word:
                default = f"`{word}`"
            case Restarts(count=count):
                default = str(count)
            case float() as number:
                default = f"{number:.4g}"
            case other:
                default = str(other)
        yield search, option.name, default
