"""What is allowed by egglog and wrong all the same."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from enum import Enum, auto

from typing_extensions import override

from eqsat.egglog.commands import Action, Call, Expr, Location, Union, Var
from eqsat.rules.atoms import Atoms
from eqsat.rules.rule import Rule, RuleKind
from eqsat.rules.signatures import Signatures
from eqsat.rules.sorts import infer_sorts
from eqsat.rules.terms import action_terms, body_terms, calls, head_terms, place, subterms

_INEQUALITIES = frozenset({"!=", "bool-!="})


class Severity(Enum):
    """Whether a finding keeps a rule from being used."""

    WARNING = auto()
    ERROR = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something about a rule.

    Attributes:
        severity: Whether it must go.
        location: Where.
        rule: Name of the rule.
        message: What is wrong and the way out, one line.
    """

    severity: Severity
    location: Location
    rule: str
    message: str

    @override
    def __str__(self) -> str:
        return f"{self.location}: `{self.rule}` {self.message}"


def lint(
    rules: Iterable[Rule], signatures: Signatures, commutative: AbstractSet[str] = frozenset()
) -> tuple[Finding, ...]:
    """Return everything found in these rules.

    Args:
        rules: Rules whose names and sorts are known to be right.
        signatures: Everything declared.
        commutative: Operators whose first two inputs may be exchanged.
    """
    found: list[Finding] = []
    for rule in rules:
        found += _cross_products(rule, signatures)
        if rule.kind is RuleKind.SIMP:
            found += _new_classes(rule, signatures)
        found += _inequalities(rule, signatures)
        found += _reassociation(rule, commutative)
    return tuple(found)


def _cross_products(rule: Rule, signatures: Signatures) -> Iterator[Finding]:
    """Find tables that share no variable with the rest: egglog pairs each of their rows with every match.

    A primitive joins nothing, since it runs after the joins: ``(= (shape (vec-get v 0)) s)`` reads all shapes, which
    took 500 times as long as ``(shape x)`` over 1 000 nodes.
    """
    _, *others = Atoms(rule.body, signatures).components() or [[]]
    for atoms in others:
        term = atoms[0].term
        yield _error(
            rule,
            term,
            f"looks at every row of `{term.name}` for every match: `{term}` shares no variable with the tables "
            "before it, and a primitive joins nothing; bind its arguments in a table",
        )


def _new_classes(rule: Rule, signatures: Signatures) -> Iterator[Finding]:
    """Find what a ``simp`` rule makes beyond one e-node in a class that is there already."""
    values = signatures.value_sorts()
    made = [
        term.name
        for term in body_terms(rule.body)
        if isinstance(term, Call) and term.args and _output(term, signatures) in values
    ]
    for action in rule.head:
        terms = action_terms(action)
        if isinstance(action, Union):
            built = [term for term in terms if isinstance(term, Call)]
            if len(built) > 1:
                yield _error(rule, action, "is simp and unites two terms; one side must be a variable")
            if built and made == [built[0].name]:
                yield _error(rule, action, f"is simp and rewrites `{made[0]}` to itself, maybe for ever; use opt")
            terms = tuple(argument for term in built for argument in term.args)
        for part in (part for term in terms for part in subterms(term)):
            if isinstance(part, Call) and part.args and _output(part, signatures) in values:
                yield _error(rule, part, f"is simp and makes a new e-class, `{part}`; make it an opt rule")


def _inequalities(rule: Rule, signatures: Signatures) -> Iterator[Finding]:
    """Find ``!=`` between e-classes: it says that they have not been united yet, not that they differ."""
    values = signatures.value_sorts()
    sorts = infer_sorts(rule.body, (), signatures, rule.location)
    for term in body_terms(rule.body):
        if not isinstance(term, Call) or term.name not in _INEQUALITIES:
            continue
        for side in term.args:
            sort = sorts.get(side.name) if isinstance(side, Var) else _output(side, signatures)
            if sort in values:
                yield _warning(rule, term, f"tests `{term}`: e-classes may be united later, so this proves nothing")
                break


def _reassociation(rule: Rule, commutative: AbstractSet[str]) -> Iterator[Finding]:
    """Find associativity of a commutative operator without a condition: n terms have more than n! forms."""
    inside = calls(body_terms(rule.body))
    around = calls(head_terms(rule.head))
    if rule.kind is not RuleKind.OPT or len(rule.body) != 1 or len(inside) != 1 or inside.keys() != around.keys():
        return
    (name,) = inside
    if name in commutative:
        yield _warning(rule, inside[name], f"reorders `{name}` without a condition; that explodes")


def _output(term: Expr, signatures: Signatures) -> str:
    """Return the sort of a declared call, empty for anything else."""
    signature = signatures.names.get(term.name) if isinstance(term, Call) else None
    return signature.output if signature else ""


def _error(rule: Rule, term: Expr | Action, message: str) -> Finding:
    at = place(term, rule.location)
    return Finding(severity=Severity.ERROR, location=at, rule=rule.name, message=message)


def _warning(rule: Rule, term: Expr | Action, message: str) -> Finding:
    at = place(term, rule.location)
    return Finding(severity=Severity.WARNING, location=at, rule=rule.name, message=message)
