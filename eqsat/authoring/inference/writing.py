"""Terms in the notation of rules files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from eqsat.authoring.inference.names import Names
from eqsat.authoring.inference.naming import literal_text
from eqsat.authoring.inference.operators import ROWS
from eqsat.authoring.inference.terms import Apply, Composed, Expression, FromBack, Leaf, Literal, Permuted, Slot, Term
from ir.operators import OPERATORS

if TYPE_CHECKING:
    from eqsat.authoring.inference.rows import Kind


def pattern(term: Term, names: Names, rank: int = 0) -> str:
    """Return a term as it stands in a rule.

    Args:
        term: The term.
        names: Names of leaves and slots.
        rank: Length of the permutations that are composed.
    """
    if isinstance(term, Leaf):
        return names.leaf(term.index)
    return applied(term, [pattern(operand, names, rank) for operand in term.operands], names, rank)


def applied(term: Apply, operands: Sequence[str], names: Names, rank: int = 0) -> str:
    """Return an operator applied to operands that are written already."""
    shown = attribute_texts(term, names, rank)
    row = OPERATORS[term.operator]
    if row.is_variadic:
        listed = "(Nil)"
        for operand in reversed(operands):
            listed = f"(Cons {operand} {listed})"
        return f"({' '.join([term.operator, listed, *shown])})"
    if row.is_multi:
        *own, index = shown
        return f"(Out ({' '.join([term.operator, *operands, *own])}) {index})"
    return f"({' '.join([term.operator, *operands, *shown])})"


def attribute_texts(term: Apply, names: Names, rank: int = 0) -> list[str]:
    """Return the attributes of an operator as they stand in a rule."""
    kinds = ROWS[term.operator].kinds
    return [_attribute(each, kind, names, rank) for each, kind in zip(term.attributes, kinds, strict=True)]


def _attribute(each: Expression, kind: Kind, names: Names, rank: int) -> str:
    match each:
        case Slot(index):
            return names.slot(index)
        case Literal(value):
            return literal_text(kind, value)
        case FromBack(leaf, offset):
            return f"(- (rank {names.leaf(leaf)}) {offset})"
        case Permuted(permutation, axis):
            return f"(vec-get {names.slot(permutation)} {names.slot(axis)})"
        case Composed(first, second):
            axes = (f"(vec-get {names.slot(second)} {axis})" for axis in range(rank))
            return f"(vec-of {' '.join(f'(vec-get {names.slot(first)} {axis})' for axis in axes)})"
