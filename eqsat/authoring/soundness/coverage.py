"""What instances have not shown: inputs of the left side that may be missing, and were in every instance."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from eqsat.egglog.commands import Call, Eq, Var
from eqsat.rules.instances import Apply
from eqsat.rules.terms import body_terms
from ir.operators import OPERATORS

if TYPE_CHECKING:
    from eqsat.rules import Rule
    from eqsat.rules.instances import Drawn, Term


def never_given(rule: Rule, instances: Iterable[Drawn]) -> str:
    """Return an input that the left side leaves open and no instance has; empty where there is none.

    Args:
        rule: The rule.
        instances: Where both sides were found equal.
    """
    missing = {str(variable.name) for variable in _absent(rule)}
    wanted = {
        (term.name, position): f"`{argument.name}` of {term.name}"
        for term in body_terms(rule.body)
        if isinstance(term, Call) and term.name in OPERATORS and not OPERATORS[term.name].is_variadic
        for position, argument in enumerate(term.args[: OPERATORS[term.name].num_inputs])
        if position >= OPERATORS[term.name].num_required and isinstance(argument, Var) and argument.name not in missing
    }
    for drawn in instances:
        if not wanted:
            break
        for term in (*drawn.lets.values(), *drawn.roots):
            for node in _nodes(term):
                for position, argument in enumerate(node.arguments):
                    if argument != _ABSENT:
                        wanted.pop((node.name, position), None)
    return next(iter(wanted.values()), "")


def _absent(rule: Rule) -> Iterator[Var]:
    """Variables that the rule itself says are missing inputs."""
    for fact in rule.body:
        if isinstance(fact, Eq):
            for one, two in ((fact.left, fact.right), (fact.right, fact.left)):
                if isinstance(one, Var) and isinstance(two, Call) and two.name == "Absent":
                    yield one


def _nodes(term: Term) -> Iterator[Apply]:
    if isinstance(term, Apply):
        yield term
        for argument in term.arguments:
            yield from _nodes(argument)


_ABSENT = Apply("Absent", ())
