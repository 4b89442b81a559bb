"""Packages that only some parts need: a message that says how to get them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Final

from eqsat.errors import UsageError

_LEARNING: Final = ("torch", "torch_geometric", "gymnasium", "safetensors", "plotly")
"""What the extra ``learn`` brings."""

_INSTALL: Final = 'pip install "eqsat[learn]"'


class MissingExtraError(UsageError):
    """A package is missing that an extra brings."""


@contextmanager
def learning(what: str) -> Iterator[None]:
    """Import inside what only learning needs.

    Args:
        what: Needs it, for the message.

    Raises:
        MissingExtraError: It is not installed, or is broken.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in _LEARNING:
            raise
        raise MissingExtraError(f"{what} needs {package}: {_INSTALL}") from error
    except ImportError as error:
        if (error.name or "").partition(".")[0] not in {"", *_LEARNING}:
            raise
        raise MissingExtraError(f"{what} needs what is broken here ({error}); install it anew: {_INSTALL}") from error


def require_learning(what: str) -> None:
    """Check that all that learning needs is installed; nothing is imported, so that nothing takes time.

    Args:
        what: Needs it, for the message.

    Raises:
        MissingExtraError: Something is not installed.
    """
    for package in _LEARNING:
        if not _is_installed(package):
            raise MissingExtraError(f"{what} needs {package}: {_INSTALL}")


def _is_installed(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except (ImportError, ValueError):
        return False
