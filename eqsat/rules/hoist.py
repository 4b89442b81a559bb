"""Moves what a head computes or looks up into the body, where failing means no match."""

from __future__ import annotations

from collections.abc import Sequence

from eqsat.egglog.commands import Action, Call, Eq, Expr, Fact_, Let, Lit, Var
from eqsat.rules.signatures import PRIMITIVES, Role, Signatures
from eqsat.rules.terms import lets, map_action, subterms


def hoisted(
    body: Sequence[Fact_], head: Sequence[Action], signatures: Signatures
) -> tuple[tuple[Fact_, ...], tuple[Action, ...]]:
    """Return the rule with the largest terms of its head that may fail, and use body variables only, in the body.

    ``((union y (S2 b (* h d))))`` becomes ``((union y (S2 b made0_)))`` where ``(= made0_ (* h d))``. A ``let`` of
    such a term goes altogether.
    """
    hoister = _Hoister(signatures, frozenset(lets(head)))
    rest: list[Action] = []
    for action in head:
        if isinstance(action, Let) and hoister.is_movable(action.rhs):
            hoister.move_let(action)
        else:
            rest.append(map_action(action, hoister.term))
    return (*body, *hoister.facts), tuple(rest)


class _Hoister:
    def __init__(self, signatures: Signatures, bound: frozenset[str]) -> None:
        self._signatures = signatures
        self._bound = set(bound)
        self._moved: dict[str, Var] = {}
        self.facts: list[Fact_] = []

    def is_movable(self, term: Expr) -> bool:
        """Return whether a term is computed from variables of the body alone."""
        return all(
            isinstance(part, Lit)
            or (isinstance(part, Var) and part.name not in self._bound)
            or (isinstance(part, Call) and self._is_computed(part))
            for part in subterms(term)
        )

    def move_let(self, action: Let) -> None:
        """Move ``(let name term)``: the name is a variable of the body from now on."""
        self.facts.append(Eq(action.span, Var(action.span, action.lhs), action.rhs))
        self._bound.discard(action.lhs)

    def term(self, term: Expr) -> Expr:
        """Return ``term`` with a variable in place of every part that moves."""
        if not isinstance(term, Call):
            return term
        if self.is_movable(term) and any(self._may_fail(part) for part in subterms(term)):
            text = str(term)
            if text not in self._moved:
                made = Var(term.span, f"made{len(self._moved)}_")
                self._moved[text] = made
                self.facts.append(Eq(term.span, made, term))
            return self._moved[text]
        return Call(term.span, term.name, [self.term(argument) for argument in term.args])

    def _is_computed(self, term: Call) -> bool:
        if term.name in self._signatures.names:
            return self._signatures.is_role(term.name, Role.FUNCTION)
        return term.name in PRIMITIVES

    def _may_fail(self, term: Expr) -> bool:
        if not isinstance(term, Call):
            return False
        return term.name not in PRIMITIVES or not PRIMITIVES[term.name].is_total
