"""The comment above a rule, as keys and values.

::

    ; SOURCE    (A B)^T = B^T A^T
    ; REQUIRES  both of rank 2,
    ;           and neither an output of the graph
    ; FLOATS    reassociates

A key is a word in capitals right after ``; ``; its value goes on over the lines that are indented deeper. Any other
line is prose and ends the value before it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from eqsat.egglog.commands import Location
from eqsat.errors import RulesError
from eqsat.rules.text import Form

KEYS = frozenset({"SOURCE", "REQUIRES", "FLOATS", "GROUP", "TIER", "INSTANCE", "NEAR-MISS", "NOTE"})
REPEATED_KEYS = frozenset({"INSTANCE", "NEAR-MISS", "NOTE"})
"""Keys that may stand more than once."""

_KEY = re.compile(r" ?(?P<key>[A-Z][A-Z-]+)(?P<gap>\s+|:\s*|$)(?P<value>.*)")
_CONTINUATION = re.compile(r"\s{3,}(?P<value>\S.*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One key of a header with its value, on one line."""

    key: str
    value: str
    location: Location


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """All keys above one form."""

    entries: tuple[Entry, ...]

    def lines(self, key: str) -> tuple[str, ...]:
        """Return every value of ``key``."""
        return tuple(entry.value for entry in self.entries if entry.key == key)

    def text(self, key: str) -> str:
        """Return the value of a key that stands once, empty where it is missing."""
        return next(iter(self.lines(key)), "")

    def place(self, key: str) -> Location | None:
        """Return where ``key`` stands."""
        return next((entry.location for entry in self.entries if entry.key == key), None)


def read_header(form: Form) -> Header:
    """Return the header of a form.

    Raises:
        RulesError: A key is unknown, empty, or stands twice.
    """
    entries: list[Entry] = []
    is_open = False
    for location, line in form.header:
        match = _KEY.fullmatch(line)
        continuation = _CONTINUATION.fullmatch(line)
        if match and _is_key(match):
            entries.append(_entry(match["key"], match["value"].strip(), location))
            is_open = True
        elif continuation and is_open:
            last = entries[-1]
            value = f"{last.value} {continuation['value'].strip()}".strip()
            entries[-1] = Entry(key=last.key, value=value, location=last.location)
        else:
            is_open = False
    seen: set[str] = set()
    for entry in entries:
        if not entry.value:
            raise RulesError(f"{entry.location}: `{entry.key}` says nothing")
        if entry.key in seen and entry.key not in REPEATED_KEYS:
            raise RulesError(f"{entry.location}: `{entry.key}` stands here for the second time")
        seen.add(entry.key)
    return Header(entries=tuple(entries))


def _is_key(match: re.Match[str]) -> bool:
    """Tell a key from prose that starts with a word in capitals: a known key, or one set apart by two spaces."""
    return match["key"] in KEYS or match["gap"].startswith(":") or len(match["gap"]) > 1


def _entry(key: str, value: str, location: Location) -> Entry:
    if key not in KEYS:
        raise RulesError(f"{location}: `{key}` is no key; the keys are: {', '.join(sorted(KEYS))}")
    return Entry(key=key, value=value, location=location)
