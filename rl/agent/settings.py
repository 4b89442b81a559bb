"""Dataclasses filled in from tables of TOML or JSON, key by key."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

from eqsat.errors import UsageError
from eqsat.text.suggest import did_you_mean

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

_Table = TypeVar("_Table", bound="DataclassInstance")


def filled(defaults: _Table, table: Mapping[str, Any], place: str) -> _Table:
    """Return settings with the values of a table in place of their defaults.

    Args:
        defaults: A dataclass; its fields may be such.
        table: Value by name.
        place: Where the table comes from, for messages.

    Raises:
        UsageError: See :func:`read_config`.
    """
    names = [each.name for each in fields(defaults)]
    values: dict[str, Any] = {}
    for name, value in table.items():
        here = f"{place}: {name}"
        if name not in names:
            raise UsageError(
                f"{here}: there is no such setting (there are: {', '.join(names)}){did_you_mean(name, names)}"
            )
        default = getattr(defaults, name)
        if not is_dataclass(default) or isinstance(default, type):
            values[name] = _value(default, value, here)
        elif isinstance(value, Mapping):
            values[name] = filled(default, value, here)
        else:
            raise UsageError(f"{here}: {value!r} is no table")
    try:
        return replace(defaults, **values)
    except ValueError as error:
        raise UsageError(f"{place}: {error}") from error


def _value(default: object, value: Any, place: str) -> object:
    match default:
        case bool():
            is_right = isinstance(value, bool)
        case int():
            is_right = isinstance(value, int) and not isinstance(value, bool) and value >= 0
        case float():
            is_right = isinstance(value, (int, float)) and not isinstance(value, bool)
            value = float(value) if is_right else value
            is_right = is_right and not math.isnan(value)
        case tuple():
            is_right = isinstance(value, (list, tuple)) and all(isinstance(each, str) for each in value)
            value = tuple(value) if is_right else value
        case _:
            is_right = isinstance(value, type(default))
    if not is_right:
        raise UsageError(f"{place}: {value!r} is no {type(default).__name__}")
    checked: object = value
    return checked
