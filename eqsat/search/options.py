"""Options of searches: fields of their dataclasses, given as text."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import Field, dataclass, field, fields, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, TypeVar

from eqsat.errors import UsageError
from eqsat.text.suggest import did_you_mean

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T")
S = TypeVar("S", bound="DataclassInstance")

_KEY: Final = "option"


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """An option of a search.

    Attributes:
        name: What a user writes.
        at_least: Least number.
        at_most: Largest number.
        parse: Reads it from text; None for a whole number, a number or a word, as the field's default is.
    """

    name: str
    at_least: float = -math.inf
    at_most: float = math.inf
    parse: Callable[[str], object] | None = None

    def read(self, text: str, default: object) -> object:
        """Return the value that a text stands for.

        Raises:
            UsageError: It stands for none.
        """
        if self.parse is not None:
            return self.parse(text)
        if isinstance(default, StrEnum):
            return self._word(text, type(default))
        return self._whole(text) if isinstance(default, int) else self._number(text)

    def _word(self, text: str, kind: type[StrEnum]) -> StrEnum:
        if text not in set(kind):
            near = did_you_mean(text, kind)
            raise UsageError(f"option {self.name!r} must be one of {', '.join(kind)}, not {text!r}{near}")
        return kind(text)

    def _whole(self, text: str) -> int:
        if not text.isdecimal() or int(text) < self.at_least:
            least = "above 0" if self.at_least == 1 else f"from {self.at_least:g}"
            raise UsageError(f"option {self.name!r} must be a number {least}, not {text!r}")
        return int(text)

    def _number(self, text: str) -> float:
        try:
            number = float(text)
        except ValueError as error:
            raise UsageError(f"option {self.name!r} must be a number, not {text!r}") from error
        if not self.at_least <= number <= self.at_most or math.isinf(number):
            most = "" if math.isinf(self.at_most) else f" to {self.at_most:g}"
            raise UsageError(f"option {self.name!r} must be a number from {self.at_least:g}{most}, not {text!r}")
        return number


def option(
    default: T,
    name: str,
    *,
    at_least: float = -math.inf,
    at_most: float = math.inf,
    parse: Callable[[str], T] | None = None,
) -> T:
    """Return a field of a search's dataclass that a user may set; see :class:`Option`."""
    found = Option(name=name, at_least=at_least, at_most=at_most, parse=parse)
    return field(default=default, metadata={_KEY: found})


def options_of(kind: type[DataclassInstance]) -> list[tuple[Field[Any], Option]]:
    """Return the fields of a dataclass that a user may set, and what is said of each."""
    return [(each, each.metadata[_KEY]) for each in fields(kind) if _KEY in each.metadata]


def option_names(kind: type[DataclassInstance]) -> tuple[str, ...]:
    """Return the names of the options of a dataclass, in the order of its fields."""
    return tuple(found.name for _, found in options_of(kind))


def check_options(search: str, options: Iterable[str], known: Iterable[str]) -> None:
    """Refuse options that a search does not have.

    Args:
        search: Its name.
        options: Names that were given.
        known: Names that it has.

    Raises:
        UsageError: There is no such option.
    """
    names = sorted(known)
    for name in options:
        if name not in names:
            near = did_you_mean(name, names)
            raise UsageError(f"search {search!r} has no option {name!r} (it has: {', '.join(names)}){near}")


def with_options(default: S, options: Mapping[str, str]) -> S:
    """Return a dataclass with what was given in place of its defaults; options of others are passed over.

    Raises:
        UsageError: A text stands for no value of its option.
    """
    values: dict[str, Any] = {
        each.name: found.read(options[found.name], getattr(default, each.name))
        for each, found in options_of(type(default))
        if found.name in options
    }
    return replace(default, **values)
