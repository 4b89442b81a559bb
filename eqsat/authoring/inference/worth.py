"""Which laws are worth a rule."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from eqsat.authoring.inference.choices import WRITTEN_OUT
from eqsat.authoring.inference.conditions import RankIs
from eqsat.authoring.inference.operators import ROWS
from eqsat.authoring.inference.terms import Leaf, applications, leaves, size

if TYPE_CHECKING:
    from eqsat.authoring.inference.law import Law
    from eqsat.authoring.inference.terms import Term

MIN_SHARE: Final = 0.07
"""Share of the instances of its left side at which a law of three operators or more must hold."""


def is_worth_it(law: Law) -> bool:
    """Return whether a law is more than a curiosity that saves nothing.

    A law of three operators that hardly ever applies is one. Of the others those are worth it whose one side is
    smaller. Where both are of one size, a law of three operators about one certain attribute is a curiosity, and so is
    what follows from a product of vectors being a number.
    """
    if size(law.left) > 2 and law.share < MIN_SHARE:
        return False
    if size(law.right) < size(law.left):
        return True
    vectors = {each.leaf for each in law.conditions if isinstance(each, RankIs) and each.rank == 1}
    multiplied = {leaf for each in applications(law.left) if ROWS[each.operator].is_product for leaf in leaves(each)}
    is_special = size(law.left) > 2 and any(isinstance(each, WRITTEN_OUT) for each in law.conditions)
    return not is_special and vectors.isdisjoint(multiplied)


def is_case_of(law: Law, other: Law) -> bool:
    """Return whether a law is another one with some leaves made equal: then only its conditions are its own."""
    if len(law.numbers) >= len(other.numbers):
        return False
    found: dict[int, int] = {}
    return _fits(other.left, law.left, found) and _fits(other.right, law.right, found)


def _fits(pattern: Term, term: Term, found: dict[int, int]) -> bool:
    if isinstance(pattern, Leaf):
        return isinstance(term, Leaf) and found.setdefault(pattern.index, term.index) == term.index
    if isinstance(term, Leaf) or pattern.operator != term.operator or len(pattern.operands) != len(term.operands):
        return False
    return all(_fits(one, two, found) for one, two in zip(pattern.operands, term.operands, strict=True))
