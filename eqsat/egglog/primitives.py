"""What egglog's primitives give, worked out in Python: for right sides of rules, and for conditions on drawn values."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Final, TypeAlias

Attribute: TypeAlias = "int | float | str | bool | tuple[Attribute, ...]"
"""What a variable stands for that is no tensor: a number, a text, a truth, a vector, a shape or a record."""


class NoValueError(Exception):
    """A primitive fails: a condition does not hold, or there is no such element."""


def compute(name: str, arguments: Sequence[Attribute]) -> Attribute:
    """Return what a primitive gives; a condition that holds gives True.

    Raises:
        NoValueError: It fails.
    """
    try:
        result = _TABLE[name](*arguments)
    except (ArithmeticError, IndexError, ValueError) as error:
        raise NoValueError(f"{name}: {error}") from error
    if name in CONDITIONS and not result:
        raise NoValueError(name)
    if isinstance(result, float) and not math.isfinite(result):
        raise NoValueError(f"{name}: not finite")
    if isinstance(result, int) and not -(2**63) <= result < 2**63:
        raise NoValueError(f"{name}: overflow")
    return result


def inverted(name: str, arguments: Sequence[Attribute | None], result: Attribute) -> dict[int, Attribute]:
    """Return the arguments that a result decides, by position: a sum of two decides one from the other."""
    if name == "vec-of" and isinstance(result, tuple):
        if len(result) != len(arguments):
            raise NoValueError("another length")
        return dict(enumerate(result))
    if name not in _INVERSES or len(arguments) != 2 or not isinstance(result, int) or isinstance(result, bool):
        return {}
    one, two = arguments
    if isinstance(one, int) and two is None:
        return _inverse(_INVERSES[name][1], result, one, 1)
    if isinstance(two, int) and one is None:
        return _inverse(_INVERSES[name][0], result, two, 0)
    return {}


def _inverse(solve: Callable[[int, int], int | None], result: int, other: int, position: int) -> dict[int, Attribute]:
    found = solve(result, other)
    return {} if found is None else {position: found}


def _exact_quotient(product: int, factor: int) -> int | None:
    return product // factor if factor and product % factor == 0 else None


_INVERSES: Final[Mapping[str, tuple[Callable[[int, int], int | None], Callable[[int, int], int | None]]]] = {
    "+": (operator.sub, operator.sub),
    "-": (operator.add, lambda result, one: one - result),
    "*": (_exact_quotient, _exact_quotient),
}

CONDITIONS: Final = frozenset({"<", ">", "<=", ">=", "!=", "guard", "vec-contains", "vec-not-contains"})
"""Primitives that hold or fail."""


def _divide(one: float, two: float) -> float:
    if isinstance(one, int) and isinstance(two, int):
        quotient = abs(one) // abs(two)
        return quotient if (one < 0) == (two < 0) else -quotient
    return one / two


def _remainder(one: float, two: float) -> float:
    if isinstance(one, int) and isinstance(two, int):
        rest = abs(one) % abs(two)
        return -rest if one < 0 else rest
    return math.fmod(one, two)


def _element(vector: tuple[Attribute, ...], index: int) -> Attribute:
    return vector[_position(vector, index)]


def _position(vector: tuple[Attribute, ...], index: int) -> int:
    if not 0 <= index < len(vector):
        raise IndexError(index)
    return index


def _joined(*vectors: tuple[Attribute, ...]) -> tuple[Attribute, ...]:
    return tuple(element for vector in vectors for element in vector)


def _replaced(vector: tuple[Attribute, ...], index: int, value: Attribute) -> tuple[Attribute, ...]:
    _position(vector, index)
    return (*vector[:index], value, *vector[index + 1 :])


def _removed(vector: tuple[Attribute, ...], index: int) -> tuple[Attribute, ...]:
    _position(vector, index)
    return (*vector[:index], *vector[index + 1 :])


_TABLE: Final[Mapping[str, Callable[..., Attribute]]] = MappingProxyType(
    {
        "+": operator.add,
        "-": operator.sub,
        "*": operator.mul,
        "/": _divide,
        "%": _remainder,
        "min": min,
        "max": max,
        "abs": abs,
        "neg": operator.neg,
        "to-f64": float,
        "to-i64": int,
        **dict.fromkeys(("<", "bool-<"), operator.lt),
        **dict.fromkeys((">", "bool->"), operator.gt),
        **dict.fromkeys(("<=", "bool-<="), operator.le),
        **dict.fromkeys((">=", "bool->="), operator.ge),
        "bool-=": operator.eq,
        **dict.fromkeys(("!=", "bool-!="), operator.ne),
        "and": lambda one, two: one and two,
        "or": lambda *truths: any(truths),
        "not": operator.not_,
        "guard": bool,
        "vec-of": lambda *elements: tuple(elements),
        "vec-empty": tuple,
        "vec-append": _joined,
        "vec-push": lambda vector, element: (*vector, element),
        "vec-length": len,
        "vec-get": _element,
        "vec-set": _replaced,
        "vec-remove": _removed,
        "vec-pop": lambda vector: vector[:-1],
        "vec-contains": lambda vector, element: element in vector,
        "vec-not-contains": lambda vector, element: element not in vector,
    }
)

NAMES: Final = frozenset(_TABLE)
"""The primitives that are known here."""
