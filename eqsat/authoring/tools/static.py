"""What can be said against a rule without running it: names, sorts, rules that can never match, rules that explode."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final

from eqsat.authoring.tools.availability import asked, missing, reachable
from eqsat.authoring.tools.complaints import Complaint, complaint_of
from eqsat.authoring.tools.schema import COMMUTATIVE, schema_commands, signatures_of
from eqsat.egglog.commands import Call, Eq, Expr, Int, Lit, Union, Var, new_egraph, run
from eqsat.errors import RulesError
from eqsat.rules.atoms import check_grounded
from eqsat.rules.gate import declare, gate
from eqsat.rules.lint import Severity, lint
from eqsat.rules.rule import Rule, RuleKind
from eqsat.rules.signatures import PRIMITIVES, Role, Signatures
from eqsat.rules.sorts import infer_sorts
from eqsat.rules.terms import action_terms, body_terms, calls, head_terms, place, subterms
from ir.operators import OPERATORS, Kind

if TYPE_CHECKING:
    from eqsat.rules.book import RuleBook

_EXPLOSIVE: Final = "that explodes"
"""How the lint ends what it says of a rule that explodes: a warning where rules are loaded, an error where checked."""


_READ: Final = frozenset(
    {
        *("shape", "dtype", "rank", "last", "near", "constant", "constants", "finites", "equal-halves", "equal-pairs"),
        *("triangular", "root", "sibling"),
    }
)
"""Facts that are read from the model and from types: no rule knows better."""

_COMPARISONS: Final = frozenset({"<", ">", "<=", ">=", "guard"})
_COUNTING: Final = frozenset({"+", "-", "*", "/", "vec-push", "vec-append"})


def static_complaints(book: RuleBook, files: frozenset[str]) -> list[Complaint]:
    """Return what is wrong with the rules of some files.

    Args:
        book: The rules of these files and of those that they build on.
        files: Names of the files to look at.
    """
    found: list[Complaint] = []
    signatures = signatures_of(book)
    there = reachable(book.rules, OPERATORS.keys())
    sound: list[Rule] = []
    for rule in book.rules:
        try:
            infer_sorts(rule.body, rule.head, signatures, rule.location)
            check_grounded(rule.body, signatures, rule.location)
        except RulesError as error:
            found.append(complaint_of(error, rule.name, rule.location))
        else:
            sound.append(rule)
    for rule in sound:
        if rule.location.file not in files:
            continue
        found += _linted(rule, signatures)
        found += _impossible(rule, signatures)
        if not there.issuperset(asked(rule)):
            reason = f"can never match: {missing(book.rules, rule, OPERATORS.keys())}"
            found.append(_error(rule, None, reason))
        found += _overruling(rule)
        found += _growing(rule, signatures)
        found += _trivial(rule)
    return [each for each in found if each.location.file in files]


def untried(rule: Rule) -> Complaint | None:
    """Return a warning about a rule with conditions of which no line shows what they keep out; None for any other."""
    has_conditions = any(not (isinstance(fact, Eq) and _has_variable(fact)) for fact in rule.body)
    if rule.kind is RuleKind.FACTS or rule.near_misses or not has_conditions:
        return None
    reason = "has conditions and no NEAR-MISS line: write a left side for each at which it must not match"
    return Complaint(location=rule.location, rule=rule.name, reason=reason, is_error=False)


def _has_variable(fact: Eq) -> bool:
    """Whether an equation only names what it finds, as those of patterns do."""
    return isinstance(fact.left, Var) or isinstance(fact.right, Var)


def _linted(rule: Rule, signatures: Signatures) -> Iterator[Complaint]:
    """Pass on what the lint finds, a warning once for each rule."""
    has_warned = False
    for finding in lint([rule], signatures, COMMUTATIVE):
        is_error = finding.severity is Severity.ERROR or finding.message.endswith(_EXPLOSIVE)
        if is_error or not has_warned:
            yield Complaint(location=finding.location, rule=rule.name, reason=finding.message, is_error=is_error)
        has_warned |= not is_error


def refused_together(book: RuleBook, files: frozenset[str]) -> Iterator[Complaint]:
    """Yield what the gate and egglog itself say against all rules together; only the first mistake shows."""
    egraph = new_egraph()
    commands = schema_commands()
    try:
        program = gate(book, commands, commutative=COMMUTATIVE)
        run(egraph, *commands)
        declare(egraph, program)
    except RulesError as error:
        first = next((rule.location for rule in book.rules if rule.location.file in files), book.rules[0].location)
        yield complaint_of(error, "", first)


# --- rules that can never match -------------------------------------------------------------------------------


def _impossible(rule: Rule, signatures: Signatures) -> Iterator[Complaint]:
    """Find what the normal form of models never has: an axis of the other sign, two values for one fact."""
    for term in body_terms(rule.body):
        if isinstance(term, Call) and term.name in OPERATORS:
            yield from _wrong_axes(rule, term)
    known: dict[str, Lit] = {}
    for fact in rule.body:
        pair = _fixed(fact.left, fact.right) if isinstance(fact, Eq) else None
        if pair is None:
            continue
        term, number = pair
        if not signatures.is_role(term.name, Role.FUNCTION):
            continue
        first = known.setdefault(str(term), number)
        if str(first) != str(number):
            yield _error(rule, term, f"can never match: `{term}` cannot be {first} and {number}")


def _fixed(left: Expr, right: Expr) -> tuple[Call, Lit] | None:
    match left, right:
        case (Call(), Lit()):
            return left, right
        case (Lit(), Call()):
            return right, left
        case _:
            return None


def _wrong_axes(rule: Rule, term: Call) -> Iterator[Complaint]:
    row = OPERATORS[term.name]
    num_inputs = 1 if row.is_variadic else row.num_inputs
    rest: list[Expr] = list(term.args)[num_inputs:]
    if rest and isinstance(rest[0], Call) and rest[0].name == f"{row.name}A":
        rest = list(rest[0].args)
    if len(rest) != len(row.attributes):
        return
    for column, pattern in zip(row.attributes, rest, strict=True):
        numbers = _numbers(pattern)
        if column.kind in {Kind.LAST, Kind.LASTS} and any(number >= 0 for number in numbers):
            way = "count from the back: -1 is the last"
        elif column.kind in {Kind.AXIS, Kind.AXES} and any(number < 0 for number in numbers):
            way = "count from the front: 0 is the first"
        else:
            continue
        yield _error(rule, pattern, f"can never match: axes of {row.name} {way}")


def _numbers(pattern: Expr) -> list[int]:
    parts = list(pattern.args) if isinstance(pattern, Call) and pattern.name == "vec-of" else [pattern]
    return [part.value.value for part in parts if isinstance(part, Lit) and isinstance(part.value, Int)]


# --- rules that say what is not theirs to say -----------------------------------------------------------------


def _overruling(rule: Rule) -> Iterator[Complaint]:
    """Find facts that are stated although they are read from the model."""
    for action in rule.head:
        for term in () if isinstance(action, Union) else action_terms(action)[:1]:
            if isinstance(term, Call) and term.name in _READ:
                reason = f"states `{term}`; what a value's {term.name} is, is read from the model and its types"
                yield _error(rule, term, reason)


# --- rules that explode ---------------------------------------------------------------------------------------


def _growing(rule: Rule, signatures: Signatures) -> Iterator[Complaint]:
    """Find a right side that holds a larger instance of its own left side, where no condition stops it."""
    if rule.kind is RuleKind.FACTS:
        yield from _endless_facts(rule)
        return
    pattern, has_conditions = _pattern(rule)
    if pattern is None or has_conditions:
        return
    for term in head_terms(rule.head):
        bound = _matched(pattern, term, {})
        if bound is not None and any(_is_computation(value, signatures) for value in bound.values()):
            yield _error(rule, term, f"makes a larger form of its own left side, `{term}`, and so on; {_EXPLOSIVE}")
            return


def _endless_facts(rule: Rule) -> Iterator[Complaint]:
    """Find a rule of facts that counts on from its own facts: nothing ends it, and facts run to their end."""
    asked_for = calls(body_terms(rule.body)).keys() - PRIMITIVES.keys()
    if len(rule.body) > 1 or not _COMPARISONS.isdisjoint(calls(body_terms(rule.body))):
        return
    for action in rule.head:
        for term in action_terms(action)[:1]:
            inside = {part.name for part in subterms(term) if isinstance(part, Call)}
            if isinstance(term, Call) and asked_for == {term.name} and not inside.isdisjoint(_COUNTING):
                yield _error(rule, term, f"counts on from its own facts, `{term}`, without an end; {_EXPLOSIVE}")


def _pattern(rule: Rule) -> tuple[Call | None, bool]:
    """Return the left side of a rule that is one term, and whether anything else is asked."""
    made = [
        fact.right
        for fact in rule.body
        if isinstance(fact, Eq) and isinstance(fact.left, Var) and isinstance(fact.right, Call)
    ]
    roots = [term for term in made if term.name in OPERATORS]
    if len(roots) != 1 or not any(isinstance(action, Union) for action in rule.head):
        return None, True
    return roots[0], len(rule.body) > 1


def _matched(pattern: Expr, term: Expr, bound: Mapping[str, Expr]) -> Mapping[str, Expr] | None:
    """Return what the variables of ``pattern`` stand for where it is ``term``."""
    match pattern, term:
        case Var(), _:
            known = bound.get(pattern.name)
            if known is not None:
                return bound if str(known) == str(term) else None
            return {**bound, pattern.name: term}
        case (Lit(), Lit()):
            return bound if str(pattern) == str(term) else None
        case (Call(), Call()) if pattern.name == term.name and len(pattern.args) == len(term.args):
            found: Mapping[str, Expr] | None = bound
            for one, two in zip(pattern.args, term.args, strict=True):
                found = None if found is None else _matched(one, two, found)
            return found
        case _:
            return None


def _is_computation(term: Expr, signatures: Signatures) -> bool:
    signature = signatures.names.get(term.name) if isinstance(term, Call) else None
    return signature is not None and signature.output in signatures.value_sorts()


# --- rules that do nothing ------------------------------------------------------------------------------------


def _trivial(rule: Rule) -> Iterator[Complaint]:
    """Find rules whose two sides say the same."""
    pattern, _ = _pattern(rule)
    if pattern is None or len(rule.head) != 1:
        return
    (action,) = rule.head
    for term in action_terms(action):
        if str(term) == str(pattern):
            yield _error(rule, term, "says nothing: both sides are the same")


def _error(rule: Rule, term: Expr | None, reason: str) -> Complaint:
    return _complaint(rule, term, reason, is_error=True)


def _complaint(rule: Rule, term: Expr | None, reason: str, *, is_error: bool) -> Complaint:
    at = rule.location if term is None else place(term, rule.location)
    return Complaint(location=at, rule=rule.name, reason=reason, is_error=is_error)
