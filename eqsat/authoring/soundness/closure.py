"""The rules that take part when one rule is looked at: itself, and the facts that its left side asks for."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, final

from typing_extensions import override

from eqsat.egglog.commands import Call
from eqsat.rules import RuleKind
from eqsat.rules.terms import action_terms, body_terms, calls, head_terms

if TYPE_CHECKING:
    from eqsat.egglog.commands import Expr
    from eqsat.rules import Rule, RuleBook


def only(book: RuleBook, names: Collection[str]) -> RuleBook:
    """Return these rules and the facts that their left sides ask for, with the relations that they name.

    Args:
        book: All rules.
        names: Names of some of them.

    Raises:
        KeyError: There is no such rule.
    """
    index = _index(_Same(book))
    wanted = set(names)
    todo = list(names)
    while todo:
        for called in index.asked[todo.pop()]:
            more = index.givers[called] - wanted if called in index.givers else set()
            wanted |= more
            todo += more
    rules = tuple(each for each in book.rules if each.name in wanted)
    named = {called for each in rules for called in (*index.asked[each.name], *index.made[each.name])}
    return replace(book, rules=rules, declarations=tuple(each for each in book.declarations if each.name in named))


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
    index = _index(_Same(book))
    given = asserted(rule) & index.declared
    found = {name for relation in given for name in index.users.get(relation, ()) if name != rule.name}
    return tuple(each.name for each in book.rules if each.name in found)


def standing_free(rule: Rule) -> Rule:
    """Return the rule as a candidate, whatever its kind: its matches are listed then, and applied one by one."""
    return replace(rule, kind=RuleKind.OPT)


@final
class _Index:
    """What the rules of a book ask for and give.

    Attributes:
        asked: For each rule what its left side calls.
        made: For each rule what its right side calls.
        givers: For each relation the rules of facts that add to it.
        users: For each relation the other rules that ask for it.
        declared: The relations that the files declare.
    """

    def __init__(self, book: RuleBook) -> None:
        self.asked = {rule.name: _called(body_terms(rule.body)) for rule in book.rules}
        self.made = {rule.name: _called(head_terms(rule.head)) for rule in book.rules}
        self.givers: defaultdict[str, set[str]] = defaultdict(set)
        self.users: defaultdict[str, set[str]] = defaultdict(set)
        self.declared = {declaration.name for declaration in book.declarations}
        for rule in book.rules:
            is_fact = rule.kind is RuleKind.FACTS
            for name in asserted(rule) if is_fact else self.asked[rule.name]:
                (self.givers if is_fact else self.users)[name].add(rule.name)


def _called(terms: Iterable[Expr]) -> frozenset[str]:
    return frozenset(calls(terms))


@final
class _Same:
    """A book as a key: the very same object, as comparing all its rules would take longer than what is kept."""

    def __init__(self, book: RuleBook) -> None:
        self.book = book

    @override
    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and other.book is self.book

    @override
    def __hash__(self) -> int:
        return id(self.book)


@lru_cache(maxsize=16)
def _index(same: _Same) -> _Index:
    return _Index(same.book)
