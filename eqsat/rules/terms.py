"""Walks over egglog terms."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from eqsat.egglog.commands import (
    Action,
    Call,
    Change,
    Eq,
    Expr,
    Expr_,
    Fact,
    Fact_,
    Let,
    Location,
    Panic,
    Set,
    Span,
    Union,
    Var,
    location_of,
)


def fact_terms(fact: Fact_) -> tuple[Expr, ...]:
    """Return the terms of a fact: two for an equality, one else."""
    return (fact.left, fact.right) if isinstance(fact, Eq) else (fact.expr,)


def action_terms(action: Action) -> tuple[Expr, ...]:
    """Return the terms of an action; the place a ``set`` writes to counts as a call."""
    match action:
        case Let():
            return (action.rhs,)
        case Set():
            return (Call(action.span, action.lhs, action.args), action.rhs)
        case Union():
            return (action.lhs, action.rhs)
        case Expr_():
            return (action.expr,)
        case Change():
            return (Call(action.span, action.sym, action.args),)
        case Panic():
            return ()


def map_action(action: Action, change: Callable[[Expr], Expr]) -> Action:
    """Return the action with ``change`` applied to each of its terms."""
    match action:
        case Let():
            return Let(action.span, action.lhs, change(action.rhs))
        case Set():
            return Set(action.span, action.lhs, [change(term) for term in action.args], change(action.rhs))
        case Union():
            return Union(action.span, change(action.lhs), change(action.rhs))
        case Expr_():
            return Expr_(action.span, change(action.expr))
        case Change():
            return Change(action.span, action.change, action.sym, [change(term) for term in action.args])
        case Panic():
            return action


def subterms(term: Expr) -> Iterator[Expr]:
    """Yield ``term`` and everything inside it, outside first."""
    yield term
    if isinstance(term, Call):
        for argument in term.args:
            yield from subterms(argument)


def body_terms(body: Iterable[Fact_]) -> Iterator[Expr]:
    """Yield every term of a rule's body, outside first."""
    for fact in body:
        for term in fact_terms(fact):
            yield from subterms(term)


def head_terms(head: Iterable[Action]) -> Iterator[Expr]:
    """Yield every term of a rule's head, outside first."""
    for action in head:
        for term in action_terms(action):
            yield from subterms(term)


def variables(terms: Iterable[Expr]) -> dict[str, Var]:
    """Return the variables among ``terms`` in order, each with its first occurrence."""
    found: dict[str, Var] = {}
    for term in terms:
        if isinstance(term, Var):
            found.setdefault(term.name, term)
    return found


def calls(terms: Iterable[Expr]) -> dict[str, Call]:
    """Return the names called among ``terms`` in order, each with its first call."""
    found: dict[str, Call] = {}
    for term in terms:
        if isinstance(term, Call):
            found.setdefault(term.name, term)
    return found


def lets(head: Iterable[Action]) -> tuple[str, ...]:
    """Return the names that a head binds."""
    return tuple(action.lhs for action in head if isinstance(action, Let))


def span_of(term: Expr | Fact_ | Action) -> Span:
    """Return where ``term`` comes from, in egglog's words."""
    return term.expr.span if isinstance(term, Fact) else term.span


def place(term: Expr | Fact_ | Action, fallback: Location) -> Location:
    """Return where ``term`` stands, ``fallback`` where it comes from no file."""
    return location_of(span_of(term)) or fallback
