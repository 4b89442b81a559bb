"""Which rules can ever match: the others cost time in every step and give nothing."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import replace
from typing import TYPE_CHECKING

from eqsat.rules.terms import body_terms, calls, head_terms
from ir.operators import OPERATORS

if TYPE_CHECKING:
    from eqsat.rules.book import RuleBook


def relevant(book: RuleBook, operators: AbstractSet[str]) -> RuleBook:
    """Return the rules that may match in an e-graph that starts with these operators.

    A rule may match once everything that its body names can be there: an operator because the model has it or a rule
    that may match makes it, a relation because such a rule adds to it.

    Args:
        book: The rules.
        operators: Operators of the model.
    """
    limited = OPERATORS.keys() | {declaration.name for declaration in book.declarations}
    needs = {rule.name: calls(body_terms(rule.body)).keys() & limited for rule in book.rules}
    gives = {rule.name: calls(head_terms(rule.head)).keys() & limited for rule in book.rules}
    there = set(operators)
    kept: set[str] = set()
    is_growing = True
    while is_growing:
        found = {name for name, needed in needs.items() if name not in kept and needed <= there}
        is_growing = bool(found)
        kept |= found
        there.update(*(gives[name] for name in found))
    rules = tuple(rule for rule in book.rules if rule.name in kept)
    used = {name for rule in rules for name in (*calls(body_terms(rule.body)), *calls(head_terms(rule.head)))}
    declarations = tuple(declaration for declaration in book.declarations if declaration.name in used)
    return replace(book, rules=rules, declarations=declarations)
