"""Sets of element types, tested by arithmetic instead of a join.

A relation such as ``floating-type`` holds a few of ONNX's numbers, and thousands of tensors have each of them. Joined
with ``(dtype x)``, egglog may start from the type and walk over every tensor that has it, in every iteration. So where
a relation is known to hold certain numbers and nothing else, ``(floating-type (dtype x))`` becomes a test of one bit::

    (= 1 (& (>> 68610 (dtype x)) 1))

The relation itself stays as its rules make it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from eqsat.egglog.commands import Call, Eq, Expr, Expr_, Fact, Fact_, Int, Lit, Var, call, int_lit

if TYPE_CHECKING:
    from eqsat.rules.rule import Rule

_MAX_NUMBER: Final = 62
"""Largest number that has a bit in an ``i64`` without its sign."""


def type_sets(rules: Iterable[Rule], relations: Iterable[str]) -> dict[str, int]:
    """Return the relations that hold certain element types and nothing else, each with the mask of its numbers.

    Args:
        rules: All rules of the program.
        relations: Names of the relations that take one ``i64``.
    """
    masks = dict.fromkeys(relations, 0)
    for rule in rules:
        for action in rule.head:
            name = action.expr.name if isinstance(action, Expr_) and isinstance(action.expr, Call) else ""
            if name not in masks:
                continue
            number = _asserted(rule, name)
            if number is None:
                del masks[name]
            else:
                masks[name] |= 1 << number
    return {name: mask for name, mask in masks.items() if mask}


def _asserted(rule: Rule, name: str) -> int | None:
    """The number of a rule ``(rule ((= (dtype x) number)) ((name number)))``; None for any other rule."""
    match rule.body, rule.head:
        case (
            (Eq(left=Call(name="dtype", args=[Var()]), right=required),)
            | (Eq(left=required, right=Call(name="dtype", args=[Var()])),),
            (Expr_(expr=Call(name=called, args=[given])),),
        ) if called == name:
            number = _number(given)
            is_known = number is not None and number == _number(required) and 0 <= number <= _MAX_NUMBER
            return number if is_known else None
        case _:
            return None


def _number(term: Expr) -> int | None:
    match term:
        case Lit(value=Int(value=int(number))):
            return number
        case _:
            return None


def with_type_sets(body: Sequence[Fact_], masks: Mapping[str, int]) -> tuple[Fact_, ...]:
    """Return ``body`` with arithmetic in place of ``(relation (dtype x))``, for the relations that have a mask."""
    return tuple(_tested(fact, masks) for fact in body)


def _tested(fact: Fact_, masks: Mapping[str, int]) -> Fact_:
    match fact:
        case Fact(expr=Call(name=name, args=[Call(name="dtype") as argument])) if name in masks:
            shifted = call(">>", int_lit(masks[name]), argument)
            return Eq(fact.expr.span, int_lit(1), call("&", shifted, int_lit(1)))
        case _:
            return fact
