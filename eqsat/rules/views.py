"""Commutativity as a view: ``(Add~ a b y)`` holds where y is a + b, in either order.

A rewrite that swaps the arguments would double the e-graph at every addition, and writing each rule out for every
order doubles it at every addition of the rule. A view adds no e-node: one rule derives both rows from each ``Add``,
and bodies look there.

A call stays as it is where the other order would only find the same match again: where exchanging its two arguments
throughout the rule leaves the rule as it was.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet

from eqsat.egglog.commands import (
    SPAN,
    Action,
    Call,
    Command,
    Eq,
    Expr,
    Expr_,
    Fact,
    Fact_,
    Lit,
    Relation,
    Rule,
    RuleCommand,
    Var,
    call,
    var,
)
from eqsat.errors import RulesError
from eqsat.rules.rule import RuleKind
from eqsat.rules.signatures import Signatures
from eqsat.rules.terms import action_terms, body_terms, fact_terms


def view_name(operator: str) -> str:
    """Return the name of an operator's view."""
    return f"{operator}~"


def view_commands(operators: AbstractSet[str], signatures: Signatures) -> tuple[Command, ...]:
    """Return the declarations of the views of these operators, and the rules behind them.

    Args:
        operators: Commutative operators; those that are not declared, or have a view already, are left out.
        signatures: Everything declared.

    Raises:
        RulesError: The first two inputs of an operator are not of one sort.
    """
    commands: list[Command] = []
    for operator in sorted(operators & signatures.names.keys()):
        view = view_name(operator)
        if view in signatures.names:
            continue
        signature = signatures.names[operator]
        if len(signature.inputs) < 2 or signature.inputs[0] != signature.inputs[1]:
            raise RulesError(f"`{operator}` cannot be commutative: its first two inputs are not of one sort")
        first, second, *others = [var(f"x{position}") for position in range(len(signature.inputs))]
        result = var("y")
        body: list[Fact_] = [Eq(SPAN, result, call(operator, first, second, *others))]
        rows = [call(view, first, second, *others, result), call(view, second, first, *others, result)]
        commands += [
            Relation(SPAN, view, [*signature.inputs, signature.output]),
            RuleCommand(Rule(SPAN, [Expr_(SPAN, row) for row in rows], body, f"view-{operator}", RuleKind.FACTS)),
        ]
    return tuple(commands)


def with_views(body: Sequence[Fact_], head: Sequence[Action], operators: AbstractSet[str]) -> tuple[Fact_, ...]:
    """Return ``body`` with views in place of the calls of commutative operators.

    Args:
        body: What must hold.
        head: What follows; it decides which calls may stay.
        operators: The commutative operators that have a view.
    """
    rewriter = _Rewriter(operators, _plain_calls(body, head, operators))
    facts = [rewriter.fact(fact) for fact in body]
    return (*[fact for fact in facts if fact is not None], *rewriter.rows)


class _Rewriter:
    def __init__(self, operators: AbstractSet[str], plain: AbstractSet[str]) -> None:
        self._operators = operators
        self._plain = plain
        self._num_results = 0
        self.rows: list[Fact_] = []

    def fact(self, fact: Fact_) -> Fact_ | None:
        """Return the fact rewritten; None where the rows added say all of it."""
        if isinstance(fact, Fact):
            term = self._term(fact.expr)
            return None if isinstance(term, Var) else Fact(term)
        for name, term in ((fact.left, fact.right), (fact.right, fact.left)):
            if isinstance(name, Var) and isinstance(term, Call) and self._is_viewed(term):
                self._add_row(term, name)
                return None
        return Eq(fact.span, self._term(fact.left), self._term(fact.right))

    def _is_viewed(self, term: Call) -> bool:
        return term.name in self._operators and str(term) not in self._plain

    def _term(self, term: Expr) -> Expr:
        if not isinstance(term, Call):
            return term
        if not self._is_viewed(term):
            return Call(term.span, term.name, [self._term(argument) for argument in term.args])
        result = Var(term.span, f"view{self._num_results}_")
        self._num_results += 1
        self._add_row(term, result)
        return result

    def _add_row(self, term: Call, result: Var) -> None:
        arguments = [self._term(argument) for argument in term.args]
        self.rows.append(Fact(Call(term.span, view_name(term.name), [*arguments, result])))


def _plain_calls(body: Sequence[Fact_], head: Sequence[Action], operators: AbstractSet[str]) -> frozenset[str]:
    """Return the calls, as text, whose arguments can be exchanged throughout the rule without changing it."""
    plain: set[str] = set()
    exchanged: set[str] = set()
    found = _canonical_rule(body, head, operators, {})
    for term in body_terms(body):
        if not isinstance(term, Call) or term.name not in operators:
            continue
        first, second, *_ = term.args
        if not isinstance(first, Var) or not isinstance(second, Var):
            continue
        pair = {first.name: second.name, second.name: first.name}
        # Two exchanges that share a variable are not independent: at most one of their calls may stay.
        if not exchanged.isdisjoint(pair) and str(term) not in plain:
            continue
        if _canonical_rule(body, head, operators, pair) == found:
            plain.add(str(term))
            exchanged.update(pair)
    return frozenset(plain)


def _canonical_rule(
    body: Sequence[Fact_], head: Sequence[Action], operators: AbstractSet[str], renamed: Mapping[str, str]
) -> tuple[list[list[str]], list[list[str]]]:
    """Return a form that is the same for rules that differ in the order of facts and of commuting arguments only."""
    facts = [sorted(_canonical(term, operators, renamed) for term in fact_terms(fact)) for fact in body]
    actions = [[_canonical(term, operators, renamed) for term in action_terms(action)] for action in head]
    return sorted(facts), actions


def _canonical(term: Expr, operators: AbstractSet[str], renamed: Mapping[str, str]) -> str:
    match term:
        case Var():
            return renamed.get(term.name, term.name)
        case Lit():
            return str(term)
        case Call():
            arguments = [_canonical(argument, operators, renamed) for argument in term.args]
            if term.name in operators:
                arguments[:2] = sorted(arguments[:2])
            return f"({' '.join([term.name, *arguments])})"
