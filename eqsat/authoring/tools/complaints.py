"""What is wrong with a rule, as a line that an editor can jump to."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from typing_extensions import override

from eqsat.egglog.commands import Location
from eqsat.errors import RulesError

_PLACE: Final = re.compile(r"(?P<file>.*?):(?P<line>\d+):(?P<column>\d+): (?P<message>.*)", re.DOTALL)
_QUOTED: Final = re.compile(r"`(?P<rule>[a-z0-9]+(?:-[a-z0-9]+)*)`:? ")


@dataclass(frozen=True, slots=True, kw_only=True)
class Complaint:
    """Something about a rule.

    Attributes:
        location: Where.
        rule: Name of the rule; empty where it has none.
        reason: What is wrong and the way out, one line.
        is_error: True where the rule must not be used.
    """

    location: Location
    rule: str
    reason: str
    is_error: bool = True

    @override
    def __str__(self) -> str:
        subject = f"{self.rule}: " if self.rule else ""
        mark = "" if self.is_error else "warning: "
        return f"{self.location}: {subject}{mark}{self.reason}"

    def to_fields(self) -> Mapping[str, object]:
        """Return it as plain values, for JSON."""
        return {
            "file": self.location.file,
            "line": self.location.line,
            "column": self.location.column,
            "rule": self.rule,
            "reason": self.reason,
            "is_error": self.is_error,
        }


def complaint_of(error: RulesError, rule: str, fallback: Location) -> Complaint:
    """Return an error of the rules as a complaint.

    Args:
        error: The error; its message starts with ``file:line:column``.
        rule: The rule at hand; empty where none is known.
        fallback: Where the complaint goes where the message names no place.
    """
    match = _PLACE.fullmatch(str(error))
    if match is None:
        return Complaint(location=fallback, rule=rule, reason=str(error))
    location = Location(match["file"], int(match["line"]), int(match["column"]))
    message = match["message"]
    quoted = _QUOTED.match(message)
    if quoted and quoted["rule"] == rule:
        message = message[quoted.end() :]
    return Complaint(location=location, rule=rule, reason=message)
