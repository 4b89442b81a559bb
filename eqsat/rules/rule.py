"""A rule of a rules file: what it rewrites, on what authority, under which conditions, and what it does to floats."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from eqsat.egglog.commands import (
    SPAN,
    Action,
    BiRewriteCommand,
    Call,
    Eq,
    Fact,
    Fact_,
    Float,
    Lit,
    Location,
    Rewrite,
    RewriteCommand,
    RuleCommand,
    Union,
    Var,
)
from eqsat.errors import RulesError
from eqsat.rules.header import Header, read_header
from eqsat.rules.terms import body_terms, calls, head_terms, place, variables
from eqsat.rules.text import Form

ROOT = "root_"
"""The variable of the e-class that a ``rewrite`` rewrites; variables of rules files do not end in ``_``."""

_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


class RuleKind(StrEnum):
    """What happens with the matches of a rule; the value is the name of its ruleset."""

    FACTS = "facts"
    """Applied at once; adds facts that other rules build on."""
    SIMP = "simp"
    """Applied at once; makes no new e-class, so it may always run."""
    OPT = "opt"
    """Listed as candidates, applied only when chosen."""


class FloatClass(StrEnum):
    """What a rule does to floating-point results, the strictest promise first."""

    EXACT = "exact"
    """The same bits."""
    ROUNDS = "rounds"
    """Equal over the real numbers, rounded elsewhere; what is infinite or NaN stays where it is."""
    REASSOCIATES = "reassociates"
    """Equal over the real numbers, sums and products in another order: off by what the largest intermediate value is
    rounded by, and an intermediate value may overflow or vanish on one side only."""
    FINITE = "finite"
    """Equal over the real numbers as long as no value, intermediate ones included, is infinite or NaN."""
    APPROXIMATES = "approximates"
    """Close only; off unless switched on."""

    @property
    def keeps_nonfinite(self) -> bool:
        """Whether what is infinite or NaN stays so, and nothing else becomes it: what a strict run asks for."""
        return self in {FloatClass.EXACT, FloatClass.ROUNDS}

    @property
    def looseness(self) -> int:
        """Place in the order of promises; 0 for the strictest."""
        return list(FloatClass).index(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One direction of one entry of a rules file.

    Attributes:
        name: Unique; the second direction of a ``birewrite`` is called ``<entry>-rev``.
        entry: The ``:name`` in the file.
        kind: What happens with its matches.
        group: Topic, from ``; GROUP`` or else the ``;; SECTION`` it stands in; may be empty.
        tier: Name under which rules are switched on together that are off by themselves; empty for one that is on.
        source: Why the two sides are equal.
        requires: What the conditions ensure; empty where nothing is required.
        floats: What it does to floating-point results; facts change nothing and count as exact.
        instances: The ``; INSTANCE`` lines, for the tests of soundness.
        near_misses: The ``; NEAR-MISS`` lines: where the rule must not match.
        location: Place of the form.
        text: The form as it stands in the file.
        body: What must hold.
        head: What follows.
        operators_matched: Constructors of the body.
        operators_made: Constructors of the head that the body does not have.
        literals: Numbers of its ``(near x number)`` conditions, ascending.
    """

    name: str
    entry: str
    kind: RuleKind
    group: str
    source: str
    requires: str
    floats: FloatClass
    instances: tuple[str, ...]
    near_misses: tuple[str, ...]
    location: Location
    text: str
    body: tuple[Fact_, ...]
    head: tuple[Action, ...]
    operators_matched: frozenset[str]
    operators_made: frozenset[str]
    literals: tuple[float, ...]
    tier: str = ""


