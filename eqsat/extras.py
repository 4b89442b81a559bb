"""Packages that only some parts need: a message that says how to get them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from eqsat.errors import UsageError

_LEARNING: Final = frozenset({"torch", "torch_geometric", "gymnasium", "safetensors", "plotly"})
"""What the extra ``learn`` brings."""


class MissingExtraError(UsageError):
    """A package is missing that an extra brings."""


@contextmanager
def learning(what: str) -> Iterator[None]:
    """Import inside what only learning needs.

    Args:
        what: Needs it, for the message.

    Raises:
        MissingExtraError: It is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in _LEARNING:
            raise
        raise MissingExtraError(f'{what} needs {package}: pip install "eqsat[learn]"') from error
