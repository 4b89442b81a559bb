"""What somebody may have meant who wrote a name that nobody has."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Final

_MOST: Final = 3
_ALIKE: Final = 0.6
"""Share of the letters that must agree."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return the end of a message about a name that nobody has: ``; did you mean 'relu'?``, or nothing.

    Args:
        word: What was written.
        known: The names that there are.
    """
    by_letters: dict[str, str] = {}
    for name in known:
        by_letters.setdefault(name.lower(), str(name))
    close = difflib.get_close_matches(word.lower(), by_letters, n=_MOST, cutoff=_ALIKE)
    if not close:
        return ""
    *others, last = (repr(by_letters[letters]) for letters in close)
    return f"; did you mean {', '.join(others)}{' or ' if others else ''}{last}?"
