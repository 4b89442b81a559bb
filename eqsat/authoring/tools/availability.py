"""Whether a rule can take part on a model at all: what keeps it out before any pattern is looked for."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from eqsat.authoring.tools.schema import schema_commands
from eqsat.rules.rule import RuleKind
from eqsat.rules.signatures import PRIMITIVES, Signatures
from eqsat.rules.terms import body_terms, calls, head_terms
from ir.availability import available_operators
from ir.operators import OPERATORS

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence
    from collections.abc import Set as AbstractSet

    from eqsat.rules.book import RuleBook
    from eqsat.rules.rule import Rule


def selected(book: RuleBook, opset: int, *, enable: Collection[str] = ()) -> RuleBook:
    """Return the rules that take part in a plain run on a model, ONNX Runtime's own operators allowed.

    Args:
        book: Every rule there is.
        opset: Version of the model's default domain.
        enable: Rules to switch on that are off by themselves.
    """
    available = available_operators(opset, has_provider_operators=True)
    return book.select(enable=enable, available_operators=available)


def obstacle(book: RuleBook, rule: Rule, operators: AbstractSet[str], opset: int) -> str:
    """Return why a rule takes no part in a plain run on a model, as one sentence; empty where it does.

    Args:
        book: Every rule there is.
        rule: The rule.
        operators: Operators of the model.
        opset: Version of the default domain.
    """
    taking_part = selected(book, opset)
    dropped = taking_part.dropped.get(rule.name)
    if dropped is not None:
        return dropped.way_out(rule.entry, opset)
    return missing(taking_part.rules, rule, operators)


def missing(rules: Iterable[Rule], rule: Rule, operators: AbstractSet[str]) -> str:
    """Return what a rule asks for that neither a model nor any rule can give; empty where there is nothing.

    Args:
        rules: The rules that take part.
        rule: One of them.
        operators: Operators of the model.
    """
    everything = list(rules)
    there = reachable(everything, operators)
    chain: list[str] = []
    seen = {rule.name}
    while True:
        lacking = [name for name in asked(rule) if name not in there]
        if not lacking:
            return ""
        name = lacking[0]
        if name in OPERATORS:
            return f"{''.join(chain)}the model has no {name}, and no rule that takes part makes one"
        makers = [each for each in everything if name in given(each) and each.name not in seen]
        if not makers:
            return f"{''.join(chain)}nothing can say `{name}`"
        rule = min(makers, key=lambda each: len([name for name in asked(each) if name not in there]))
        seen.add(rule.name)
        chain.append(f"`{name}` is said by {rule.name}, and ")


def needed_first(rules: Sequence[Rule], rule: Rule, operators: AbstractSet[str]) -> tuple[str, ...]:
    """Return the candidates that must be applied to a model before a rule can match; none where it needs none.

    Args:
        rules: The rules that take part.
        rule: One of them.
        operators: Operators of the model.
    """
    possible = reachable(rules, operators)
    everything = [each for each in rules if possible.issuperset(asked(each))]
    there = reachable([each for each in everything if each.kind is not RuleKind.OPT], operators)
    found: dict[str, None] = {}
    todo, seen = [rule], {rule.name}
    while todo:
        lacking = {name for name in asked(todo.pop()) if name not in there}
        for each in everything:
            if each.name not in seen and not lacking.isdisjoint(given(each)):
                seen.add(each.name)
                if each.kind is RuleKind.OPT:
                    found[each.name] = None
                else:
                    todo.append(each)
    return tuple(found)


def reachable(rules: Iterable[Rule], operators: AbstractSet[str]) -> set[str]:
    """Return the operators and facts that can be in an e-graph which starts with some operators."""
    there = set(operators)
    todo = list(rules)
    while True:
        waiting = [rule for rule in todo if not there.issuperset(asked(rule))]
        if len(waiting) == len(todo):
            return there
        still = {rule.name for rule in waiting}
        there.update(*(given(rule) for rule in todo if rule.name not in still))
        todo = waiting


def asked(rule: Rule) -> list[str]:
    """Return the operators, and the facts of the rules files, that a rule asks for."""
    return [name for name in calls(body_terms(rule.body)) if _is_limited(name)]


def given(rule: Rule) -> set[str]:
    """Return the operators and facts that a rule makes."""
    return {name for name in calls(head_terms(rule.head)) if _is_limited(name)}


@cache
def _always() -> frozenset[str]:
    """What can be in any e-graph: leaves, lists, shapes and facts of the schema, and what primitives compute."""
    return frozenset(Signatures.of(schema_commands()).names.keys() - OPERATORS.keys()) | PRIMITIVES.keys()


def _is_limited(name: str) -> bool:
    return name not in _always()
