"""Which rules can ever match: the others cost time in every step and give nothing."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import replace
from typing import TYPE_CHECKING

from eqsat.egglog.commands import Call
from eqsat.rules.rule import RuleKind
from eqsat.rules.terms import action_terms, body_terms, calls, head_terms
from ir.operators import OPERATORS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from eqsat.rules.book import RuleBook
    from eqsat.rules.rule import Rule


def relevant(book: RuleBook, operators: AbstractSet[str]) -> RuleBook:
    """Return the rules that may match in an e-graph that starts with these operators.

    A rule may match once everything that its body names can be there: an operator because the model has it or a rule
    that may match makes it, a relation because such a rule adds to it. A rule of facts that no such rule asks for takes
    no part either.

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
    rules = _wanted([rule for rule in book.rules if rule.name in kept], {each.name for each in book.declarations})
    used = {name for rule in rules for name in (*calls(body_terms(rule.body)), *calls(head_terms(rule.head)))}
    declarations = tuple(declaration for declaration in book.declarations if declaration.name in used)
    return replace(book, rules=rules, declarations=declarations)


def _wanted(rules: Iterable[Rule], declared: AbstractSet[str]) -> tuple[Rule, ...]:
    """Leave out the rules of facts that add only to relations which nothing asks for.

    Args:
        rules: The rules.
        declared: Relations and functions of the rules files. What the schema declares is always asked for.
    """
    gives = {rule.name: _asserted(rule) for rule in rules}
    asks = {rule.name: calls(body_terms(rule.body)).keys() & declared for rule in rules}
    wanted = {rule.name for rule in rules if rule.kind is not RuleKind.FACTS or not gives[rule.name] <= declared}
    asked = {name for rule in wanted for name in asks[rule]}
    while found := {name for name, given in gives.items() if name not in wanted and not given.isdisjoint(asked)}:
        wanted |= found
        asked.update(name for rule in found for name in asks[rule])
    return tuple(rule for rule in rules if rule.name in wanted)


def _asserted(rule: Rule) -> set[str]:
    """Return the relations that a rule adds to, and the functions that it sets."""
    return {term.name for action in rule.head for term in action_terms(action)[:1] if isinstance(term, Call)}
