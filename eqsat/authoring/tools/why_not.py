"""Why a rule does not match a model: the closest partial match, and what is missing there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, final

from eqsat.authoring.tools.availability import missing, obstacle
from eqsat.authoring.tools.closest import Placed, closest
from eqsat.authoring.tools.explain import Explainer
from eqsat.authoring.tools.naming import Names
from eqsat.authoring.tools.pattern import Bindings, Demand, Holds, Lookup, Node, demands, laid_on, value_of
from eqsat.authoring.tools.schema import signatures_of
from eqsat.authoring.tools.tables import Tables
from eqsat.egglog.commands import Call, Lit, Set, Union, Var
from eqsat.egraph.session import Session
from eqsat.errors import UsageError
from eqsat.rules.rule import ROOT, Rule, RuleKind
from eqsat.rules.sorts import infer_sorts
from eqsat.rules.terms import action_terms, calls, head_terms

if TYPE_CHECKING:
    from eqsat.egraph.view import Candidate
    from eqsat.rules.book import RuleBook
    from eqsat.rules.signatures import Signatures
    from ir.graph import Graph

MAX_DEPTH: Final = 3
"""Rules behind rules that an explanation goes back to."""

MAX_MATCHES: Final = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A place in the model at which a rule nearly matches.

    Attributes:
        node: The node at which the result would be.
        values: What the rule's variables stand for there.
        missing: What is missing, one sentence each, the first reason first; what follows from deeper rules is indented.
        num_met: Demands of the rule that are met.
        num_demands: All of them.
    """

    node: str
    values: Mapping[str, str]
    missing: tuple[str, ...]
    num_met: int
    num_demands: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WhyNot:
    """What was found.

    Attributes:
        rule: Name of the rule.
        obstacle: Why the rule takes no part whatever the model looks like; empty where it does.
        matches: Nodes at which it does match.
        idle: Those of them at which it would change nothing.
        places: Where it nearly matches, the closest first; empty where it matches.
    """

    rule: str
    obstacle: str
    matches: tuple[str, ...]
    idle: tuple[str, ...]
    places: tuple[Place, ...]


def why_not(
    book: RuleBook,
    name: str,
    graph: Graph,
    *,
    node: str = "",
    after: Sequence[str] = (),
    max_places: int = 3,
) -> WhyNot:
    """Look for a rule in a model.

    Args:
        book: Every rule there is.
        name: The rule.
        graph: The model.
        node: A node or value at which the rule is expected; empty for anywhere.
        after: Rules and groups to apply first, wherever they match.
        max_places: Partial matches to return at most.

    Raises:
        UsageError: There is no such node.
        RulesError: The rules are broken.
    """
    rule = book.rule(name)
    signatures = signatures_of(book)
    operators = {each.operator for each in graph.nodes if each.operator}
    hindrance = obstacle(book, rule, operators, graph.opset)
    session = _session(book, rule, graph, after)
    looker = _Looker(book, session, signatures, has_facts=not missing(book.rules, rule, operators))
    start: dict[str, int] = {}
    root = _root(rule)
    if node:
        handle = looker.names.handle_of(node)
        if handle is None:
            raise UsageError(f"the model has no node or value `{node}`")
        start[root] = handle
    found = looker.closest(rule, start, max_places=MAX_MATCHES)
    if found and not found[0].num_unmet:
        shown = [looker.title(placed, root) for placed in found]
        idle = [looker.title(placed, root) for placed in found if _is_idle(rule, placed.bindings, session)]
        return WhyNot(rule=name, obstacle=hindrance, matches=_once(shown), idle=_once(idle), places=())
    ranked = sorted(found, key=lambda placed: (*_rank(placed, root), looker.distance(placed)))[:max_places]
    places = tuple(looker.place(rule, placed, root) for placed in ranked)
    return WhyNot(rule=name, obstacle=hindrance, matches=(), idle=(), places=places)


def _once(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))


def _session(book: RuleBook, rule: Rule, graph: Graph, after: Sequence[str]) -> Session:
    """Return the model with the facts that rules rely on, and with the other rules asked for applied.

    The rule itself is only offered, whatever its kind: what it would rewrite at once could not be seen afterwards.
    """
    first = {each.name for each in book.rules if not {each.name, each.entry, each.group}.isdisjoint(after)}
    rules = [
        replace(each, kind=RuleKind.OPT) if each.name == rule.name else each
        for each in book.rules
        if each.kind is not RuleKind.OPT or each.name == rule.name or each.name in first
    ]
    session = Session(graph, replace(book, rules=tuple(rules)))
    candidates = [each for each in session.candidates() if session.rule_of(each).rule.name in first - {rule.name}]
    if candidates:
        session.apply(candidates)
    return session


def _root(rule: Rule) -> str:
    """Return the variable of the value that a rule rewrites."""
    for action in rule.head:
        match action:
            case Union(lhs=Var(name=name)):
                return name
            case Union(rhs=Var(name=name)):
                return name
            case _:
                pass
    return ROOT


def _rank(placed: Placed, root: str) -> tuple[bool, int, int]:
    """Places at which the result itself is known come first, then those where only facts are missing."""
    return (
        root not in placed.bindings,
        sum(isinstance(demand, Node) for demand in placed.unmet),
        -len(placed.bindings),
    )


def _is_idle(rule: Rule, bindings: Bindings, session: Session) -> bool:
    """Return whether a match would change nothing: then it is not offered."""
    offered = [each for each in session.candidates() if session.rule_of(each).rule.name == rule.name]
    return not any(_agrees(session, each, bindings) for each in offered)