def rules_of(form: Form, command: RuleCommand | RewriteCommand | BiRewriteCommand, section: str) -> tuple[Rule, ...]:
    """Return the rules of one form: two for a ``birewrite``, else one.

    Args:
        form: The form, for its comments and place.
        command: What it parses to.
        section: Name of the section it stands in.

    Raises:
        RulesError: The name, the ruleset or the header is missing or wrong.
    """
    header = read_header(form)
    if isinstance(command, RuleCommand):
        entry, kind = _checked(form, command.rule.name, command.rule.ruleset)
        bodies = [(entry, tuple(command.rule.body), tuple(command.rule.head))]
    else:
        rewrite = command.rewrite
        entry, kind = _checked(form, rewrite.name, command.name)
        if kind is RuleKind.FACTS:
            raise RulesError(f"{form.location}: `{entry}` rewrites; ruleset facts takes only `rule`")
        bodies = [(entry, *_sides(rewrite, form, is_reversed=False))]
        if isinstance(command, BiRewriteCommand):
            bodies.append((f"{entry}-rev", *_sides(rewrite, form, is_reversed=True)))
    floats = _floats(header, kind, form)
    rules = []
    for name, body, head in bodies:
        _check_variables(body, form)
        matched = _operators(calls(body_terms(body)))
        rules.append(
            Rule(
                name=name,
                entry=entry,
                kind=kind,
                group=header.text("GROUP") or section,
                tier=header.text("TIER"),
                source=header.text("SOURCE"),
                requires=header.text("REQUIRES"),
                floats=floats,
                instances=header.lines("INSTANCE"),
                near_misses=header.lines("NEAR-MISS"),
                location=form.location,
                text=form.text,
                body=body,
                head=head,
                operators_matched=matched,
                operators_made=_operators(calls(head_terms(head))) - matched,
                literals=_literals(body),
            )
        )
    return tuple(rules)


def _checked(form: Form, name: str, ruleset: str) -> tuple[str, RuleKind]:
    if not name:
        raise RulesError(f"{form.location}: this {form.keyword} has no `:name`")
    if not _NAME.fullmatch(name):
        raise RulesError(f"{form.location}: `{name}` is no name such as `matmul-transpose`")
    try:
        return name, RuleKind(ruleset)
    except ValueError:
        kinds = ", ".join(RuleKind)
        shown = f"ruleset `{ruleset}`" if ruleset else "no ruleset"
        raise RulesError(f"{form.location}: `{name}` is in {shown}; give it one of: {kinds}") from None


def _sides(rewrite: Rewrite, form: Form, *, is_reversed: bool) -> tuple[tuple[Fact_, ...], tuple[Action, ...]]:
    left, right = (rewrite.rhs, rewrite.lhs) if is_reversed else (rewrite.lhs, rewrite.rhs)
    if not isinstance(left, Call):
        raise RulesError(f"{place(left, form.location)}: the side that is matched must be a term such as `(Relu x)`")
    root = Var(SPAN, ROOT)
    return (Eq(rewrite.span, root, left), *rewrite.conditions), (Union(rewrite.span, root, right),)


def _floats(header: Header, kind: RuleKind, form: Form) -> FloatClass:
    if kind is not RuleKind.FACTS:
        for key in ("SOURCE", "FLOATS"):
            if not header.text(key):
                raise RulesError(f"{form.location}: this {form.keyword} has no `; {key}` comment above it")
    value = header.text("FLOATS")
    if not value:
        return FloatClass.EXACT
    try:
        return FloatClass(value)
    except ValueError:
        classes = ", ".join(FloatClass)
        raise RulesError(f"{header.place('FLOATS')}: `{value}` is no float class; write one of: {classes}") from None


def _check_variables(body: tuple[Fact_, ...], form: Form) -> None:
    for name, term in variables(body_terms(body)).items():
        if name.endswith("_") and name != ROOT and not name.startswith("@"):
            raise RulesError(f"{place(term, form.location)}: `{name}`: variables do not end in `_`")


def _operators(names: dict[str, Call]) -> frozenset[str]:
    """Return the constructors among ``names``: they start with a capital, and views of them end in ``~``."""
    return frozenset(name for name in names if name[:1].isupper() and not name.endswith("~"))


def _literals(body: tuple[Fact_, ...]) -> tuple[float, ...]:
    found: set[float] = set()
    for fact in body:
        match fact:
            case Fact(expr=Call(name="near", args=[_, Lit(value=Float() as number)])):
                found.add(number.value)
            case _:
                pass
    return tuple(sorted(found))
