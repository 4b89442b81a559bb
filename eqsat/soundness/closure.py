"""The rules that take part when one rule is looked at: itself, and the facts that its left side asks for."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import TYPE_CHECKING

from eqsat.egraph.egglog import Call
from eqsat.rules import RuleKind
from eqsat.rules.terms import action_terms, body_terms, calls, head_terms

if TYPE_CHECKING:
    from eqsat.rules import Rule, RuleBook


def only(book: RuleBook, names: Collection[str]) -> RuleBook:
    """Return these rules and the facts that their left sides ask for, with the relations that they name.

    Args:
        book: All rules.
        names: Names of some of them.

    Raises:
        KeyError: There is no such rule.
    """
    wanted = set(names)
    missing = {called for name in wanted for called in calls(body_terms(book.rule(name).body))}
    facts = book.of_kind(RuleKind.FACTS)
    while more := [each for each in facts if each.name not in wanted and not missing.isdisjoint(asserted(each))]:
        wanted.update(each.name for each in more)
        missing.update(called for each in more for called in calls(body_terms(each.body)))
    rules = tuple(each for each in book.rules if each.name in wanted)
    called = {name for each in rules for name in (*calls(body_terms(each.body)), *calls(head_terms(each.head)))}
    return replace(book, rules=rules, declarations=tuple(each for each in book.declarations if each.name in called))


def asserted(rule: Rule) -> set[str]:
    """Return the relations that a rule adds to, and the functions that it sets."""
    return {term.name for action in rule.head for term in action_terms(action)[:1] if isinstance(term, Call)}


def companions(book: RuleBook, rule: Rule) -> tuple[str, ...]:
    """Return the rules that a rule does half of the work for: those that ask for a relation which it adds to itself.

    They are part of its meaning, as where a choice asserts ``(joined m x i ws)`` and another rule then finds every
    product.
    """
    if rule.kind is RuleKind.FACTS:
        return ()
    declared = {declaration.name for declaration in book.declarations}
    given = asserted(rule) & declared
    others = [each for each in book.rules if each.kind is not RuleKind.FACTS and each.name != rule.name]
    return tuple(each.name for each in others if not given.isdisjoint(calls(body_terms(each.body))))


def standing_free(rule: Rule) -> Rule:
    """Return the rule as a candidate, whatever its kind: its matches are listed then, and applied one by one."""
    return replace(rule, kind=RuleKind.OPT)