def _agrees(session: Session, candidate: Candidate, bindings: Bindings) -> bool:
    gated = session.rule_of(candidate)
    return all(
        bindings.get(variable, value) == value
        for variable, value in zip(gated.variables, candidate.bindings, strict=True)
    )


@final
class _Looker:
    def __init__(self, book: RuleBook, session: Session, signatures: Signatures, *, has_facts: bool) -> None:
        self._book = book
        self._has_facts = has_facts  # a session leaves out the facts that only rules which cannot match ask for
        self._tables = Tables(session)
        self._signatures = signatures
        self._given = {rule.name: calls(head_terms(rule.head)).keys() for rule in book.rules}
        self.names = Names(session)

    def closest(self, rule: Rule, start: Bindings, *, max_places: int) -> list[Placed]:
        return closest(demands(rule.body, self._signatures), self._tables, start, max_places=max_places)

    def title(self, placed: Placed, root: str) -> str:
        handle = placed.bindings.get(root)
        if not isinstance(handle, int):
            handle = next((value for value in placed.bindings.values() if isinstance(value, int)), None)
        return "the model" if handle is None else self.names.node(handle)

    def place(self, rule: Rule, placed: Placed, root: str) -> Place:
        sorts = self._sorts(rule)
        values = {
            name: self.names.binding(sort, placed.bindings[name])
            for name, sort in sorts.items()
            if name in placed.bindings and name != ROOT
        }
        count = len(demands(rule.body, self._signatures))
        return Place(
            node=self.title(placed, root),
            values=values,
            missing=tuple(self._reasons(rule, placed, MAX_DEPTH, frozenset({rule.name}))),
            num_met=count - placed.num_unmet,
            num_demands=count,
        )

    def _sorts(self, rule: Rule) -> dict[str, str]:
        return infer_sorts(rule.body, rule.head, self._signatures, rule.location)

    def _reasons(self, rule: Rule, placed: Placed, depth: int, seen: frozenset[str]) -> list[str]:
        explainer = Explainer(self._tables, self.names, self._made_up(rule))
        reasons: list[str] = []
        for demand in placed.unmet:
            if self._is_left_out(demand):
                continue
            reasons.append(explainer.explain(demand, placed.bindings))
            reasons += [f"  {reason}" for reason in self._behind(demand, placed.bindings, depth, seen)]
        return reasons

    def _is_left_out(self, demand: Demand) -> bool:
        """Return whether a fact may be missing only because nobody but an impossible rule asks for it."""
        name = demand.relation if isinstance(demand, Holds) else demand.function if isinstance(demand, Lookup) else ""
        return bool(name) and not self._has_facts and name not in self._tables.signatures.names

    def _made_up(self, rule: Rule) -> dict[str, str]:
        """Sorts of the rule's variables, and of those that stand for what is looked up in it."""
        sorts = self._sorts(rule)
        for demand in demands(rule.body, self._signatures):
            if isinstance(demand, Node):
                sorts.setdefault(demand.output, self._signatures.names[demand.operator].output)
                inputs = self._signatures.names[demand.operator].inputs
                sorts = {**dict(zip(demand.children, inputs, strict=False)), **sorts}
        return sorts

    def distance(self, placed: Placed) -> int:
        """Return how many demands are unmet behind the facts that are missing at a place."""
        return sum(
            min((each.num_unmet for _, each in self._makers(demand, placed.bindings, frozenset())), default=0)
            for demand in placed.unmet
            if isinstance(demand, Holds | Lookup)
        )

    def _makers(
        self, demand: Holds | Lookup, bindings: Bindings, seen: frozenset[str]
    ) -> Iterator[tuple[Rule, Placed]]:
        """Yield the rules that could say a fact, each with the closest it comes to that."""
        name = demand.relation if isinstance(demand, Holds) else demand.function
        for rule in self._book.of_kind(RuleKind.FACTS):
            if rule.name not in seen and name in self._given[rule.name]:
                for start in _starts(rule, name, demand, bindings):
                    for placed in self.closest(rule, start, max_places=1):
                        if placed.num_unmet:
                            yield rule, placed

    def _behind(self, demand: Demand, bindings: Bindings, depth: int, seen: frozenset[str]) -> list[str]:
        """Return why no rule gives a fact that is missing: the closest of those that could."""
        if depth == 0 or not isinstance(demand, Holds | Lookup):
            return []
        found = list(self._makers(demand, bindings, seen))
        if not found:
            return []
        rule, placed = min(found, key=lambda each: (each[1].num_unmet, each[0].name))
        reasons = self._reasons(rule, placed, depth - 1, seen | {rule.name})
        return [f"{rule.name} would, but {reasons[0]}", *reasons[1:]] if reasons else []


def _starts(rule: Rule, name: str, demand: Holds | Lookup, bindings: Bindings) -> list[Bindings]:
    """Return what a rule's variables stand for where its head is to give a certain fact."""
    found: list[Bindings] = []
    for action in rule.head:
        term = action_terms(action)[0] if action_terms(action) else None
        if not isinstance(term, Call) or term.name != name or isinstance(action, Union):
            continue
        if isinstance(action, Set) is not isinstance(demand, Lookup):
            continue
        start: Bindings | None = {}
        for pattern, argument in zip(term.args, demand.arguments, strict=True):
            if isinstance(argument, Var) and argument.name not in bindings:
                continue
            if isinstance(pattern, Var | Lit) and start is not None:
                start = laid_on(pattern, value_of(argument, bindings), start)
        if start is not None:
            found.append(start)
    return found
